"""The deadlines of a client's requests, and what the client finds out for a `RpcTimeout` to say."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

from pika.adapters.select_connection import IOLoop

from rpclab.errors import LabError, RequestRejected, RpcTimeout
from rpclab.rpc.reliability import failure_messages
from rpclab.rpc.request import SentRequest
from rpclab.rpc.stats import Stats

if TYPE_CHECKING:
    from rpclab.rpc.pending_calls import PendingCalls

# How long before a deadline the client inspects the queue, so that the timeout can report its counts.
LEAD_SECONDS = 0.1
# How long after a deadline the timeout waits for the counts, and how often it looks. Only a busy machine needs it.
LATE_SECONDS = 0.25
LOOK_SECONDS = 0.01


class Deadlines:
    """Ends each request at its deadline, with an error that says what is known of the reason.

    Parameters
    ----------
    loop : IOLoop
        What timers run on.
    queue : str
        Where requests go.
    stats : Stats
        The client's, for the replies that matched no request.
    calls : PendingCalls
        Its `expire` is called with a request and the error.
    """

    def __init__(self, loop: IOLoop, queue: str, stats: Stats, calls: PendingCalls):
        self._loop = loop
        self._queue = queue
        self._stats = stats
        self._calls = calls

    def start(self, request: SentRequest) -> None:
        """Set a request's timer."""
        request.unmatched = self._stats.unmatched
        lead = min(LEAD_SECONDS, request.call.timeout / 2)
        request.deadline_timer = self._loop.call_later(
            max(0, request.deadline - lead - time.monotonic()), partial(self._inspect_queue, request)
        )

    def stop(self, request: SentRequest) -> None:
        """Remove a request's timer."""
        if request.deadline_timer is not None:
            self._loop.remove_timeout(request.deadline_timer)
            request.deadline_timer = None

    def _inspect_queue(self, request: SentRequest) -> None:
        """Inspect the queue, in time for the deadline."""
        link = self._calls.link
        if link and link.open and link.inspection and not request.call.cancelled():
            link.inspection.ask()
        request.deadline_timer = self._loop.call_later(
            max(0, request.deadline - time.monotonic()), partial(self._on_deadline, request)
        )

    def _on_deadline(self, request: SentRequest) -> None:
        inspection = self._calls.link and self._calls.link.inspection
        late = time.monotonic() - request.deadline
        # A broker that has not confirmed the request does not answer this either.
        if inspection and inspection.waiting and request.taken and late < LATE_SECONDS and not request.call.cancelled():
            request.deadline_timer = self._loop.call_later(LOOK_SECONDS, partial(self._on_deadline, request))
            return
        self._calls.expire(request, self._error(request))

    def _error(self, request: SentRequest) -> LabError:
        link = self._calls.link
        if link is None or not link.open:
            where = link.where if link else "The broker"
            return RpcTimeout(failure_messages.not_connected(request, where, self._calls.resending.trouble))
        found = link.inspection.found if link.inspection else None
        if request.rejected and request.rejected == request.call.times_sent:
            return RequestRejected(f"{failure_messages.rejection(self._queue)} {failure_messages.attempts(request)}")
        return RpcTimeout(failure_messages.no_reply(request, self._queue, found, self._stats))
