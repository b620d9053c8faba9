"""The requests that a panel fired, what the client and the wire say of each, and how many are in which state."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import dataclass, field

from rpclab.errors import RemoteError, RpcTimeout
from rpclab.rpc.client import RpcFuture
from rpclab.widgets.request_times import AnswerTimes
from rpclab.wire.messages import BACK_IN_THE_QUEUE, REJECTED, REQUEST, Message, Step
from rpclab.wire.story import Story

AT_WORKERS = "at workers"
# In the order in which they are counted up.
STATES = (
    "pending", "queued", AT_WORKERS, "rejected", "answered", "answered late", "failed", "timed out", "cancelled",
)


@dataclass(eq=False)
class Request:
    """One request that the panel fired, and what became of it.

    Attributes
    ----------
    number : int
        1 for the panel's first.
    arguments : tuple
        What was asked.
    state : str
        While it is under way ``pending`` (not seen on the wire), ``queued``, ``at`` a worker, for example
        ``at AdditionServer-0``, or ``rejected`` by it; then ``answered``, ``failed``, ``timed out``, ``answered late``
        (timed out, and the reply came all the same) or ``cancelled``.
    answer : object
        The result, or what went wrong.
    worker : str or None
        Name of the process that answered.
    seconds : float or None
        From sending to the outcome.
    correlation_id : str or None
        What ties the answer to the request.
    outcome : str or None
        The state that the client's call ended in; None while it is under way.
    message : Message or None
        What the lab's story knows of it; None if the tap did not see it.
    future : RpcFuture or None
        The client's call while it is under way; a call keeps a dozen objects alive, and a panel has many.
    """

    number: int
    arguments: tuple
    state: str = "pending"
    answer: object = None
    worker: str | None = None
    seconds: float | None = None
    correlation_id: str | None = None
    outcome: str | None = None
    message: Message | None = field(default=None, repr=False)
    future: RpcFuture | None = field(default=None, repr=False)

    @property
    def late_reply(self) -> Message | None:
        """The first reply that has been delivered, of a request that nobody waited for any more."""
        replies = self.message.replies if self.message else ()
        return next((reply for reply in replies if reply.deliveries), None)

    @property
    def said(self) -> object:
        """What there is to show for an answer: the result, what went wrong, or the reply that came too late."""
        return f"{self.late_reply.text()} (too late)" if self.state == "answered late" else self.answer


class RequestLog:
    """Keeps a panel's requests up to date; may be used from any thread.

    Parameters
    ----------
    changed : callable
        Called after each change, in the thread that made it.

    Attributes
    ----------
    counts : collections.Counter of str
        How many requests are in which state; all that are at some worker count as ``at workers``.
    times : AnswerTimes
        How long the answers took.
    """

    def __init__(self, changed: Callable[[], None]):
        self.counts: Counter[str] = Counter()
        self.times = AnswerTimes()
        self._changed = changed
        self._requests: list[Request] = []
        self._by_id: dict[str, Request] = {}
        self._pending = 0
        self._batch = 0
        self._story: Story | None = None
        self._idle = threading.Condition()

    def follow(self, story: Story) -> Callable[[], None]:
        """Take from a story where the requests are; call what is returned to end that."""
        self._story = story
        return story.listen(self._take)

    def add(self, arguments: Iterable[tuple]) -> list[Request]:
        """Take down requests that are about to be sent."""
        with self._idle:
            if not self._pending:
                self._batch = len(self._requests)
            added = [Request(number, asked) for number, asked in enumerate(arguments, len(self._requests) + 1)]
            self._requests += added
            self._pending += len(added)
            self.counts["pending"] += len(added)
        self._changed()
        return added

    def sent(self, request: Request, future: RpcFuture) -> None:
        """Take down which call makes a request; one that was given up meanwhile is cancelled."""
        with self._idle:
            given_up = request.outcome is not None
            request.future = None if given_up else future
            request.correlation_id = future.correlation_id
            self._by_id[future.correlation_id] = request
        if given_up:
            future.cancel()
        elif message := self._seen(future.correlation_id):
            # It was published before its correlation id was known here.
            with self._idle:
                request.message = message
                self._restate(request)
            self._changed()

    def settle(self, request: Request, done: Future) -> None:
        """Take down what a call ended in; one that ended before, for example by being given up, stays so."""
        error = None if done.cancelled() else done.exception()
        worker, seconds = getattr(done, "worker", None), getattr(done, "seconds", None)
        if worker is None and not done.cancelled() and (error is None or isinstance(error, RemoteError)):
            # The case study's servers do not sign their replies; the wire knows who had the request.
            message = self._seen(getattr(done, "correlation_id", None))
            worker = message.deliveries[-1].to if message and message.deliveries else None
        with self._idle:
            if request.outcome is not None:
                return
            request.future, request.worker, request.seconds = None, worker, seconds
            request.correlation_id = getattr(done, "correlation_id", None)
            if done.cancelled():
                request.outcome = "cancelled"
            elif error is None:
                request.outcome, request.answer = "answered", done.result()
                self.times.add(seconds)
            else:
                request.outcome = "timed out" if isinstance(error, RpcTimeout) else "failed"
                request.answer = error
            self._pending -= 1
            self._restate(request)
            if not self._pending:
                self._idle.notify_all()
        self._changed()

    def give_up(self) -> None:
        """Cancel all that is under way; a reply that comes later is dropped by the client."""
        with self._idle:
            under_way = [request for request in self._requests if request.outcome is None]
        for request in under_way:
            # Cancelling a call settles its request by its callback; what has no call yet will not be sent.
            call = request.future or Future()
            if call.cancel() or call.cancelled():
                self.settle(request, call)

    @property
    def requests(self) -> list[Request]:
        """All requests so far, in order."""
        with self._idle:
            return list(self._requests)

    @property
    def pending(self) -> int:
        """How many requests have no outcome yet."""
        return self._pending

    @property
    def progress(self) -> tuple[int, int]:
        """How many of the requests fired since the panel was last at rest have an outcome, and how many they are."""
        with self._idle:
            total = len(self._requests) - self._batch
            return total - self._pending, total

    def wait(self, timeout: float) -> bool:
        """Return whether all requests have an outcome, as soon as they have and after so many seconds at the latest."""
        with self._idle:
            return self._idle.wait_for(lambda: not self._pending, timeout)

    def __len__(self) -> int:
        return len(self._requests)

    def _seen(self, correlation_id: str | None) -> Message | None:
        # Not to be asked with the log's own lock held: the story has its lock while it tells the log of a step.
        return self._story.request(correlation_id) if self._story and correlation_id else None

    def _take(self, step: Step) -> None:
        """Take note of what happened to a request or its reply; called in the tap's thread."""
        message = step.message.request or step.message
        if message.kind != REQUEST:
            return
        with self._idle:
            request = self._by_id.get(message.properties.correlation_id)
            if request is None or message.repeats:
                return
            request.message = message
            changed = self._restate(request)
        if changed:
            self._changed()

    def _restate(self, request: Request) -> bool:
        """Give a request the state that it is in by now; the lock is held."""
        now = _on_the_wire(request.message) if request.outcome is None else request.outcome
        if now == "timed out" and request.late_reply:
            now = "answered late"
        if now == request.state:
            return False
        self.counts[_counted(request.state)] -= 1
        self.counts[_counted(now)] += 1
        request.state = now
        return True


def _on_the_wire(message: Message | None) -> str:
    """Return where a request is that has no outcome yet."""
    if message is None:
        return "pending"
    if not message.deliveries or message.deliveries[-1].outcome in BACK_IN_THE_QUEUE:
        return "queued"
    last = message.deliveries[-1]
    return "rejected" if last.outcome == REJECTED else f"at {last.to}"


def _counted(state: str) -> str:
    return AT_WORKERS if state.startswith("at ") else state
