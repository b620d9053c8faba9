"""The messages on a callback queue, their senders and receivers. `CallbackFeed` shows them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from rpclab.errors import LabError
from rpclab.lab import Lab
from rpclab.operate.request_view import short_id, shown
from rpclab.table import Table
from rpclab.wire.messages import ACKED, AUTO_ACKED, DELIVERED, HELD, PUBLISHED, REJECTED, Delivery, Message, Step

WAIT_SECONDS = 30.0
# These steps add a message to the feed; all other steps only change one that it has.
ARRIVING = (PUBLISHED, DELIVERED)
OUTCOMES = {HELD: "delivered", ACKED: "acknowledged", AUTO_ACKED: "acknowledged", REJECTED: "rejected"}
MOODS = {"waiting": "wait", "delivered": "calm", "acknowledged": "good", "removed": "off"}


@dataclass(eq=False)
class Arrival:
    """One message on the queue, as it is now.

    Attributes
    ----------
    number : int
        1 for the first in the feed.
    message : Message
        Its record in the story, with its other queues.
    queue : str
        The watched queue, by its real name.
    """

    number: int
    message: Message
    queue: str

    @property
    def body(self) -> str:
        """The message's body, as text."""
        return self.message.body.decode(errors="backslashreplace")

    @property
    def sender(self) -> str | None:
        """The connection that published it; None if that was not seen."""
        return self.message.publisher

    @property
    def receiver(self) -> str | None:
        """The connection that it was delivered to; with several, the last one."""
        return self._last.to if self._last else None

    @property
    def correlation_id(self) -> str | None:
        """As the sender set it."""
        return self.message.properties.correlation_id

    @property
    def state(self) -> str:
        """What happened to it.

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
    def cells(self) -> list:
        """Its cells in the front end: body, sender, receiver, state, correlation id."""
        return [
            shown(self.body), shown(self.sender or "unknown"), shown(self.receiver or ""),
            {"mood": MOODS.get(self.state, "bad"), "text": self.state}, short_id(self.correlation_id),
        ]

    @property
    def _last(self) -> Delivery | None:
        return next((given for given in reversed(self.message.deliveries) if given.queue == self.queue), None)


class Arrivals:
    """The messages on one queue. It watches the lab's connections and takes nothing from the queue.

    Parameters
    ----------
    queue : str
        The queue to watch, usually a callback queue; its name, or the one that `Lab.queues` shows.
    lab : Lab
        The lab it belongs to.
    changed : callable
        Called in the tap's thread when something changed.
    """

    _ends: tuple[Callable[[], None], ...] = ()

    def __init__(self, queue: str, lab: Lab, changed: Callable[[], None]):
        self._queue = queue
        self._shown = lab.tap.registry.shown
        self._notify = changed
        self._arrivals: dict[int, Arrival] = {}
        self._acknowledged: set[int] = set()
        self._settled = threading.Condition()
        # Earlier messages stay out, even if the tap has yet to read them.
        lab.tap.catch_up()
        self._ends = (lab.story.listen(self._take),)

    def wait(self, count: int, timeout: float = WAIT_SECONDS) -> Arrivals:
        """Return when `count` messages have been acknowledged since the feed was made.

        Raises
        ------
        LabError
            If fewer are acknowledged within the timeout in seconds.
        """
        with self._settled:
            if not self._settled.wait_for(lambda: len(self._acknowledged) >= count, timeout):
                raise LabError(
                    f"{len(self._acknowledged)} of {count} messages on {self._queue!r} were acknowledged within "
                    f"{timeout:g} s. Does a callback worker consume from it? lab.queues() shows it."
                )
        return self

    @property
    def results(self) -> list[str]:
        """The bodies in the order in which they arrived."""
        return [arrival.body for arrival in self.arrivals]

    @property
    def arrivals(self) -> list[Arrival]:
        """All messages that have arrived since the feed was made."""
        with self._settled:
            return list(self._arrivals.values())

    def end(self) -> None:
        """Stop watching; calling it again has no effect."""
        for end in self._ends:
            end()

    def __str__(self) -> str:
        rows = [
            {"message": a.number, "body": a.body, "from": a.sender, "to": a.receiver, "state": a.state}
            for a in self.arrivals
        ]
        return repr(Table(("message", "body", "from", "to", "state"), rows, empty="(nothing arrived yet)"))

    def __repr__(self) -> str:
        return f"Arrivals({self._queue!r})"

    def _take(self, step: Step) -> None:
        """Record what happened to a message on this queue; called in the tap's thread."""
        number = step.message.number
        names = step.message.places if step.what == PUBLISHED else (step.queue,)
        queue = next((name for name in names if self._queue in (name, self._shown(name))), None)
        if queue is None or (step.what not in ARRIVING and number not in self._arrivals):
            return
        with self._settled:
            if number not in self._arrivals:
                self._arrivals[number] = Arrival(len(self._arrivals) + 1, step.message, queue)
            if self._arrivals[number].state == "acknowledged":
                self._acknowledged.add(number)
            self._settled.notify_all()
        self._notify()
