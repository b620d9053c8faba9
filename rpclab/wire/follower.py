"""Following a lab's messages from frame to frame: what is published, delivered, acknowledged, answered and returned."""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Callable

from pika import spec

from rpclab.wire.frames import Event
from rpclab.wire.matching import Matching, Place, key_of
from rpclab.wire.messages import (
    ACKED,
    AUTO_ACKED,
    BACK_IN_THE_QUEUE,
    HELD,
    LOST,
    MESSAGE,
    REJECTED,
    REPLY,
    REQUEST,
    REQUEUED,
    Delivery,
    Message,
    Step,
)
from rpclab.wire.routing import Emptied

Channel = tuple[int, int]  # the numbers of the connection and of the channel


class Follower:
    """Keeps the messages of a lab up to date, event by event.

    Parameters
    ----------
    shown : callable
        Turns a queue's name into the one that people are shown.
    keep : int
        How many messages are remembered; the oldest go first.
    changed : callable
        Called with each `Step`, when its message is up to date.

    Attributes
    ----------
    messages : collections.OrderedDict of int to Message
        By number, in the order in which they were published.
    """

    def __init__(self, shown: Callable[[str], str], keep: int, changed: Callable[[Step], None]):
        self.messages: OrderedDict[int, Message] = OrderedDict()
        self._shown = shown
        self._keep = keep
        self._changed = changed
        self._matching = Matching()
        self._held: dict[Channel, OrderedDict[int, tuple[Message, Delivery, Place]]] = defaultdict(OrderedDict)
        self._requests: dict[str, Message] = {}
        self._callback_queues: set[str] = set()
        self._unconfirmed: dict[Channel, OrderedDict[int, Message]] = {}
        self._counts: defaultdict[object, int] = defaultdict(int)

    def take(self, event: Event) -> bool:
        """Take the next event; tell whether it has to do with messages."""
        step = _STEPS.get(type(event.method))
        if step:
            step(self, event)
        for emptied in event.emptied:
            self._remove(emptied)
        return step is not None or bool(event.emptied)

    def request(self, correlation_id: str) -> Message | None:
        """Return the first request with a correlation id, if there is one."""
        return self._requests.get(correlation_id)

    def _note(self, event: Event, what: str, message: Message, who: str, queue: str, redelivered: bool = False) -> None:
        self._counts["steps"] += 1
        step = Step(event.time, self._counts["steps"], what, message, who, queue, redelivered, event.link.number)
        message.steps.append(step)
        self._changed(step)

    def _published(self, event: Event) -> None:
        if not event.from_client:
            return
        message = self._new(event, event.link.name)
        message.queues, message.mandatory = event.queues, bool(event.method.mandatory)
        if (unconfirmed := self._unconfirmed.get((event.link.number, event.channel))) is not None:
            self._counts["confirms", event.link.number, event.channel] += 1
            unconfirmed[self._counts["confirms", event.link.number, event.channel]] = message
        self._note(event, "published", message, event.link.name, message.queue)

    def _new(self, event: Event, publisher: str | None) -> Message:
        method, properties = event.method, event.properties
        number = self._counts["messages"] = self._counts["messages"] + 1
        message = Message(
            number, "", MESSAGE, publisher, method.exchange, self._shown(method.routing_key), properties,
            event.body, event.size, event.time,
        )
        self._name(message, event)
        self.messages[number] = message
        self._matching.add(key_of(event), message)
        if len(self.messages) > self._keep:
            self._forget(self.messages.popitem(last=False)[1])
        return message

    def _name(self, message: Message, event: Event) -> None:
        """Tell whether a message is a request or a reply, and give it its name."""
        properties, key = event.properties, event.method.routing_key
        if properties.reply_to:
            self._callback_queues.add(properties.reply_to)
            first = self._requests.get(properties.correlation_id)
            message.kind, message.repeats = REQUEST, first
            if first:
                message.name = f"{first.name} again"
            else:
                message.name = self._numbered("request")
                if properties.correlation_id:
                    self._requests[properties.correlation_id] = message
        elif not event.method.exchange and key in self._callback_queues:
            message.request = request = self._answered_by(event)
            if request is None:
                message.name = self._numbered("stray reply")
                return
            message.kind = REPLY
            request.replies += (message,)
            count = len(request.replies)
            message.name = f"reply to {request.name}" if count == 1 else f"reply {count} to {request.name}"
        else:
            message.name = self._numbered("message")

    def _numbered(self, kind: str) -> str:
        self._counts[kind] += 1
        return f"{kind} {self._counts[kind]}"

    def _answered_by(self, event: Event) -> Message | None:
        """Return the request that a message published to a callback queue answers.

        The correlation id tells. Without one, it is taken to answer the only request for this queue that its publisher
        has in hand.
        """
        if event.properties.correlation_id:
            return self._requests.get(event.properties.correlation_id)
        in_hand = [
            message for channel, held in self._held.items() if channel[0] == event.link.number
            for message, _, _ in held.values()
            if message.kind == REQUEST and self._shown(event.method.routing_key) == self._shown(
                message.properties.reply_to)
        ]
        return in_hand[0] if len(in_hand) == 1 else None

    def _delivered(self, event: Event) -> None:
        queue = event.queue or event.method.routing_key
        place = key_of(event), queue
        message = self._matching.match(place, event.method.redelivered)
        if message is None:
            message = self._dead_letter(event) or self._new(event, None)
            self._matching.took(place)
        if event.properties.reply_to:
            # Of direct reply-to, the broker tells the server another name than the client gave.
            self._callback_queues.add(event.properties.reply_to)
        delivery = Delivery(self._shown(queue), event.link.name, event.time, event.method.redelivered)
        for earlier in message.deliveries:
            # It is delivered again, so it was given up before, though the end of its connection is still on its way.
            if earlier.outcome == HELD and earlier.queue == delivery.queue and delivery.redelivered:
                earlier.outcome, earlier.settled = LOST, event.time
        message.deliveries.append(delivery)
        if event.auto_ack:
            delivery.outcome, delivery.settled = AUTO_ACKED, event.time
        else:
            self._held[event.link.number, event.channel][event.method.delivery_tag] = (message, delivery, place)
        self._note(event, "delivered", message, event.link.name, delivery.queue, delivery.redelivered)

    def _dead_letter(self, event: Event) -> Message | None:
        """Return the message that comes from a dead-letter queue now, as its headers tell."""
        key = key_of(event)
        deaths = (event.properties.headers or {}).get("x-death") or ()
        for death in deaths:
            for routing_key in death.get("routing-keys", ()):
                original = (death.get("exchange", ""), routing_key, *key[2:])
                if message := self._matching.find(original):
                    message.dead_lettered = death.get("reason", "unknown")
                    self._matching.add(key, message)
                    source, target = self._shown(death.get("queue", "")), self._shown(event.queue or key[1])
                    self._note(event, "dead-lettered", message, source, target)
                    return message
        return None

    def _settled_by_client(self, event: Event) -> None:
        method = event.method
        if not event.from_client:
            self._confirmed(event)
            return
        held = self._held.get((event.link.number, event.channel))
        if not held:
            return
        if getattr(method, "multiple", False):
            tags = [tag for tag in held if not method.delivery_tag or tag <= method.delivery_tag]
        else:
            tags = [method.delivery_tag] if method.delivery_tag in held else []
        outcome = ACKED if isinstance(method, spec.Basic.Ack) else REQUEUED if method.requeue else REJECTED
        for tag in tags:
            self._end(event, *held.pop(tag), outcome)

    def _recovered(self, event: Event) -> None:
        for entry in self._held.pop((event.link.number, event.channel), {}).values():
            self._end(event, *entry, REQUEUED)

    def _channel_closed(self, event: Event) -> None:
        for entry in self._held.pop((event.link.number, event.channel), {}).values():
            self._end(event, *entry, LOST)

    def _connection_closed(self, event: Event) -> None:
        for channel in [channel for channel in self._held if channel[0] == event.link.number]:
            for entry in self._held.pop(channel).values():
                self._end(event, *entry, LOST)
        for channel in [channel for channel in self._unconfirmed if channel[0] == event.link.number]:
            del self._unconfirmed[channel]

    def _end(self, event: Event, message: Message, delivery: Delivery, place: Place, outcome: str) -> None:
        if delivery.outcome != HELD:
            return
        delivery.outcome, delivery.settled = outcome, event.time
        if outcome in BACK_IN_THE_QUEUE:
            self._matching.put_back(place, message)
        self._note(event, outcome, message, event.link.name, delivery.queue)

    def _remove(self, emptied: Emptied) -> None:
        for message in self.messages.values():
            if message.waits_in(emptied.queue):
                message.removed |= {emptied.queue}
                self._matching.remove(emptied.real_name, message)

    def _returned(self, event: Event) -> None:
        message = self._matching.unreturned(key_of(event), event.link.name)
        if message:
            message.returned = event.method.reply_text
            self._note(event, "returned", message, event.link.name, message.queue)

    def _confirms(self, event: Event) -> None:
        self._unconfirmed[event.link.number, event.channel] = OrderedDict()

    def _confirmed(self, event: Event) -> None:
        unconfirmed = self._unconfirmed.get((event.link.number, event.channel), {})
        tag, multiple = event.method.delivery_tag, event.method.multiple
        for number in [n for n in unconfirmed if n == tag or (multiple and (n <= tag or not tag))]:
            unconfirmed.pop(number).confirmed = isinstance(event.method, spec.Basic.Ack)

    def _forget(self, message: Message) -> None:
        self._matching.forget(message)
        if self._requests.get(message.properties.correlation_id) is message:
            del self._requests[message.properties.correlation_id]


_STEPS: dict[type, Callable[[Follower, Event], None]] = {
    spec.Basic.Publish: Follower._published,
    spec.Basic.Deliver: Follower._delivered,
    spec.Basic.GetOk: Follower._delivered,
    spec.Basic.Ack: Follower._settled_by_client,
    spec.Basic.Nack: Follower._settled_by_client,
    spec.Basic.Reject: Follower._settled_by_client,
    spec.Basic.Recover: Follower._recovered,
    spec.Basic.Return: Follower._returned,
    spec.Confirm.Select: Follower._confirms,
    spec.Channel.Close: Follower._channel_closed,
    spec.Connection.Close: Follower._connection_closed,
    type(None): Follower._connection_closed,
}
