"""The requests that a panel fired, what the client and the wire show of each, and the counts of their states."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import dataclass, field

from rpclab.errors import RemoteError, RpcTimeout
from rpclab.operate.request_times import AnswerTimes
from rpclab.rpc.client import RpcFuture
from rpclab.story.story import Story
from rpclab.wire.messages import BACK_IN_THE_QUEUE, REJECTED, REQUEST, Message, Step

AT_WORKERS = "at workers"
# In the order of the summary.
STATES = (
    "pending", "queued", AT_WORKERS, "rejected", "answered", "answered late", "failed", "timed out", "cancelled",
)


@dataclass(eq=False)
class Request:
    """One request that the panel fired, and what happened to it.

    Attributes
    ----------
    number : int
        1 for the panel's first.
    arguments : tuple
        The client's arguments.
    state : str
        In flight it is ``pending`` (not seen on the wire), ``queued``, ``at`` a worker, for example
        ``at AdditionServer-0``, or ``rejected`` by it; then ``answered``, ``failed``, ``timed out``, ``answered late``
        (timed out, and then the reply came) or ``cancelled``.
    answer : object
        The result, or the error.
    worker : str or None
        Name of the process that replied.
    seconds : float or None
        From sending to the outcome.
    correlation_id : str or None
        The id that the request and its reply share.
    outcome : str or None
        The state that the client's call ended in; None while it waits.
    message : Message or None
        Its record in the lab's story; None if the tap did not see it.
    future : RpcFuture or None
        The client's call while it waits; a call keeps a dozen objects alive, and a panel has many.
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
        """The first reply that was delivered after the call had ended."""
        replies = self.message.replies if self.message else ()
        return next((reply for reply in replies if reply.deliveries), None)

    @property
    def said(self) -> object:
        """The text in the column of answers: the result, the error, or the late reply."""
        late = self.late_reply if self.state == "answered late" else None
        return f"{late.text()} (too late)" if late else self.answer


class RequestLog:
    """Keeps a panel's requests up to date; may be used from any thread.

    Parameters
    ----------
    changed : callable
        Called after each change, in the thread that made it.

    Attributes
    ----------
    counts : collections.Counter of str
        The number of requests in each state; those at any worker count as ``at workers``.
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
        """Follow the requests in a story; call the returned function to end that."""
        self._story = story
        return story.listen(self._take)

    def add(self, arguments: Iterable[tuple]) -> list[Request]:
        """Record requests before they are sent."""
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
        """Record the call that makes a request; cancel it if the request was given up before."""
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
        """Record how a call ended; one that has ended before, for example because it was given up, stays so."""
        error = None if done.cancelled() else done.exception()
        worker, seconds = getattr(done, "worker", None), getattr(done, "seconds", None)
        if worker is None and not done.cancelled() and (error is None or isinstance(error, RemoteError)):
            # The case study's servers do not sign their replies; the wire shows which one had the request.
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
                if seconds is not None:
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
        """Cancel all requests in flight; the client drops their replies."""
        with self._idle:
            under_way = [request for request in self._requests if request.outcome is None]
        for request in under_way:
            # Cancelling a call settles its request by its callback; a request without a call will not be sent.
            call: Future = request.future or Future()
            if call.cancel() or call.cancelled():
                self.settle(request, call)

    @property
    def requests(self) -> list[Request]:
        """All requests so far, in order."""
        with self._idle:
            return list(self._requests)

    def last(self, count: int) -> list[Request]:
        """Return the last requests, in order."""
        with self._idle:
            return self._requests[-count:]

    @property
    def pending(self) -> int:
        """How many requests have no outcome yet."""
        return self._pending

    @property
    def progress(self) -> tuple[int, int]:
        """The number of requests with an outcome, and of all requests, since the panel was last idle."""
        with self._idle:
            total = len(self._requests) - self._batch
            return total - self._pending, total

    def wait(self, timeout: float) -> bool:
        """Return True as soon as all requests have an outcome, or False after the timeout in seconds."""
        with self._idle:
            return self._idle.wait_for(lambda: not self._pending, timeout)

    def __len__(self) -> int:
        return len(self._requests)

    def _seen(self, correlation_id: str | None) -> Message | None:
        # Not with the log's lock held: the story holds its own lock while it calls the log.
        return self._story.request(correlation_id) if self._story and correlation_id else None

    def _take(self, step: Step) -> None:
        """Record what happened to a request or its reply; called in the tap's thread."""
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
        """Set a request's current state; the lock is held."""
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
    """Return where a request without an outcome is."""
    if message is None:
        return "pending"
    if not message.deliveries or message.deliveries[-1].outcome in BACK_IN_THE_QUEUE:
        return "queued"
    last = message.deliveries[-1]
    return "rejected" if last.outcome == REJECTED else f"at {last.to}"


def _counted(state: str) -> str:
    return AT_WORKERS if state.startswith("at ") else state
