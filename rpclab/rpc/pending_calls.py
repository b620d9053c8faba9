"""What happens to the calls of an `RpcClient`: each waits in a dict under its correlation id until something ends it.

That is its reply (`replied`), an error of the broker's (`settled`), its deadline (`_on_deadline`) or the end of the
connection (`end`). All of it runs in the thread of the connection.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pika
from pika.adapters.select_connection import IOLoop

from rpclab.errors import Blocked, ConnectionLost, LabError, RequestRejected, RpcTimeout, UnroutableError
from rpclab.rpc.protocol import RESENT
from rpclab.rpc.reliability import failure_messages
from rpclab.rpc.reliability.client_connection import ClientConnection
from rpclab.rpc.reliability.publisher import Message, Outcome
from rpclab.rpc.reliability.stream import single
from rpclab.rpc.request import Request, fail
from rpclab.rpc.stats import Stats

# How long before a deadline the client inspects the queue, so that the timeout can report its counts.
LEAD_SECONDS = 0.1
# How long after a deadline the timeout waits for the counts, and how often it looks. Only a busy machine needs it.
LATE_SECONDS = 0.25
LOOK_SECONDS = 0.01
# How long a channel is used on which the broker has begun to reject: it may stay cut off from a queue that recovers.
RENEW_SECONDS = 1.0


class PendingCalls:
    """Each request from its submission to its outcome: a reply, an error of the broker's, or its deadline.

    Parameters
    ----------
    loop : IOLoop
        What timers run on.
    queue : str
        Where requests go.
    read : callable
        Takes a reply's properties and body; returns the result or raises the error that the reply stands for.
    stats : Stats
        Where to count.
    retry : float, optional
        Seconds after which a request without a reply is sent again, and then after twice as long each time.

    Attributes
    ----------
    link : ClientConnection or None
        The connection, opening or open.
    """

    def __init__(
        self, loop: IOLoop, queue: str, read: Callable[[pika.BasicProperties, bytes], object], stats: Stats,
        retry: float | None,
    ):
        self.link: ClientConnection | None = None
        self._loop = loop
        self._queue = queue
        self._read = read
        self._stats = stats
        self._retry = retry
        self._pending: dict[str, Request] = {}
        self._trouble: LabError | None = None
        self._rejecting_since: float | None = None

    def __len__(self) -> int:
        return len(self._pending)

    # A request is sent: https://www.rabbitmq.com/docs/confirms

    def add(self, request: Request) -> None:
        """Take a request, and send it as soon as there is a connection."""
        call = request.call
        if call.cancelled():
            return
        self._pending[call.correlation_id] = request
        request.unmatched = self._stats.unmatched
        lead = min(LEAD_SECONDS, call.timeout / 2)
        request.timer = self._loop.call_later(
            max(0, request.deadline - lead - time.monotonic()), partial(self._near_deadline, request)
        )
        if self.link and self.link.open:
            self._send(self.link, request)
        else:
            request.waited = True

    def _send(self, link: ClientConnection, request: Request) -> None:
        if link.blocked is not None:
            self._fail(request, Blocked(failure_messages.blocked(link.blocked, request)))
            return
        call = request.call
        again = call.times_sent > 0
        headers = {**request.headers, RESENT: call.times_sent} if again else request.headers
        properties: dict[str, Any] = {"headers": headers or None}
        if request.reply_to is None:
            # No caller waits for it any more, so no worker should process it.
            seconds = request.deadline - time.monotonic() if again or request.waited else call.timeout
            properties["expiration"] = str(max(1, int(seconds * 1000)))
        if self._retry or request.reply_to:
            # The reply to `send` is for a consumer that may come later: the request should outlive a broker's restart.
            properties["delivery_mode"] = pika.DeliveryMode.Persistent.value
        call.times_sent += 1
        self._stats.sent += not again
        self._stats.resent += again
        request.taken = None
        link.publish(request, **properties)
        if self._retry:
            # Twice as long each time: requests that are only slow must not be buried under copies of themselves.
            request.pause = 2 * request.pause or self._retry
            request.retry = self._loop.call_later(request.pause, partial(self._send_again, request))

    def settled(self, message: Message, outcome: Outcome) -> None:
        """Record what the broker did with a request: it was taken, returned or rejected."""
        if outcome is Outcome.REJECTED and self._retry:
            self._rejecting_since = self._rejecting_since or time.monotonic()
        request = self._pending.get(message.properties.correlation_id)
        if request is None:
            return
        if outcome is Outcome.CONFIRMED:
            self._confirmed(request)
        elif outcome is Outcome.RETURNED:
            self._send_back(request, UnroutableError(failure_messages.no_queue(self._queue)))
        else:
            self._rejected(request)

    def _confirmed(self, request: Request) -> None:
        """Record that the broker has taken a request, which is all that `send` waits for."""
        request.taken = True
        if request.reply_to and self._settle(request, "answered"):
            request.call.set_result(None)

    def _rejected(self, request: Request) -> None:
        """End a request that the broker has rejected, or with ``retry`` wait for another attempt."""
        request.taken = False
        request.rejected += 1
        if not self._retry:
            self._send_back(request, RequestRejected(failure_messages.rejection(self._queue)))

    def _send_back(self, request: Request, error: LabError) -> None:
        """End a request that no queue has taken."""
        if self._settle(request, "returned"):
            self._stats.returned += 1
            request.call.set_exception(error)

    # Its reply comes

    def replied(self, properties: pika.BasicProperties, body: bytes) -> None:
        """Give a reply to the call that it belongs to."""
        request = self._pending.get(properties.correlation_id or "")
        if request and request.call.cancelled():
            self._settle(request, "timed out")
            request = None
        if request is None or request.reply_to:
            self._stats.count_unmatched(properties.correlation_id)
            return
        if request.parts and request.parts.has(properties):
            self._stats.duplicate += 1
            return
        request.call.worker = (properties.headers or {}).get("worker")
        read = partial(self._read, properties, body)
        result = None
        try:
            if request.parts is None:  # not a call of `stream`
                result = single(properties, read)
            elif not request.parts.take(properties, read):
                return
        except LabError as error:
            self._settle(request, "answered")
            self._stats.failed += 1
            request.call.set_exception(error)
        else:
            self._settle(request, "answered")
            self._stats.answered += 1
            request.call.set_result(result)

    # No reply comes: only a deadline that belongs to the call ends the wait

    def _near_deadline(self, request: Request) -> None:
        """Inspect the queue, in time for the deadline."""
        if self.link and self.link.open and self.link.inspection and not request.call.cancelled():
            self.link.inspection.ask()
        request.timer = self._loop.call_later(
            max(0, request.deadline - time.monotonic()), partial(self._on_deadline, request)
        )

    def _on_deadline(self, request: Request) -> None:
        inspection = self.link and self.link.inspection
        late = time.monotonic() - request.deadline
        # A broker that has not confirmed the request does not answer this either.
        if inspection and inspection.waiting and request.taken and late < LATE_SECONDS and not request.call.cancelled():
            request.timer = self._loop.call_later(LOOK_SECONDS, partial(self._on_deadline, request))
            return
        error = self._timeout(request)
        if self._settle(request, "timed out"):
            self._stats.timed_out += 1
            request.call.set_exception(error)

    def _timeout(self, request: Request) -> LabError:
        link = self.link
        if link is None or not link.open:
            where = link.where if link else "The broker"
            return RpcTimeout(failure_messages.not_connected(request, where, self._trouble))
        found = link.inspection.found if link.inspection else None
        if request.rejected and request.rejected == request.call.times_sent:
            return RequestRejected(f"{failure_messages.rejection(self._queue)} {failure_messages.attempts(request)}")
        return RpcTimeout(failure_messages.no_reply(request, self._queue, found, self._stats))

    def _fail(self, request: Request, error: LabError) -> None:
        if self._settle(request, "timed out"):
            fail([request], error)

    def _settle(self, request: Request, how: str) -> bool:
        """Take a request off the list, remember for a while what ended it, and return whether it was there."""
        for timer in (request.timer, request.retry):
            if timer is not None:
                self._loop.remove_timeout(timer)
        request.timer = request.retry = None
        if self._pending.pop(request.call.correlation_id, None) is None:
            return False
        self._stats.remember(request.call.correlation_id, how)
        return True

    # The broker refuses, the connection ends, or another one is open

    def send_all(self) -> None:
        """Send everything that waits over a new connection."""
        self._trouble = self._rejecting_since = None
        for request in list(self._pending.values()):
            request.waited, request.pause = True, 0.0
            if self.link:
                self._send(self.link, request)

    def _send_again(self, request: Request) -> None:
        link = self.link
        if request.call.cancelled():
            self._settle(request, "timed out")
        elif link is None or not link.open:
            return
        elif request.taken is None:
            # A connection that published to a quorum queue without a leader may never hear of it again.
            link.end(ConnectionLost("The broker did not confirm a request in time: its queue may have no leader."))
        else:
            if self._rejecting_since is not None and time.monotonic() > self._rejecting_since + RENEW_SECONDS:
                self._rejecting_since = None
                link.renew_publisher()
            if link.open:
                self._send(link, request)

    def _stop_retrying(self, request: Request) -> None:
        if request.retry is not None:
            self._loop.remove_timeout(request.retry)
            request.retry = None

    def refused(self, messages: list[Message], error: LabError) -> None:
        """End requests that the broker has closed a channel for."""
        for request in self._of(messages):
            self._fail(request, error)

    def overlooked(self, messages: list[Message]) -> None:
        """Publish the requests again that the broker has not looked at."""
        for request in self._of(messages):
            if self.link:
                self._stop_retrying(request)
                self._send(self.link, request)

    def forgotten(self, messages: list[Message]) -> None:
        """Record that the outcome of these requests will not be known."""
        for request in self._of(messages):
            request.taken = False

    def _of(self, messages: list[Message]) -> Iterator[Request]:
        """Return the requests that still wait, of those in the messages."""
        found = (self._pending.get(message.properties.correlation_id) for message in messages)
        return (request for request in found if request)

    def blocked(self) -> None:
        """Fail the requests that wait: the broker has stopped reading from this connection for an unknown time."""
        for request in list(self._pending.values()):
            if self.link and self.link.blocked is not None and request.call.times_sent:
                self._fail(request, Blocked(failure_messages.blocked(self.link.blocked, request)))

    def without_link(self, trouble: LabError) -> None:
        """Send nothing until there is a connection again."""
        self.link, self._trouble = None, trouble
        for request in self._pending.values():
            self._stop_retrying(request)

    def end(self, unsent: list[Request], reason: LabError) -> None:
        """End every request with an error, and those that were not added yet."""
        self.link = None
        waiting = [*self._pending.values(), *unsent]
        for request in waiting:
            self._settle(request, "timed out")
        fail(waiting, reason)
