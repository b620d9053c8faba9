"""Which message a delivery brings.

A message has no identity on the wire: what is published and what is delivered are told to be the same by exchange,
routing key, ids and body, and by their order where all of these are equal.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

from rpclab.wire.frames import Event
from rpclab.wire.messages import HELD, Message

Key = tuple
Place = tuple[Key, str]  # messages that look the same, in one queue


def key_of(event: Event) -> Key:
    """Return what a message has in common with its deliveries."""
    method, properties = event.method, event.properties
    return (
        method.exchange, method.routing_key, properties.correlation_id, properties.message_id, event.size, event.body,
    )


@dataclass
class _Alike:
    """The messages that look the same, and for each queue how many were taken from it, and which were put back."""

    messages: list[Message] = field(default_factory=list)
    taken: dict[str, int] = field(default_factory=dict)
    back: dict[str, list[Message]] = field(default_factory=dict)


class Matching:
    """Finds the message that a delivery brings, among those that look the same."""

    def __init__(self):
        self._known: defaultdict[Key, _Alike] = defaultdict(_Alike)
        self._keys: dict[int, tuple[Key, ...]] = {}

    def add(self, key: Key, message: Message) -> None:
        """Take note of a message that was published, or that comes back under another key."""
        self._known[key].messages.append(message)
        self._keys[message.number] = (*self._keys.get(message.number, ()), key)

    def match(self, place: Place, redelivered: bool) -> Message | None:
        """Return the message that was put back into a queue, or the first that was not delivered from it yet."""
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
                if any(delivery.outcome == HELD for delivery in message.deliveries):
                    return message
        taken = alike.taken.get(queue, 0)
        if taken >= len(alike.messages):
            return None
        alike.taken[queue] = taken + 1
        return alike.messages[taken]

    def took(self, place: Place) -> None:
        """Take note that the message that was added last was delivered."""
        key, queue = place
        self._known[key].taken[queue] = len(self._known[key].messages)

    def put_back(self, place: Place, message: Message) -> None:
        """Take note that a message is in the queue again."""
        key, queue = place
        self._known[key].back.setdefault(queue, []).append(message)

    def remove(self, queue: str, message: Message) -> None:
        """Take note that a message was purged from a queue, with all that waited there, or is gone with it."""
        for key in self._keys.get(message.number, ()):
            alike = self._known[key]
            alike.taken[queue] = len(alike.messages)
            alike.back.pop(queue, None)

    def find(self, key: Key) -> Message | None:
        """Return the first message with a key, if there is one."""
        return self._known[key].messages[0] if key in self._known else None

    def unreturned(self, key: Key, publisher: str) -> Message | None:
        """Return the first that a connection published, wants back if need be, and has not been given back."""
        alike = self._known[key].messages if key in self._known else ()
        return next((m for m in alike if m.publisher == publisher and m.mandatory and not m.returned), None)

    def forget(self, message: Message) -> None:
        """Drop all that is known of a message."""
        for key in self._keys.pop(message.number, ()):
            alike = self._known[key]
            position = alike.messages.index(message)
            del alike.messages[position]
            for queue, count in alike.taken.items():
                alike.taken[queue] = count - (position < count)
            if not alike.messages:
                del self._known[key]
