"""Finds the published message of a delivery.

A message has no identity on the wire: exchange, routing key, ids and body identify it, and the order where all of
these are equal.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from pika import spec

from rpclab.rpc.protocol import DIRECT_REPLY_TO
from rpclab.wire.events import Carrying
from rpclab.wire.messages import HELD, REJECTED, Message

# A quorum queue's reason for a dead letter that was requeued too often.
DELIVERY_LIMIT = "delivery_limit"

Content = spec.Basic.Publish | spec.Basic.Deliver | spec.Basic.GetOk | spec.Basic.Return
Key = tuple
Place = tuple[Key, str]  # messages that look the same, in one queue


def key_of(event: Carrying[Content]) -> Key:
    """Return what a message has in common with its deliveries."""
    method, properties = event.method, event.properties
    reply_to = properties.reply_to or ""
    return (
        # With direct reply-to, the broker gives the server another name than the client did.
        method.exchange, method.routing_key, DIRECT_REPLY_TO if reply_to.startswith(DIRECT_REPLY_TO) else reply_to,
        properties.correlation_id, properties.message_id, event.size, event.body,
    )


@dataclass
class _Alike:
    """The messages that look the same, and for each queue how many were delivered and which were requeued."""

    messages: list[Message] = field(default_factory=list)
    taken: dict[str, int] = field(default_factory=dict)
    back: dict[str, list[Message]] = field(default_factory=dict)


class Matching:
    """Finds the message of a delivery, among those that look the same."""

    def __init__(self) -> None:
        self._known: defaultdict[Key, _Alike] = defaultdict(_Alike)
        self._keys: dict[int, tuple[Key, ...]] = {}

    def add(self, key: Key, message: Message) -> None:
        """Record a message that was published, or that is delivered with another key."""
        self._known[key].messages.append(message)
        self._keys[message.number] = (*self._keys.get(message.number, ()), key)

    def match(self, place: Place, redelivered: bool) -> Message | None:
        """Return the message that was requeued, or the first that this queue has not delivered yet."""
        key, queue = place
        if key not in self._known:
            return None
        alike = self._known[key]
        if redelivered:
            if back := alike.back.get(queue):
                message = min(back, key=lambda message: message.number)
                back.remove(message)
                return message
            for message in alike.messages:
                if any(delivery.outcome == HELD and delivery.queue == queue for delivery in message.deliveries):
                    return message
        taken = alike.taken.get(queue, 0)
        if taken >= len(alike.messages):
            # A redelivered message that was settled was settled too late: the broker had closed the channel.
            return next((one for one in reversed(alike.messages) if one.was_in(queue)), None) if redelivered else None
        alike.taken[queue] = taken + 1
        return alike.messages[taken]

    def took(self, place: Place) -> None:
        """Record that the last added message was delivered."""
        key, queue = place
        self._known[key].taken[queue] = len(self._known[key].messages)

    def put_back(self, place: Place, message: Message) -> None:
        """Record that a message is in the queue again."""
        key, queue = place
        if message.number in self._keys:
            self._known[key].back.setdefault(queue, []).append(message)

    def remove(self, queue: str, message: Message) -> None:
        """Record that a message was purged with all that waited in a queue, or deleted with the queue."""
        for key in self._keys.get(message.number, ()):
            alike = self._known[key]
            alike.taken[queue] = len(alike.messages)
            alike.back.pop(queue, None)

    def died(self, key: Key, death: Mapping) -> Message | None:
        """Return the dead-lettered message with a key, by the broker's ``x-death`` header."""
        alike = self._known[key].messages if key in self._known else ()
        return min(alike, key=lambda one: (not _may_have_died(one, death), one.dead_lettered > ""), default=None)

    def unreturned(self, key: Key, publisher: str) -> Message | None:
        """Return the first mandatory message of a connection that was not returned."""
        alike = self._known[key].messages if key in self._known else ()
        return next((m for m in alike if m.publisher == publisher and m.mandatory and not m.returned), None)

    def forget(self, message: Message) -> None:
        """Forget a message."""
        for key in self._keys.pop(message.number, ()):
            alike = self._known[key]
            position = alike.messages.index(message)
            del alike.messages[position]
            alike.taken = {
                queue: left for queue, count in alike.taken.items() if (left := count - (position < count))
            }
            backs = {queue: [one for one in back if one is not message] for queue, back in alike.back.items()}
            alike.back = {queue: back for queue, back in backs.items() if back}
            if not alike.messages:
                del self._known[key]


def _may_have_died(message: Message, death: Mapping) -> bool:
    queue, reason = death.get("queue", ""), death.get("reason")
    outcomes = [delivery.outcome for delivery in message.deliveries if delivery.queue == queue]
    if reason == "rejected":
        return outcomes[-1:] == [REJECTED]
    return message.waits_in(queue) or (reason == DELIVERY_LIMIT and outcomes[-1:] == [HELD])
