"""What arrives on a callback queue, who sent it, and who took it."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

import ipywidgets as widgets

from rpclab.errors import LabError
from rpclab.lab import Lab, current_lab
from rpclab.table import Table
from rpclab.widgets import look
from rpclab.widgets.refresh import Refresher
from rpclab.wire.messages import ACKED, AUTO_ACKED, HELD, REJECTED, Delivery, Message, Step

ROWS_SHOWN = 10
WAIT_SECONDS = 30.0
# With these a message comes to the feed's notice; all other steps only change one that it has noticed.
ARRIVING = ("published", "delivered")
OUTCOMES = {HELD: "delivered", ACKED: "acknowledged", AUTO_ACKED: "acknowledged", REJECTED: "rejected"}


@dataclass(eq=False)
class Arrival:
    """One message on the queue, as it is now.

    Attributes
    ----------
    number : int
        1 for the first that the feed saw.
    message : Message
        All that is known of it, on other queues too.
    queue : str
        The queue that is watched, as it is shown.
    """

    number: int
    message: Message
    queue: str

    @property
    def body(self) -> str:
        """The message, as text."""
        return self.message.body.decode(errors="backslashreplace")

    @property
    def sender(self) -> str | None:
        """The connection that published it; None if that was not seen."""
        return self.message.publisher

    @property
    def receiver(self) -> str | None:
        """The connection that it was delivered to, the last one if there were several."""
        return self._last.to if self._last else None

    @property
    def correlation_id(self) -> str | None:
        """As the sender set it."""
        return self.message.properties.correlation_id

    @property
    def state(self) -> str:
        """What became of it.

        ``waiting``, ``delivered``, ``acknowledged``, ``rejected``, ``removed``, ``returned``, ``no queue`` or
        ``expired``.
        """
        if self._last and self._last.outcome in OUTCOMES:
            return OUTCOMES[self._last.outcome]
        if self.queue in self.message.removed:
            return "removed"
        if self.message.returned:
            return "returned"
        if self._last is None and self.message.queues == ():
            return "no queue"
        deadline = self.message.deadline
        return "expired" if deadline is not None and time.monotonic() > deadline else "waiting"

    @property
    def _last(self) -> Delivery | None:
        return next((given for given in reversed(self.message.deliveries) if given.queue == self.queue), None)


class CallbackFeed(widgets.VBox):
    """A live list of the messages on one queue. It watches the lab's connections and takes nothing from the queue.

    Parameters
    ----------
    queue : str
        The queue to watch, usually a callback queue; its name, or the one that `Lab.queues` shows.
    lab : Lab, optional
        The lab it belongs to; the one opened last if not given.
    """

    _end_listening = None

    def __init__(self, queue: str, *, lab: Lab | None = None):
        self._queue = queue
        lab = lab or current_lab()
        self._shown = lab.tap.registry.shown(queue)
        self._arrivals: dict[int, Arrival] = {}
        self._acknowledged: set[int] = set()
        self._changed = threading.Condition()
        self._table = widgets.HTML()
        super().__init__([widgets.HTML(look.title("Messages on callback queue", queue)), self._table])
        self.add_class("rpclab-card")
        self._render()
        self._refresher = Refresher(self._render)
        # What is in the past when the feed is made shall stay there, also if the tap has yet to read it.
        lab.tap.catch_up()
        self._end_listening = lab.story.listen(self._take)

    def wait(self, count: int, timeout: float = WAIT_SECONDS) -> CallbackFeed:
        """Return when so many messages have been acknowledged since the feed was made.

        Raises
        ------
        LabError
            If fewer are after so many seconds.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: len(self._acknowledged) >= count, timeout):
                raise LabError(
                    f"{len(self._acknowledged)} of {count} messages on {self._queue!r} were acknowledged within "
                    f"{timeout:g} s. Does a callback worker consume from it? lab.queues() tells."
                )
        return self

    @property
    def results(self) -> list[str]:
        """The bodies in the order in which they arrived."""
        return [arrival.body for arrival in self.arrivals]

    @property
    def arrivals(self) -> list[Arrival]:
        """All messages that have arrived since the feed was made."""
        with self._changed:
            return list(self._arrivals.values())

    def close(self) -> None:
        """Remove the feed and end its thread; a second time does nothing."""
        # A feed that could not be made is closed as well, by its finalizer.
        if self._end_listening:
            self._end_listening()
            self._refresher.close()
        super().close()

    def __str__(self) -> str:
        rows = [
            {"message": a.number, "body": a.body, "from": a.sender, "to": a.receiver, "state": a.state}
            for a in self.arrivals
        ]
        return repr(Table(("message", "body", "from", "to", "state"), rows, empty="(nothing arrived yet)"))

    def __repr__(self) -> str:
        return f"CallbackFeed({self._queue!r})"

    def _take(self, step: Step) -> None:
        """Take note of what happened to a message on this queue; called in the tap's thread."""
        number = step.message.number
        if step.queue != self._shown or (step.what not in ARRIVING and number not in self._arrivals):
            return
        with self._changed:
            if number not in self._arrivals:
                self._arrivals[number] = Arrival(len(self._arrivals) + 1, step.message, self._shown)
            if self._arrivals[number].state == "acknowledged":
                self._acknowledged.add(number)
            self._changed.notify_all()
        self._refresher.touch()

    def _render(self) -> None:
        arrivals = self.arrivals
        rows = [
            (
                str(arrival.number),
                look.text(arrival.body),
                look.text(arrival.sender or "unknown"),
                look.text(arrival.receiver or ""),
                look.state(arrival.state),
                look.short_id(arrival.correlation_id),
            )
            for arrival in reversed(arrivals[-ROWS_SHOWN:])
        ]
        said = f"{len(arrivals)} arrived." if arrivals else "Nothing arrived yet."
        if len(arrivals) > ROWS_SHOWN:
            said = f"{len(arrivals)} arrived; the last {ROWS_SHOWN} are shown."
        columns = ("#", "body", "sent by", "received by", "state", "correlation id")
        self._table.value = look.table(columns, rows) + look.note(said)
