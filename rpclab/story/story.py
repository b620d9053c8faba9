"""Stories: messages with all that happened to them, to wait for, print and draw."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from rpclab.errors import LabError
from rpclab.story.details import table
from rpclab.story.diagram import MOST_MESSAGES, Picture, sequence
from rpclab.story.timeline import MOST_BARS, timeline
from rpclab.table import Table
from rpclab.wire.events import Event
from rpclab.wire.follower import Follower
from rpclab.wire.journal import Journal
from rpclab.wire.listeners import Listeners
from rpclab.wire.messages import REQUEST, Message, Step

if TYPE_CHECKING:
    from rpclab.story.player import Player

KEPT = 12_000
# How long a recording goes on after its block if all is settled; otherwise, after the last event.
QUIET_SECONDS = 0.05
PATIENCE_SECONDS = 0.5
LONGEST_SECONDS = 5.0
PAUSE_SECONDS = 0.01
CHECK_SECONDS = 0.05
# More than a message takes whose way has an end.
LOOP_STEPS = 100

T = TypeVar("T")


class Story:
    """The messages of a lab, built from the events of its tap.

    Parameters
    ----------
    shown : callable
        Turns a queue's name into the one for people; see `Registry.shown`.
    keep : int
        How many messages are remembered; the oldest go first.
    journal : Journal, optional
        What the connections did besides: that of the tap's registry.
    begun : float
        When the recording began, in seconds of ``time.monotonic()``; 0 if with the tap.
    end : float or None
        When it ended; None while it goes on.
    messages : iterable of Message
        What it has from the beginning, in order.

    Attributes
    ----------
    shown, journal, begun, end : callable, Journal, float, float or None
        As given. Everything in a story has real names.
    """

    def __init__(
        self, shown: Callable[[str], str] = str, *, keep: int = KEPT, journal: Journal | None = None, begun: float = 0,
        end: float | None = None, messages: Iterable[Message] = (),
    ):
        self.end = end
        self.begun = begun
        self.journal = journal or Journal()
        self.shown = shown
        self._listeners: Listeners[Step] = Listeners()
        self._follower = Follower(keep, self._stepped)
        self._follower.messages.update((message.number, message) for message in messages)
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._last_news = time.monotonic()
        self._in_a_loop = False

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
        """The time of all states: the recording's end, or now while it goes on."""
        return self.end or time.monotonic()

    def take(self, event: Event) -> None:
        """Take the next event; events must come in the tap's order."""
        with self._lock:  # quicker than by way of the condition
            self._in_a_loop = False
            if self._follower.take(event):
                if not self._in_a_loop:
                    self._last_news = time.monotonic()
                self._changed.notify_all()

    def _stepped(self, step: Step) -> None:
        self._in_a_loop = len(step.message.steps) > LOOP_STEPS
        self._listeners.tell(step)

    def listen(self, callback: Callable[[Step], None], *, past: bool = False) -> Callable[[], None]:
        """Call a function with each step of a message, when the message is up to date.

        Parameters
        ----------
        callback : callable
            Runs in the tap's thread, before the message is forwarded: it must return quickly, and must not use the
            story.
        past : bool
            Whether to call it first, immediately, with all steps so far, in order.

        Returns
        -------
        callable
            Call it to end the subscription.
        """
        with self._changed:
            if past:
                steps = [step for message in self._follower.messages.values() for step in message.steps]
                for step in sorted(steps, key=lambda step: step.order):
                    callback(step)
            return self._listeners.add(callback)

    def request(self, correlation_id: str) -> Message | None:
        """Return the request with a correlation id, or None if it was not seen.

        An id is valid for its client alone: if several clients count 1, 2, 3, the first request with this id is
        returned.
        """
        with self._changed:
            return self._follower.request(correlation_id)

    def settle(self, count: int | None = None) -> Story:
        """Wait until all deliveries are acknowledged and all requests answered.

        It does not wait for what hangs on purpose: it returns half a second after the last event. The steps of a
        message that goes back and forth between a queue and a consumer are events up to the hundredth.

        Parameters
        ----------
        count : int, optional
            How many of the last messages to wait for; all if not given.
        """
        begun = time.monotonic()
        while True:
            with self._changed:
                now = time.monotonic()
                patience = QUIET_SECONDS if self._is_settled(count) else PATIENCE_SECONDS
                due = min(max(begun, self._last_news) + patience, begun + LONGEST_SECONDS)
                if now >= due:
                    return self
                more = self._changed.wait(due - now)
            if more:
                # Without the lock: there may be thousands of events a second, and `take` needs it for each.
                time.sleep(PAUSE_SECONDS)

    def wait_for(self, condition: Callable[[], T | None], timeout: float, what: str = "this") -> T:
        """Return a condition's first true value; it is checked when a message takes a step, and 20 times a second.

        Raises
        ------
        LabError
            If it has none within the given seconds.
        """
        due = time.monotonic() + timeout
        while not (value := condition()):
            if time.monotonic() > due:
                raise LabError(f"After {timeout:g} s the lab still waits for {what}. lab.last(10) shows what happened.")
            # Not around the condition, which may ask the broker: the tap needs the lock to pass the answer.
            with self._changed:
                self._changed.wait(CHECK_SECONDS)
        return value

    def last(self, count: int) -> Story:
        """Return a story of the last ``count`` messages, with their requests and all replies to them."""
        asked = [message.request or message for message in (self.messages[-count:] if count > 0 else ())]
        chosen = {one.number: one for request in asked for one in (request, *request.replies)}
        return self._of([message for _, message in sorted(chosen.items())])

    def whole(self) -> Story:
        """Return a story of all messages so far that ends here."""
        return self._of(self.messages, begun=self.begun)

    def of(self, *names: str) -> Story:
        """Return a story of the messages with these names, for example ``request 1``, and their replies."""
        return self._of([m for m in self.messages if m.name in names or (m.request and m.request.name in names)])

    def table(self) -> Table:
        """Return a row for each message: its publisher, queue, consumers and state."""
        return table(self.messages, self.now, self.shown)

    def sequence(self, *, most: int = MOST_MESSAGES) -> Picture:
        """Return a sequence diagram: publishers, queues, consumers, and the path of each message.

        Causes are drawn before their effects. Where only chance decided the order, it is drawn the same in each run;
        see `rpclab.story.causal`.

        Parameters
        ----------
        most : int
            How many messages are drawn; of more, the first and the last, with the number left out.
        """
        return sequence(self.messages, self.now, self.shown, most=most)

    def timeline(self, *, round_to: float = 0.001, most: int = MOST_BARS) -> Picture:
        """Return a chart with a lane for each queue and process: messages that wait, and that are held unacked.

        Parameters
        ----------
        round_to : float
            Times are rounded to this many seconds; a coarse value makes the chart the same in each run.
        most : int
            How many messages are drawn; of more, the first and the last.
        """
        return timeline(self.messages, self.now, self.shown, round_to=round_to, most=most)

    def player(self) -> Player:
        """Return a player: the story step by step, in a notebook or any page with its saved output.

        It needs no kernel and loads nothing; data and script are in the output itself.

        Raises
        ------
        InvalidOption
            If there are more than 400 messages; ``story.last(400)`` has the last ones.
        """
        from rpclab.story.player import Player

        return Player(self)

    def save(self, path: str | Path, *, redact: str | Iterable[str] = ()) -> Path:
        """Write the story to one HTML file that needs no network, and return its path.

        It has the player, the sequence, the table and the messages' properties.

        Parameters
        ----------
        path : str or Path
            The file, such as ``why.html``; one that exists is replaced.
        redact : str or iterable of str
            What to leave out: ``"bodies"``, ``"headers"``, or both. Passwords are never in it.

        Raises
        ------
        LabError
            If the file cannot be written.
        """
        from rpclab.story import page, saved

        return page.write(saved.from_dict(saved.to_dict(self, redact)), Path(path))

    def to_json(self, *, redact: str | Iterable[str] = (), indent: int | None = None) -> str:
        """Return the story as JSON, in the format that `rpclab.story.saved` documents; see `save` for ``redact``."""
        from rpclab.story import saved

        return json.dumps(saved.to_dict(self, redact), indent=indent)

    @classmethod
    def from_json(cls, text: str | bytes) -> Story:
        """Return the story that `to_json` wrote.

        Raises
        ------
        LabError
            If the text is not a story, or one of another version.
        """
        from rpclab.story import saved

        return saved.read_json(text)

    def __len__(self) -> int:
        return len(self._follower.messages)

    def __repr__(self) -> str:
        return repr(self.table())

    def _repr_html_(self) -> str:
        return self.table()._repr_html_()

    def _of(self, chosen: list[Message], *, begun: float | None = None) -> Story:
        if begun is None:
            begun = max(self.begun, min((message.time for message in chosen), default=self.now))
        return Story(self.shown, journal=self.journal, begun=begun, end=self.now, messages=chosen)

    def _is_settled(self, count: int | None) -> bool:
        now = time.monotonic()
        return all(
            (message.settled and message.answer(now) != "pending") or message.state(now) in ("expired", "no queue")
            for message in islice(reversed(self._follower.messages.values()), count)
        )
