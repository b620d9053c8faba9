"""What a server sends, and the acknowledgements that wait until the broker has confirmed it."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import TypeGuard

import pika
from pika.adapters.select_connection import IOLoop
from pika.channel import Channel
from pika.exceptions import AMQPConnectionError, ChannelClosedByBroker, ConnectionClosedByBroker

from rpclab.broker import broker_errors
from rpclab.broker.broker_errors import Refusal
from rpclab.rpc.protocol import Reply
from rpclab.rpc.reliability.publisher import Message, Outcome, Publisher
from rpclab.rpc.reliability.server_connection import ServerConnection
from rpclab.rpc.reliability.unacked_requests import RequestInHand, UnackedRequests

# A full queue that rejects may have room in a moment. The request keeps its place in the prefetch until then.
AGAIN_SECONDS = (0.1, 0.2, 0.5, 1.0)
# Only one client reads such a queue. Any other may be a quorum queue, which has no leader for a few seconds.
NAMED_BY_THE_BROKER = "amq.gen-"
REJECTING_KEPT = 1000
CONFIRM_SECONDS = 10
CHECK_SECONDS = 2

# The broker's text when it closes a channel for another reason than a message that was published there.
OTHER_REASONS = (
    "unknown delivery tag", "timed out", "inequivalent arg", "access to queue", "no queue", "in exclusive use",
)
BLAMING_CODES = (311, 403, 404, 406)
INTERNAL_ERROR = 541


class ReplyRefused(Exception):
    """The broker did not take the reply."""


class ConfirmsMissing(AMQPConnectionError):
    """The broker does not confirm what was published."""


class Outbox:
    """Sends the messages for each request, and acknowledges the request when the broker has confirmed all of them.

    Parameters
    ----------
    loop : pika.adapters.select_connection.IOLoop
        The loop of the server's connection.
    requests : UnackedRequests
        The requests that the server has in hand.
    reply_message : callable
        Takes a request's properties and a `Reply`; returns the message, for an error in place of a refused reply.
    """

    def __init__(
        self, loop: IOLoop, requests: UnackedRequests,
        reply_message: Callable[[pika.BasicProperties, Reply], Message],
    ):
        self._loop = loop
        self._requests = requests
        self._reply_message = reply_message
        self._publisher: Publisher | None = None
        self._link: ServerConnection | None = None
        self._owners: dict[Message, RequestInHand] = {}
        self._ready: deque[Message] = deque()
        self._one_by_one = False
        # Queues that have rejected a message to the last try; an ordered set.
        self._rejecting: dict[str, None] = {}

    def use(self, channel: Channel, link: ServerConnection) -> None:
        """Send on this channel from now on, beginning with what the last channel left unconfirmed."""
        publisher = Publisher(channel, self._on_outcome, self._requests.proven)
        link.ask(publisher.select)
        self._publisher, self._link = publisher, link
        self._pump()

    def finish(self, request: RequestInHand, messages: list[Message]) -> None:
        """Send messages, each when the one before is confirmed, and acknowledge the request after the last."""
        request.outgoing.extend(messages)
        self._next(request)

    def channel_closed(self, reason: BaseException) -> None:
        """Keep for the next channel what was not confirmed on this one.

        A broker that closes a channel because of a message does not say which one. If there were several, they are
        sent one by one on the next channel.
        """
        unconfirmed = self._publisher.forget() if self._publisher else []
        self._publisher = None
        self._requests.channel_closed()
        if unconfirmed and _blames_a_message(reason):
            self._one_by_one = True
            if len(unconfirmed) == 1:
                self._give_up(unconfirmed.pop(), reason)
        self._ready.extendleft(reversed(unconfirmed))

    def watch(self) -> None:
        """Give the connection up when a confirm is so late that it will never come; look every two seconds."""
        oldest, link = self._publisher and self._publisher.oldest, self._link
        # While it is blocked, the broker takes no messages.
        if oldest and link and not link.blocked and _age(oldest, link) > CONFIRM_SECONDS:
            link.fail(ConfirmsMissing("the broker does not confirm what was published"))
        self._loop.call_later(CHECK_SECONDS, self.watch)

    def _next(self, request: RequestInHand) -> None:
        if request.outgoing:
            message = request.outgoing.popleft()
            self._owners[message] = request
            self._ready.append(message)
            self._pump()
            return
        if request.then:
            then, request.then = request.then, None
            then()
            return
        tags = self._requests.end(request, self._publisher.count if self._publisher else 0)
        if self._publisher and self._publisher.is_open:
            for tag in tags:
                self._publisher.acknowledge(tag)

    def _pump(self) -> None:
        publisher = self._publisher
        if publisher is None:
            return
        while self._ready and publisher.is_open:
            if self._one_by_one and publisher.oldest:
                return
            message = self._ready.popleft()
            try:
                publisher.publish(message)
            except Exception:  # noqa: BLE001  pika may fail in any way with properties that a client sent
                self._on_outcome(message, Outcome.UNSENDABLE)
        if not publisher.oldest:
            self._one_by_one = False

    def _on_outcome(self, message: Message, outcome: Outcome) -> None:
        if outcome is Outcome.CONFIRMED:
            self._rejecting.pop(message.queue, None)
            self._next(self._owners.pop(message))
        elif outcome is Outcome.REJECTED and (message.needed or self._may_have_room(message)):
            pause = AGAIN_SECONDS[min(message.tries, len(AGAIN_SECONDS)) - 1]
            self._loop.call_later(pause, partial(self._once_more, message))
        elif outcome is Outcome.RETURNED and message.needed and self._publisher:
            # Its queue was deleted. The next channel declares it again.
            self._ready.appendleft(message)
            self._publisher.close()
        else:
            self._give_up(message, outcome)
        self._pump()

    def _may_have_room(self, message: Message) -> bool:
        """Return whether to try again.

        Where that was in vain once, one try each is enough until a message is taken. RabbitMQ 4.3 rejects what is sent
        to a client's own queue when its node is down, and the client may have had hundreds of requests in flight.
        """
        if message.queue not in self._rejecting and message.tries <= len(AGAIN_SECONDS):
            return True
        if message.queue.startswith(NAMED_BY_THE_BROKER):
            self._rejecting[message.queue] = None
            if len(self._rejecting) > REJECTING_KEPT:
                del self._rejecting[next(iter(self._rejecting))]
        return False

    def _once_more(self, message: Message) -> None:
        self._ready.append(message)
        self._pump()

    def _give_up(self, message: Message, reason: Outcome | Refusal) -> None:
        request = self._owners.pop(message)
        if request.replies:
            request.replies.unwanted = True
        if reason is Outcome.RETURNED:
            print(f" [!] {request.name}: its callback queue was deleted, so the reply is dropped", flush=True)
        else:
            why = reason.value if isinstance(reason, Outcome) else str(broker_errors.explained(reason))
            print(f" [!] {request.name}: its message for queue {message.queue!r} is given up: {why}", flush=True)
            if not (message.needed or message.last) and isinstance(reason, ChannelClosedByBroker | Outcome):
                error = ReplyRefused(f"the reply of {len(message.body):,} bytes was not taken: {why}")
                instead = self._reply_message(request.properties, Reply.of_error(error))
                instead.last = True
                request.outgoing.appendleft(instead)
        self._next(request)


def _age(message: Message, link: ServerConnection) -> float:
    """Return for how many seconds the broker could have confirmed a message."""
    return time.monotonic() - max(message.published, link.unblocked)


def _blames_a_message(reason: BaseException) -> TypeGuard[Refusal]:
    """Return whether the broker may have closed channel or connection because of a message published there."""
    code, text = getattr(reason, "reply_code", 0), getattr(reason, "reply_text", "")
    if isinstance(reason, ConnectionClosedByBroker):
        return code == INTERNAL_ERROR
    return code in BLAMING_CODES and not any(other in text for other in OTHER_REASONS)
