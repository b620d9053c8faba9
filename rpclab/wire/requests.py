"""Finds the request that a message repeats or answers, and names both.

A correlation id is valid for its client alone: two clients may both count 1, 2, 3. So the queue for the reply and the
id together identify a request. With direct reply-to, the client names no queue; the broker gives the server a routing
key that stands for the client's channel: https://www.rabbitmq.com/docs/direct-reply-to.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable

from pika import spec

from rpclab.rpc.protocol import DIRECT_REPLY_TO, RESENT
from rpclab.wire.events import Carrying
from rpclab.wire.messages import REPLY, REQUEST, Message
from rpclab.wire.routing import Channel

Address = str | Channel  # where a reply should go: a queue, or with direct reply-to the channel of the client


class Requests:
    """The remembered requests, found by their copies and replies."""

    def __init__(self) -> None:
        self._known: dict[tuple[Address, str | None], Message] = {}
        self._by_id: dict[str, Message] = {}
        self._keys: defaultdict[int, list[tuple[Address, str | None]]] = defaultdict(list)
        self._expecting: Counter[Address] = Counter()
        self._direct: dict[str, Channel] = {}
        self._named: Counter[str] = Counter()

    def name(self, event: Carrying, message: Message, in_hand: Iterable[Message]) -> None:
        """Set whether a message is a request or a reply, and its name.

        ``in_hand`` has the deliveries that its connection holds unacked.
        """
        queue, reply_to = message.routing_key, message.properties.reply_to
        if reply_to and reply_to != queue:  # some servers send the request's properties back as they are
            message.kind, message.repeats = REQUEST, self._add(event, message)
            message.name = f"{message.repeats.name} again" if message.repeats else self._next("request")
        elif not message.exchange and self._expects(queue):
            message.request = request = self._answered(queue, message.properties.correlation_id, in_hand)
            if request is None:
                message.name = self._next("unmatched reply")
                return
            message.kind = REPLY
            request.replies += (message,)
            count = len(request.replies)
            message.name = f"reply to {request.name}" if count == 1 else f"reply {count} to {request.name}"
        else:
            message.name = self._next("message")

    def _next(self, kind: str) -> str:
        self._named[kind] += 1
        return f"{kind} {self._named[kind]}"

    def _add(self, event: Carrying, message: Message) -> Message | None:
        """Record a request, and return the earlier one that it repeats, if any."""
        id, headers = message.properties.correlation_id, message.properties.headers or {}
        address = self._address(event)
        first = self._known.get((address, id)) if id else None
        if first is None and id and RESENT in headers:
            # A reconnected client has a new callback queue. It marks the request as sent again.
            before = self._by_id.get(id)
            if before and (before.routing_key, before.body) == (message.routing_key, message.body):
                first = before
        key, owner = (address, id), first or message
        if key not in self._keys[owner.number]:
            self._keys[owner.number].append(key)
            self._expecting[address] += 1
        if id:
            self._known.setdefault(key, owner)
            self._by_id.setdefault(id, owner)
        return first

    def delivered(self, event: Carrying[spec.Basic.Deliver | spec.Basic.GetOk], message: Message) -> None:
        """Record from a delivery which channel the broker's name for direct reply-to stands for."""
        key, reply_to = event.method.routing_key, event.properties.reply_to or ""
        if key.startswith(DIRECT_REPLY_TO):
            if (event.link.number, event.channel) in self._expecting:
                self._direct[key] = event.link.number, event.channel
        elif reply_to.startswith(DIRECT_REPLY_TO) and reply_to not in self._direct:
            addresses = (address for address, _ in self._keys.get(message.number, ()))
            channel = next((address for address in addresses if isinstance(address, tuple)), None)
            if channel:
                self._direct[reply_to] = channel

    def _expects(self, queue: str) -> bool:
        """Return whether a request wants its reply in this queue."""
        return any(self._expecting[address] for address in self._addresses(queue) if address in self._expecting)

    def _answered(self, queue: str, id: str | None, in_hand: Iterable[Message]) -> Message | None:
        """Return the request that a message published to a callback queue answers.

        The correlation id identifies it. Without one, it is the only request for this queue that its publisher holds.
        """
        addresses = self._addresses(queue)
        if id:
            return next((self._known[address, id] for address in addresses if (address, id) in self._known), None)
        asked = [one for one in in_hand if any(key[0] in addresses for key in self._keys.get(one.number, ()))]
        return asked[0] if len(asked) == 1 else None

    def with_id(self, id: str) -> Message | None:
        """Return the first request with a correlation id, of any client."""
        return self._by_id.get(id)

    def forget(self, message: Message) -> None:
        """Forget a message."""
        for key in self._keys.pop(message.number, ()):
            if self._known.get(key) is message:
                del self._known[key]
            if key[0] not in self._expecting:
                continue
            self._expecting[key[0]] -= 1
            if not self._expecting[key[0]]:
                self._drop(key[0])
        if self._by_id.get(message.properties.correlation_id) is message:
            del self._by_id[message.properties.correlation_id]

    def channel_ended(self, channel: Channel) -> None:
        """Forget a channel: its number may be used again."""
        if channel in self._expecting:
            for key in [key for key in self._known if key[0] == channel]:
                del self._known[key]
            self._drop(channel)

    def _drop(self, address: Address) -> None:
        del self._expecting[address]
        for name in [name for name, channel in self._direct.items() if channel == address]:
            del self._direct[name]

    def _address(self, event: Carrying) -> Address:
        reply_to = event.properties.reply_to
        if reply_to == DIRECT_REPLY_TO and event.from_client:
            return event.link.number, event.channel
        return self._direct.get(reply_to, reply_to)

    def _addresses(self, queue: str) -> tuple[Address, ...]:
        return (self._direct[queue], queue) if queue in self._direct else (queue,)
