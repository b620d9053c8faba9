"""A lab's messages as a moving picture: clients, exchanges, queues, workers, and the replies."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping

import traitlets

from rpclab.errors import InvalidOption, LabError
from rpclab.lab import Lab, current_lab
from rpclab.story.board import TOTALS, Move, Place, summary
from rpclab.story.boxes import BOXES_SHOWN, as_table
from rpclab.story.describe import MESSAGES_TABS
from rpclab.story.details import as_text, details, recent
from rpclab.story.recorder import Recorder
from rpclab.widgets.alarm import Alarm
from rpclab.widgets.pane import Pane
from rpclab.wire.events import Event
from rpclab.wire.messages import Message, Step

WAIT_SECONDS = 30.0
CLOSED = "Closed: the picture is as it was."
NO_CONNECTION = "No connection is open: closed, cut, or lost with the broker."
RECENT = 12


class MessageFlow(Pane):
    """A picture of where each message is, drawn from what crosses the lab's connections alone.

    A message is a chip that moves from its publisher into a queue, waits there, moves unacked to a worker, and leaves
    when it is acknowledged. Its reply is another chip, which returns through the callback queue. A click on a chip,
    or Enter, shows the message's properties and its story. The picture can be wound back, step by step.

    Parameters
    ----------
    lab : Lab, optional
        The lab whose messages it shows; the one opened last if not given.

    Raises
    ------
    LabError
        If no lab is open, or this one is not.

    Attributes
    ----------
    scene : dict
        The scene that is drawn now.
    selected : int
        The number of the message whose details are shown, 0 for none.
    opened : str
        The open part of the drawer; empty if it is closed.

    Notes
    -----
    The picture knows from the declarations and bindings on the lab's connections where an exchange puts a message.
    Changes by ``rabbitmqctl`` or the management UI show only when such a message is delivered.
    """

    # The finalizer also closes one whose __init__ failed.
    _closing = False
    _ends: tuple[Callable[[], None], ...] = ()
    _most = BOXES_SHOWN
    _tabs: Mapping[str, str] = MESSAGES_TABS

    selected = traitlets.Int(0).tag(sync=True)
    opened = traitlets.Unicode("").tag(sync=True)
    drawer = traitlets.Dict().tag(sync=True)

    def __init__(self, lab: Lab | None = None):
        self._lab = lab or current_lab()
        self._lab.check_open()
        self._recorder = Recorder(self._lab.tap.registry.shown)
        self._changed = threading.Condition()
        self._arrived: deque[Step | Event] = deque()
        self._moves: list[Move] = []
        self._at: int | None = None
        # The picture changes when a message expires, and nothing crosses the wire then.
        self._expiry = Alarm(self._touch)
        self._acts = {"show": self.show, "live": self.live, "select": self._choose}
        super().__init__()
        self.kind = "picture"
        story, tap = self._lab.story, self._lab.tap
        self._ends = story.listen(self._take_step, past=True), tap.subscribe(self._take_event, past=True)
        self._touch()
        self.observe(lambda _: self._touch(), ["selected", "opened"])

    def wait(self, *, timeout: float = WAIT_SECONDS, **totals: int) -> MessageFlow:
        """Return when the given totals are reached: ``flow.wait(published=6, acked=6)``.

        Parameters
        ----------
        timeout : float
            Seconds to wait at most.
        **totals : int
            The least numbers of ``published``, ``delivered``, ``acked``, ``replies``, ``redelivered``, ``returned``,
            ``rejected`` and ``expired`` since the lab was opened.

        Raises
        ------
        LabError
            If they are not reached in time; the message says what was.
        """
        if not totals or not totals.keys() <= set(TOTALS):
            raise InvalidOption(f"Say what to wait for, for example flow.wait(acked=3): any of {', '.join(TOTALS)}.")
        seen = self._recorder.board.totals
        with self._changed:
            if not self._changed.wait_for(lambda: all(seen[name] >= totals[name] for name in totals), timeout):
                found = ", ".join(f"{name}={seen[name]}" for name in totals)
                wanted = ", ".join(f"{name}={count}" for name, count in totals.items())
                raise LabError(f"After {timeout:g} s it is {found}, not {wanted}. str(flow) shows where messages are.")
        return self

    @property
    def totals(self) -> dict[str, int]:
        """The count of each event since the lab was opened; replies count as published, too."""
        self._catch_up()
        return {name: self._recorder.board.totals[name] for name in TOTALS}

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
        message = self._named(name)
        self._choose(message.number)
        return as_text(details(message, time.monotonic(), self._recorder.shown))

    @property
    def position(self) -> tuple[int, int]:
        """The number of the step that is shown, and of the last step."""
        self._catch_up()
        with self._changed:
            last = len(self._recorder.history)
            return last if self._at is None else self._at, last

    def show(self, step: int | str) -> MessageFlow:
        """Show everything as it was after a step, and stay there until `live`.

        Parameters
        ----------
        step : int or str
            The step's number, 0 for before the first; or a message's name, for the step that published it.

        Raises
        ------
        InvalidOption
            If there is no such step, or it is no longer kept.
        """
        self._catch_up()
        at: int | str | None = step
        if isinstance(step, str):
            message = self._named(step)
            at = self._recorder.history.find(message.steps[0].order) if message.steps else None
        history = self._recorder.history
        if isinstance(at, bool) or not isinstance(at, int) or not history.first <= at <= len(history):
            raise InvalidOption(f"show({at!r}): the steps {history.first} to {len(history)} can be shown.")
        with self._changed:
            moment = history.moment(at)
            forward = self._at is not None and at == self._at + 1
            self._at, self._moves = at, list(moment.moves) if forward and moment else []
        self._touch()
        return self

    def back(self) -> MessageFlow:
        """Go one step back in time, and stay there until `live`."""
        return self.show(max(self.position[0] - 1, self._recorder.history.first))

    def forward(self) -> MessageFlow:
        """Go one step on in time."""
        return self.show(min(self.position[0] + 1, self.position[1]))

    def live(self) -> MessageFlow:
        """Return to the present, and follow it."""
        with self._changed:
            self._at, self._moves = None, []
        self._touch()
        return self

    def close(self) -> None:
        """Stop watching and end the widget's threads; the picture stays as it is. Calling it again has no effect."""
        if self._closing or not self._ends:
            return
        for end in self._ends:
            end()
        self._closing = True
        self._stop_drawing()
        self._expiry.set(None)

    def __str__(self) -> str:
        self._catch_up()
        with self._changed:
            at, found = self._at, self._recorder.boxes(self._at)
            when = self._recorder.time(at)
            totals = (self._recorder.board if at is None else self._recorder.history.board(at)).totals
        past = "" if at is None else f"step {when['at']} of {when['of']}: {when['said'] or 'before the first'}\n"
        return f"{past}{as_table(found)!r}\n{summary(totals)}"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._lab!r})"

    def _named(self, name: str) -> Message:
        messages = self._lab.story.messages
        message = next((one for one in messages if one.name == name), None)
        if message is None:
            last = ", ".join(one.name for one in messages[-5:]) or "none"
            raise LabError(f"There is no message {name!r} in lab {self._lab.name!r}. The last ones: {last}.")
        return message

    def _choose(self, number: int) -> None:
        with self.hold_sync():
            self.selected = int(number)
            self.opened = "message"

    # The tap's thread calls these two.

    def _take_step(self, step: Step) -> None:
        self._arrived.append(step)
        self._touch()

    def _take_event(self, event: Event) -> None:
        if self._recorder.concerns(event):
            self._arrived.append(event)
            self._touch()

    def _catch_up(self) -> None:
        """Bring the state up to what has arrived."""
        with self._changed:
            arrived = [self._arrived.popleft() for _ in range(len(self._arrived))]
            moves = []
            # The past comes in two parts, messages and declarations; later events come in order.
            for one in sorted(arrived, key=lambda one: one.time):
                moves += self._recorder.take(one)
            moves += self._recorder.expire(time.monotonic())
            if self._at is None:
                self._moves += moves
            self._changed.notify_all()

    # The refresher's thread calls what follows.

    def _render(self) -> None:
        self._catch_up()
        more = self._more()
        with self._changed:
            moves, self._moves = self._moves, []
            world = self._recorder.world
            status = CLOSED if self._closing else "" if world.connected or not self._recorder.board.counts \
                else NO_CONNECTION
            scene = self._recorder.scene(self._at, moves, more=more, status=status, most=self._most)
            expiry = self._recorder.next_expiry
        self._dress(scene)
        scene["tabs"] = list(self._tabs.items())
        self.scene = scene
        if self.opened:
            self.drawer = {"tab": self.opened, **self._drawer(self.opened)}
        if not self._closing:
            self._expiry.set(expiry)

    def _more(self) -> Mapping[Place, str]:
        """Return the places that have a box before anything happens there, with their lanes."""
        return {}

    def _dress(self, scene: dict) -> None:
        """Add the buttons to a scene."""
        scene["status"] = scene["status"] or self._trouble

    def _drawer(self, tab: str) -> dict:
        """Return the content of the open part of the drawer."""
        if tab == "message":
            message = next((one for one in self._lab.story.messages if one.number == self.selected), None)
            return {"message": details(message, time.monotonic(), self._recorder.shown, self._step_number)} \
                if message else {}
        return {"table": recent(self._lab.story.messages[-RECENT:], time.monotonic())}

    def _step_number(self, step: Step) -> int | None:
        with self._changed:
            return self._recorder.history.find(step.order)
