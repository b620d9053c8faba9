"""From frames to stories: messages with all that happened to them, to be waited for, printed and drawn."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from itertools import islice
from typing import TypeVar

from rpclab.errors import LabError
from rpclab.table import Table
from rpclab.wire.diagram import MOST_MESSAGES, Picture, sequence
from rpclab.wire.follower import Follower
from rpclab.wire.frames import Event
from rpclab.wire.messages import REQUEST, Message, Step
from rpclab.wire.timeline import MOST_BARS, timeline

KEPT = 12_000
# How long a recording goes on after its block when all is settled, and when something is not, after the last event.
QUIET_SECONDS = 0.05
PATIENCE_SECONDS = 0.5
LONGEST_SECONDS = 5.0

T = TypeVar("T")


class Story:
    """The messages of a lab, put together from the events of its tap.

    Parameters
    ----------
    shown : callable
        Turns a queue's name into the one that people are shown; see `Registry.shown`.
    keep : int
        How many messages are remembered; the oldest go first.

    Attributes
    ----------
    end : float or None
        When the recording ended, in seconds of ``time.monotonic()``; None while it goes on.
    """

    def __init__(self, shown: Callable[[str], str] = str, *, keep: int = KEPT):
        self.end: float | None = None
        self._shown = shown
        self._follower = Follower(shown, keep, self._tell)
        self._listeners: list[Callable[[Step], None]] = []
        self._changed = threading.Condition()
        self._last_event = time.monotonic()

    @property
    def messages(self) -> list[Message]:
        """All messages, in the order in which they were published."""
        with self._changed:
            return list(self._follower.messages.values())

    @property
    def requests(self) -> list[Message]:
        """The messages that ask for a reply."""
        return [message for message in self.messages if message.kind == REQUEST]

    @property
    def now(self) -> float:
        """The time that states refer to: the recording's end, or the present while it goes on."""
        return self.end or time.monotonic()

    def take(self, event: Event) -> None:
        """Take the next event; they have to come in the order in which the tap saw them."""
        with self._changed:
            if self._follower.take(event):
                self._last_event = time.monotonic()
                self._changed.notify_all()

    def listen(self, callback: Callable[[Step], None], *, past: bool = False) -> Callable[[], None]:
        """Call a function with each step of a message, when the message is up to date.

        Parameters
        ----------
        callback : callable
            Runs in the tap's thread: it must return quickly, not raise, and not ask the story for anything.
        past : bool
            Whether to call it first, here and now, with all steps so far, in order.

        Returns
        -------
        callable
            Call it to end that.
        """
        with self._changed:
            if past:
                steps = [step for message in self._follower.messages.values() for step in message.steps]
                for step in sorted(steps, key=lambda step: step.order):
                    callback(step)
            self._listeners.append(callback)

        def end() -> None:
            if callback in self._listeners:
                self._listeners.remove(callback)

        return end

    def request(self, correlation_id: str) -> Message | None:
        """Return the request with a correlation id, or None if it was not seen."""
        with self._changed:
            return self._follower.request(correlation_id)

    def settle(self, count: int | None = None) -> Story:
        """Wait until nothing more is to be expected: all that was delivered is acknowledged, all requests answered.

        What hangs on purpose is not waited for: half a second after the last event it is taken as it is.

        Parameters
        ----------
        count : int, optional
            How many of the last messages to wait for; all if not given.
        """
        begun = time.monotonic()
        with self._changed:
            while True:
                now = time.monotonic()
                patience = QUIET_SECONDS if self._is_settled(count) else PATIENCE_SECONDS
                due = min(max(begun, self._last_event) + patience, begun + LONGEST_SECONDS)
                if now >= due:
                    return self
                self._changed.wait(due - now)

    def wait_for(self, condition: Callable[[], T], timeout: float, what: str = "this") -> T:
        """Return a condition's first true value; it is asked whenever something happened to a message.

        Raises
        ------
        LabError
            If it has none within so many seconds.
        """
        with self._changed:
            value = self._changed.wait_for(condition, timeout)
        if not value:
            raise LabError(f"After {timeout:g} s the lab still waits for {what}. lab.last(10) shows what happened.")
        return value

    def last(self, count: int) -> Story:
        """Return a story of the last so many messages, with what they answer and all that answers it."""
        chosen = {}
        for message in self.messages[-count:] if count > 0 else []:
            asked = message.request or message
            chosen.update({one.number: one for one in (asked, *asked.replies)})
        return self._of(message for _, message in sorted(chosen.items()))

    def of(self, *names: str) -> Story:
        """Return a story of the messages with these names, for example ``request 1``, and their replies."""
        return self._of(m for m in self.messages if m.name in names or (m.request and m.request.name in names))

    def table(self) -> Table:
        """Return a row for each message: who published it, where to, who took it, what became of it."""
        rows = [
            {
                "message": message.name,
                "body": message.text(),
                "from": message.publisher or "unknown",
                "queue": message.queue,
                "to": ", ".join(delivery.to for delivery in message.deliveries) or None,
                "state": message.state(self.now),
                "answer": message.answer(self.now) or None,
            }
            for message in self.messages
        ]
        columns = ("message", "body", "from", "queue", "to", "state", "answer")
        return Table(columns, rows, empty="(no messages)")

    def sequence(self, *, most: int = MOST_MESSAGES) -> Picture:
        """Return a sequence diagram: publishers, queues, consumers, and each message on its way.

        Parameters
        ----------
        most : int
            How many messages are drawn; of more, the first and the last, and how many are left out.
        """
        return sequence(self.messages, self.now, most=most)

    def timeline(self, *, round_to: float = 0.001, most: int = MOST_BARS) -> Picture:
        """Return a chart with a lane for each queue and process: messages that wait, and that are held unacked.

        Parameters
        ----------
        round_to : float
            Times are rounded to so many seconds; a coarse value makes the chart the same in each run.
        most : int
            How many messages are drawn; of more, the first and the last.
        """
        return timeline(self.messages, self.now, round_to=round_to, most=most)

    def __len__(self) -> int:
        return len(self._follower.messages)

    def __repr__(self) -> str:
        return repr(self.table())

    def _repr_html_(self) -> str:
        return self.table()._repr_html_()

    def _tell(self, step: Step) -> None:
        for listener in tuple(self._listeners):
            listener(step)

    def _of(self, messages: Iterable[Message]) -> Story:
        part = Story(self._shown)
        part._follower.messages.update((message.number, message) for message in messages)
        part.end = self.now
        return part

    def _is_settled(self, count: int | None) -> bool:
        now = time.monotonic()
        return all(
            (message.settled and message.answer(now) != "pending") or message.state(now) in ("expired", "no queue")
            for message in islice(reversed(self._follower.messages.values()), count)
        )
