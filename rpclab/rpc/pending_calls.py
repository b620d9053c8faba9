"""What happens to the calls of an `RpcClient`: each waits in a dict under its correlation id until something ends it.

That is its reply (`replied`), an error of the broker's (`on_outcome`), its deadline (`expire`) or the end of the
connection (`end`). All of it runs in the client's thread.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

import pika
from pika.adapters.select_connection import IOLoop

from rpclab.errors import Blocked, LabError, RequestRejected, UnroutableError
from rpclab.rpc.protocol import RESENT
from rpclab.rpc.reliability import failure_messages
from rpclab.rpc.reliability.client_connection import ClientConnection
from rpclab.rpc.reliability.deadlines import Deadlines
from rpclab.rpc.reliability.publisher import Message, Outcome
from rpclab.rpc.reliability.resending import Resending
from rpclab.rpc.reliability.stream import single
from rpclab.rpc.request import SentRequest
from rpclab.rpc.stats import Stats


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
    waiting : dict of str to SentRequest
        The requests without an outcome, by correlation id.
    resending : Resending
        What to do when the connection or the broker fails.
    """

    def __init__(
        self, loop: IOLoop, queue: str, read: Callable[[pika.BasicProperties, bytes], object], stats: Stats,
        retry: float | None,
    ):
        self.link: ClientConnection | None = None
        self.waiting: dict[str, SentRequest] = {}
        self._queue = queue
        self._read = read
        self._stats = stats
        self._deadlines = Deadlines(loop, queue, stats, self)
        self.resending = Resending(loop, retry, self)

    def __len__(self) -> int:
        return len(self.waiting)

    # A request is sent: https://www.rabbitmq.com/docs/confirms

    def add(self, request: SentRequest) -> None:
        """Take a request, and send it as soon as there is a connection."""
        if request.call.cancelled():
            return
        self.waiting[request.call.correlation_id] = request
        self._deadlines.start(request)
        if self.link and self.link.open:
            self.send(self.link, request)
        else:
            request.waited = True

    def send(self, link: ClientConnection, request: SentRequest) -> None:
        """Publish a request, for the first time or again."""
        if link.blocked is not None:
            self.fail(request, Blocked(failure_messages.blocked(link.blocked, request)))
            return
        call = request.call
        again = call.times_sent > 0
        expiration = None
        if request.reply_to is None:
            # After that no caller waits for it any more, so no worker should process it.
            seconds = request.deadline - time.monotonic() if again or request.waited else call.timeout
            expiration = str(max(1, int(seconds * 1000)))
        headers = {**request.headers, RESENT: call.times_sent} if again else request.headers
        properties = pika.BasicProperties(
            correlation_id=call.correlation_id,
            reply_to=request.reply_to or link.reply_to,
            content_type=request.content_type,
            expiration=expiration,
            delivery_mode=pika.DeliveryMode.Persistent.value if request.persistent else None,
            headers=headers or None,
        )
        call.times_sent += 1
        self._stats.sent += not again
        self._stats.resent += again
        request.taken = None
        # Mandatory: without a queue that takes it, the broker sends the message back instead of dropping it.
        link.publish(Message(self._queue, request.body, properties, mandatory=True))
        self.resending.sent(request)

    def on_outcome(self, message: Message, outcome: Outcome) -> None:
        """Record what the broker did with a request: it was taken, returned or rejected."""
        request = self.waiting.get(message.properties.correlation_id)
        if outcome is Outcome.REJECTED and self.resending.rejected(request):
            return
        if request is None:
            return
        if outcome is Outcome.CONFIRMED:
            request.taken = True
            # The broker has taken the request, which is all that `send` waits for.
            if request.reply_to and self.forget(request, "answered"):
                request.call.set_result(None)
        elif outcome is Outcome.RETURNED:
            self._not_taken(request, UnroutableError(failure_messages.no_queue(self._queue)))
        else:
            self._not_taken(request, RequestRejected(failure_messages.rejection(self._queue)))

    def _not_taken(self, request: SentRequest, error: LabError) -> None:
        """End a request that no queue has taken."""
        if self.forget(request, "returned"):
            self._stats.returned += 1
            request.call.set_exception(error)

    # Its reply comes

    def replied(self, properties: pika.BasicProperties, body: bytes) -> None:
        """Give a reply to the call that it belongs to."""
        request = self.waiting.get(properties.correlation_id or "")
        if request and request.call.cancelled():
            self.forget(request, "given up")
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
            self.forget(request, "answered")
            self._stats.failed += 1
            request.call.set_exception(error)
        else:
            self.forget(request, "answered")
            self._stats.answered += 1
            request.call.set_result(result)

    # No reply comes

    def expire(self, request: SentRequest, error: LabError) -> None:
        """End a request at its deadline."""
        if self.forget(request, "given up"):
            self._stats.timed_out += 1
            request.call.set_exception(error)

    def fail(self, request: SentRequest, error: LabError) -> None:
        """End a request that can get no reply any more."""
        if self.forget(request, "given up"):
            request.fail(error)

    def end(self, unsent: list[SentRequest], reason: LabError) -> None:
        """End every request with an error, and those that were not added yet."""
        self.link = None
        requests = [*self.waiting.values(), *unsent]
        for request in requests:
            self.forget(request, "given up")
        for request in requests:
            request.fail(reason)

    def forget(self, request: SentRequest, how: str) -> bool:
        """Take a request off the list, remember for a while what ended it, and return whether it was there."""
        self._deadlines.stop(request)
        self.resending.stop(request)
        if self.waiting.pop(request.call.correlation_id, None) is None:
            return False
        self._stats.remember(request.call.correlation_id, how)
        return True
