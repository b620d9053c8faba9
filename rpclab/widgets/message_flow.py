"""A lab's messages on their way, as a moving picture: clients, exchanges, queues, workers, and the way back."""

from __future__ import annotations

import threading
import time
from collections import deque
from pathlib import Path

import anywidget
import traitlets
from pika import spec

from rpclab.errors import InvalidOption, LabError
from rpclab.lab import Lab, current_lab
from rpclab.table import Table
from rpclab.widgets.flow_boxes import Box, boxes
from rpclab.widgets.flow_chips import QUEUE, WORKER
from rpclab.widgets.flow_details import as_text, details
from rpclab.widgets.flow_scene import Scene
from rpclab.widgets.flow_state import TOTALS, FlowState, summary
from rpclab.widgets.refresh import Refresher
from rpclab.wire.frames import Event
from rpclab.wire.messages import Message, Step
from rpclab.wire.routing import Routing

WAIT_SECONDS = 30.0
CLOSED = "Closed: the picture is as it was."
NO_CONNECTION = "All connections are gone: closed, cut off, or lost with the broker."
# Who consumes and who is connected is asked of the tap when the picture is drawn; these say that it changed.
_CONSUMERS_CHANGE = (spec.Connection.StartOk, spec.Basic.ConsumeOk, spec.Basic.Cancel)
_COLUMNS = ("what", "name", "published", "waiting", "unacked", "done")


