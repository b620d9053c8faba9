"""The requests that a server has in hand, and the finished ones that the broker may redeliver.

When a channel closes, the broker requeues what was not acknowledged on it. The work goes on anyway, so the server must
recognize such a request, or it would do the work twice.
"""

from __future__ import annotations

import hashlib
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import pika
from pika.channel import Channel

from rpclab.rpc.protocol import RESENT
from rpclab.rpc.reliability.publisher import Message
from rpclab.rpc.reliability.retry_limit import count
from rpclab.rpc.reliability.stream import Yielding

KEPT = 1_000
KEPT_SECONDS = 3600
# Two requests without a correlation id may be equal and yet be two. So an answered one is expected again only for the
# short time in which the broker redelivers it.
NAMELESS_SECONDS = 10


@dataclass(eq=False)
class RequestInHand:
    """A request that is being processed, or whose reply is not confirmed yet.

    Attributes
    ----------
    properties : pika.BasicProperties
        Its properties.
    body : bytes
        Its body.
    held : list of int
        Delivery tags on the current channel; they are acknowledged together.
    again : bool
        Whether it may have been processed before: it was redelivered, or sent again by its client or by a server.
    lost : int
        How many of its deliveries were lost with their channel, and will be repeated.
    outgoing : list of Message
        The messages to confirm, one after the other, before it is acknowledged.
    replies : Yielding or None
        The handler, if it yields several.
    then : callable or None
        What to do, instead of acknowledging it, when all of that is confirmed.
    """

    properties: pika.BasicProperties
    body: bytes
    held: list[int]
    again: bool = False
    lost: int = 0
    outgoing: deque[Message] = field(default_factory=deque)
    replies: Yielding | None = None
    then: Callable[[], object] | None = None

    @property
    def name(self) -> str:
        """Its name in the log."""
        return f"request {self.properties.correlation_id}"

    def same_as(self, properties: pika.BasicProperties, body: bytes) -> bool:
        """Return whether a message is a copy of this request, and its reply goes to the same queue.

        A client that has reconnected has another callback queue. The copy that it sends then needs its own reply.
        """
        ours = self.properties
        return (ours.correlation_id, ours.reply_to, self.body) == (properties.correlation_id, properties.reply_to, body)


class UnackedRequests:
    """The requests that one process has in hand, and those it expects again; bounded in count and age."""

    def __init__(self) -> None:
        self._open: dict[RequestInHand, None] = {}
        self._unproven: deque[tuple[int, RequestInHand]] = deque()
        self._answered: deque[tuple[float, bytes]] = deque(maxlen=KEPT)

    def __len__(self) -> int:
        return len(self._open)

    def begin(
        self, tag: int, properties: pika.BasicProperties, body: bytes, redelivered: bool = False
    ) -> RequestInHand:
        """Record a new request in hand and return it."""
        again = redelivered or RESENT in (properties.headers or {}) or count(properties.headers) > 0
        request = RequestInHand(properties, body, [tag], again)
        self._open[request] = None
        return request

    def recognize(
        self, ch: Channel, method: pika.spec.Basic.Deliver, properties: pika.BasicProperties, body: bytes
    ) -> bool:
        """Return whether a delivery needs no work: this process has its request in hand, or has replied to it."""
        resent = RESENT in (properties.headers or {})
        if not (method.redelivered or resent):
            return False
        name = f"request {properties.correlation_id}"
        if self.join(method.delivery_tag, properties, body, resent):
            print(f" [.] {name} came again while this process has it in hand: it is not worked on twice", flush=True)
            return True
        # What only the client has sent again is not just acknowledged: the client still lacks the reply.
        if method.redelivered and self.answered(properties, body):
            print(f" [.] {name} came again after this process had answered it: acknowledged", flush=True)
            ch.basic_ack(method.delivery_tag)
            return True
        return False

    def join(self, tag: int, properties: pika.BasicProperties, body: bytes, resent: bool) -> bool:
        """Return whether a delivery is a copy of a request in hand; they are then acknowledged together.

        Parameters
        ----------
        resent : bool
            Whether the client has sent the request again; else the broker has delivered it again.
        """
        for request in self._open:
            if (resent or request.lost) and request.same_as(properties, body):
                request.held.append(tag)
                request.lost = max(0, request.lost - 1)
                return True
        return False

    def answered(self, properties: pika.BasicProperties, body: bytes) -> bool:
        """Return whether a repeated delivery has its reply already; each is expected once."""
        seconds = KEPT_SECONDS if properties.correlation_id else NAMELESS_SECONDS
        oldest, digest = time.monotonic() - seconds, _digest(properties, body)
        for entry in self._answered:
            if entry[1] == digest and entry[0] >= oldest:
                self._answered.remove(entry)
                return True
        return False

    def end(self, request: RequestInHand, published: int) -> list[int]:
        """Remove a request from those in hand and return its deliveries to acknowledge.

        Parameters
        ----------
        published : int
            How many messages were published before: the confirm of a later one proves that the broker has received the
            acknowledgement.
        """
        self._open.pop(request, None)
        self._expect(request, request.lost)
        self._unproven.extend((published, request) for _ in request.held)
        return request.held

    def proven(self, published: int) -> None:
        """Forget acknowledgements that the broker has certainly received."""
        while self._unproven and self._unproven[0][0] < published:
            self._unproven.popleft()

    def channel_closed(self) -> None:
        """Expect every request again whose acknowledgement may be lost."""
        for _, request in self._unproven:
            self._expect(request, 1)
        self._unproven.clear()
        for request in self._open:
            request.lost += len(request.held)
            request.held.clear()

    def _expect(self, request: RequestInHand, times: int) -> None:
        for _ in range(times):
            self._answered.append((time.monotonic(), _digest(request.properties, request.body)))


def _digest(properties: pika.BasicProperties, body: bytes) -> bytes:
    named = hashlib.sha256(repr((properties.correlation_id, properties.reply_to)).encode())
    named.update(body)
    return named.digest()