class MessageFlow(anywidget.AnyWidget):
    """A picture of where each message is, drawn from what crosses the lab's connections. It asks the broker nothing.

    A message is a chip that moves from its publisher into a queue, waits there, is held unacked by a worker, and goes
    when it is acknowledged; its reply is a chip of its own that comes back through the callback queue. A click on a
    chip, or Enter, shows the message's properties and its story.

    Parameters
    ----------
    lab : Lab, optional
        Whose messages; those of the lab opened last if not given.

    Raises
    ------
    LabError
        If no lab is open, or this one is not.

    Attributes
    ----------
    scene : dict
        What is drawn now.
    selected : int
        The number of the message whose details are shown, 0 for none.

    Notes
    -----
    Where an exchange puts a message is known from the declarations and bindings that the lab saw. What is changed out
    of its sight, with ``rabbitmqctl`` or the management UI, shows when such a message is delivered.
    """

    _esm = Path(__file__).with_name("message_flow.js")
    _css = Path(__file__).with_name("message_flow.css")
    # One that could not be made is closed as well, by its finalizer.
    _closing = False
    _ends = ()

    scene = traitlets.Dict().tag(sync=True)
    selected = traitlets.Int(0).tag(sync=True)

    def __init__(self, lab: Lab | None = None):
        self._lab = lab or current_lab()
        self._routing = Routing(self._lab.tap.registry.shown)
        self._flow = FlowState(self._routing)
        self._scene = Scene(self._flow, self._lab.tap.registry)
        self._changed = threading.Condition()
        self._arrived: deque[Step | Event] = deque()
        self._alarm: threading.Timer | None = None
        self._alarm_at: float | None = None
        super().__init__()
        self._refresher = Refresher(self._render)
        try:
            self._ends = (
                self._lab.story.listen(self._take_step, past=True), self._lab.tap.replay(self._take_event),
            )
        except RuntimeError as ended:
            self._refresher.close()
            raise LabError(
                f"The lab {self._lab.name!r} was closed, so nothing crosses its connections any more. "
                f"Open it again: lab = rpclab.Lab({self._lab.name!r})."
            ) from ended
        self._refresher.touch()
        self.observe(lambda _: self._refresher.touch(), "selected")

    def wait(self, *, timeout: float = WAIT_SECONDS, **totals: int) -> MessageFlow:
        """Return when so much has happened: ``flow.wait(published=6, acked=6)``.

        Parameters
        ----------
        timeout : float
            Seconds to wait at most.
        **totals : int
            At least how many of ``published``, ``delivered``, ``acked``, ``replies``, ``redelivered``, ``returned``,
            ``rejected`` and ``expired`` there must be since the lab was opened.

        Raises
        ------
        LabError
            If it does not come about in time; the message says what there is instead.
        """
        if not totals or not totals.keys() <= set(TOTALS):
            raise InvalidOption(f"Say what to wait for, for example flow.wait(acked=3): any of {', '.join(TOTALS)}.")
        with self._changed:
            reached = self._changed.wait_for(
                lambda: all(self._flow.totals[name] >= count for name, count in totals.items()), timeout
            )
            if not reached:
                found = ", ".join(f"{name}={self._flow.totals[name]}" for name in totals)
                wanted = ", ".join(f"{name}={count}" for name, count in totals.items())
                raise LabError(f"After {timeout:g} s it is {found}, not {wanted}. str(flow) tells where messages are.")
        return self

    @property
    def totals(self) -> dict[str, int]:
        """How often each thing happened since the lab was opened; replies are among what was published."""
        self._catch_up()
        return {name: self._flow.totals[name] for name in TOTALS}

    def select(self, name: str) -> str:
        """Show a message's details, as a click on it does, and return them as text.

        Parameters
        ----------
        name : str
            The message's name, for example ``request 1``.

        Raises
        ------
        LabError
            If there is no such message.
        """
        messages = self._lab.story.messages
        message = next((one for one in messages if one.name == name), None)
        if message is None:
            last = ", ".join(one.name for one in messages[-5:]) or "none"
            raise LabError(f"There is no message {name!r} in lab {self._lab.name!r}. The last ones: {last}.")
        self.selected = message.number
        return as_text(details(message, time.monotonic(), self._routing.shown))

    def close(self) -> None:
        """Stop watching and end the widget's threads; the picture stays as it is. A second time does nothing."""
        if self._closing or not self._ends:
            return
        for end in self._ends:
            end()
        self._closing = True
        self._refresher.close()
        self._wake_at(None)

    def __str__(self) -> str:
        self._catch_up()
        with self._changed:
            found = boxes(self._flow, self._lab.tap.registry, self._connected())
        rows = [
            {
                "what": _what(box),
                "name": box.place.name, "published": box.published, "waiting": box.waiting, "unacked": box.unacked,
                "done": box.done, "note": box.note or None,
            }
            for box in found
        ]
        columns = (*_COLUMNS, "note") if any(row["note"] for row in rows) else _COLUMNS
        table = Table(columns, rows, empty="(nothing here yet)")
        return f"{table!r}\n{summary(self.totals)}"

    def __repr__(self) -> str:
        return f"MessageFlow({self._lab!r})"

    # The tap's thread calls these two.

    def _take_step(self, step: Step) -> None:
        self._arrived.append(step)
        self._refresher.touch()

    def _take_event(self, event: Event) -> None:
        if self._routing.concerns(event):
            self._arrived.append(event)
        elif type(event.method) not in _CONSUMERS_CHANGE:
            return
        self._refresher.touch()

    def _catch_up(self) -> None:
        """Bring the state up to what has arrived."""
        with self._changed:
            arrived = [self._arrived.popleft() for _ in range(len(self._arrived))]
            # The past comes in two parts, messages and declarations; what comes later is in order.
            for one in sorted(arrived, key=lambda one: one.time):
                if isinstance(one, Step):
                    self._flow.take(one)
                    self._scene.note(one)
                else:
                    for emptied in self._routing.take(one):
                        self._flow.empty(emptied)
            self._flow.expire(time.monotonic())
            self._changed.notify_all()

    # The refresher's thread calls what follows.

    def _render(self) -> None:
        self._catch_up()
        with self._changed:
            connected, selected = self._connected(), self._selected_message()
            status = CLOSED if self._closing else "" if connected or not self._flow.places else NO_CONNECTION
            scene = self._scene.describe(connected, time.monotonic(), selected, status)
            expiry = self._flow.chips.next_expiry()
        self.scene = scene
        if not self._closing:
            self._wake_at(expiry)

    def _connected(self) -> set[str]:
        return {link.name for link in self._lab.tap.links() if not link.closed}

    def _selected_message(self) -> Message | None:
        if not self.selected:
            return None
        return next((one for one in self._lab.story.messages if one.number == self.selected), None)

    def _wake_at(self, moment: float | None) -> None:
        """Have the picture drawn again at a time when a message expires: nothing crosses the wire then."""
        if moment == self._alarm_at and self._alarm and self._alarm.is_alive():
            return
        if self._alarm:
            self._alarm.cancel()
            self._alarm.join()
        self._alarm, self._alarm_at = None, moment
        if moment is not None:
            self._alarm = threading.Timer(max(0.0, moment - time.monotonic()), self._refresher.touch)
            self._alarm.daemon = True
            self._alarm.start()


def _what(box: Box) -> str:
    if box.place.role == QUEUE and box.lane:
        return "callback queue"
    return "consumer" if box.place.role == WORKER else box.place.role
