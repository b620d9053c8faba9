"""Follows a lab's messages from frame to frame: published, delivered, acknowledged, answered, returned."""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

from pika import spec

from rpclab.table import shortened
from rpclab.wire.confirms import Confirms
from rpclab.wire.events import Carrying, Event, Link
from rpclab.wire.matching import DELIVERY_LIMIT, Content, Matching, Place, key_of
from rpclab.wire.messages import (
    ACKED,
    AUTO_ACKED,
    BACK_IN_THE_QUEUE,
    DEAD_LETTERED,
    DELIVERED,
    HELD,
    LOST,
    MESSAGE,
    PUBLISHED,
    REJECTED,
    REQUEUED,
    RETURNED,
    Delivery,
    Message,
    Step,
)
from rpclab.wire.requests import Requests
from rpclab.wire.routing import Channel, Emptied

CANCELLED = "broker cancels consumer"
REASON_SHOWN = 80
# A message may loop between a queue and a consumer that requeues it. Then steps from the middle are left out.
STEPS_KEPT = 1_000


class Follower:
    """Keeps the messages of a lab up to date, event by event.

    Parameters
    ----------
    keep : int
        How many messages are remembered; the oldest go first.
    changed : callable
        Called with each `Step`, when its message is up to date.

    Attributes
    ----------
    messages : collections.OrderedDict of int to Message
        By number, in the order in which they were published.
    """

    def __init__(self, keep: int, changed: Callable[[Step], None]):
        self.messages: OrderedDict[int, Message] = OrderedDict()
        self._keep = keep
        self._changed = changed
        self._matching = Matching()
        self._requests = Requests()
        # By delivery tag.
        self._held: defaultdict[Channel, OrderedDict[int, tuple[Message, Delivery, Place]]] = defaultdict(OrderedDict)
        # By queue and number, what came there and was not settled.
        self._there: defaultdict[str, dict[int, Message]] = defaultdict(dict)
        self._confirms = Confirms(keep)
        self._numbers, self._orders = count(1), count(1)

    def take(self, event: Event) -> bool:
        """Take the next event; return whether it concerns messages."""
        step = _STEPS.get(type(event.method))
        if step:
            step(self, event, (event.link.number, event.channel))
        for emptied in event.emptied:
            self._remove(emptied)
        return step is not None or bool(event.emptied)

    def request(self, correlation_id: str) -> Message | None:
        """Return the first request with a correlation id, if there is one."""
        return self._requests.with_id(correlation_id)

    def _note(
        self, event: Event, what: str, message: Message, who: str, queue: str, *, link: Link | None = None,
        redelivered: bool = False, cause: str = "",
    ) -> Step:
        link, order = link or event.link, next(self._orders)
        step = Step(event.time, order, what, message, who, queue, redelivered, link.number, link.pid, cause)
        _append(message.steps, step)
        self._changed(step)
        return step

    def _published(self, event: Carrying[spec.Basic.Publish], channel: Channel) -> None:
        if not event.from_client:
            return
        message = self._new(event, event.link.name)
        message.queues, message.mandatory = event.queues, bool(event.method.mandatory)
        for queue in message.queues or ():
            self._there[queue][message.number] = message
        self._confirms.published(channel, message)
        self._note(event, PUBLISHED, message, event.link.name, message.queue)

    def _new(self, event: Carrying[Content], publisher: str | None) -> Message:
        method, number = event.method, next(self._numbers)
        message = Message(
            number, "", MESSAGE, publisher, method.exchange, method.routing_key, event.properties, event.body,
            event.size, event.time,
        )
        self._requests.name(event, message, self._in_hand(event))
        self.messages[number] = message
        self._matching.add(key_of(event), message)
        if len(self.messages) > self._keep:
            self._forget(self.messages.popitem(last=False)[1])
        return message

    def _in_hand(self, event: Event) -> Iterator[Message]:
        """Yield the deliveries that the connection of an event holds unacked."""
        for channel, held in self._held.items():
            if channel[0] == event.link.number:
                yield from (message for message, _, _ in held.values())

    def _delivered(self, event: Carrying[spec.Basic.Deliver | spec.Basic.GetOk], channel: Channel) -> None:
        queue, redelivered = event.queue or event.method.routing_key, bool(event.method.redelivered)
        place = key_of(event), queue
        message = self._matching.match(place, redelivered)
        if message is None:
            message = self._dead_letter(event, queue) or self._new(event, None)
            self._matching.took(place)
        if redelivered:
            self._taken_back(event, message, queue)
        self._requests.delivered(event, message)
        delivery = Delivery(
            queue, event.link.name, event.time, redelivered, link=event.link, channel=event.channel,
            tag=event.method.delivery_tag,
        )
        _append(message.deliveries, delivery)
        if event.auto_ack:
            delivery.outcome, delivery.settled = AUTO_ACKED, event.time
            self._gone(message, queue)
        else:
            held = self._held[channel]
            held[event.method.delivery_tag] = (message, delivery, place)
            if len(held) > self._keep:
                held.popitem(last=False)
            self._there[queue][message.number] = message
        self._note(event, DELIVERED, message, event.link.name, queue, redelivered=redelivered)

    def _taken_back(self, event: Event, message: Message, queue: str) -> None:
        """Record that the broker has requeued a message, as its next step shows.

        Then the broker ended the channel or connection, and that news is still in flight, or it cancelled the consumer.
        An acknowledgement that was sent in between came too late.
        """
        last = next((one for one in reversed(message.deliveries) if one.queue == queue), None)
        if last and last.outcome not in BACK_IN_THE_QUEUE:
            self._lose(event, message, last, CANCELLED if last.cancelled else "")

    def _dead_letter(self, event: Carrying[Content], queue: str) -> Message | None:
        """Return the message that a dead-letter queue delivers now, by its headers."""
        key = key_of(event)
        deaths = (event.properties.headers or {}).get("x-death") or ()
        for death in deaths:
            for routing_key in death.get("routing-keys", ()):
                if message := self._matching.died((death.get("exchange", ""), routing_key, *key[2:]), death):
                    source, message.dead_lettered = death.get("queue", ""), death.get("reason", "unknown")
                    if message.dead_lettered == DELIVERY_LIMIT:
                        self._taken_back(event, message, source)
                    self._matching.add(key, message)
                    self._note(event, DEAD_LETTERED, message, source, queue)
                    return message
        return None

    def _settled(self, event: Event[spec.Basic.Ack | spec.Basic.Nack | spec.Basic.Reject], channel: Channel) -> None:
        method = event.method
        if not event.from_client:
            if not isinstance(method, spec.Basic.Reject):  # which a broker never sends
                self._confirms.answered(channel, method)
            return
        held = self._held.get(channel)
        if not held:
            return
        if getattr(method, "multiple", False):
            tags = [tag for tag in held if not method.delivery_tag or tag <= method.delivery_tag]
        else:
            tags = [method.delivery_tag] if method.delivery_tag in held else []
        outcome = ACKED if isinstance(method, spec.Basic.Ack) else REQUEUED if method.requeue else REJECTED
        for tag in tags:
            self._end(event, *held.pop(tag), outcome)

    def _recovered(self, event: Event, channel: Channel) -> None:
        for entry in self._held.pop(channel, {}).values():
            self._end(event, *entry, REQUEUED)

    def _end(self, event: Event, message: Message, delivery: Delivery, place: Place, outcome: str) -> None:
        if delivery.outcome != HELD:
            return
        delivery.outcome, delivery.settled = outcome, event.time
        if outcome == REQUEUED:
            self._matching.put_back(place, message)
        else:
            self._gone(message, delivery.queue)
        self._note(event, outcome, message, delivery.to, delivery.queue)

    def _cancelled(self, event: Event[spec.Basic.Cancel], channel: Channel) -> None:
        """Record that the broker cancelled a consumer: its queue is gone, or the broker requeues what it held."""
        for _, delivery, _ in self._held.get(channel, {}).values():
            if delivery.queue == event.queue and not event.from_client:
                delivery.cancelled = True
                if delivery.loss:
                    delivery.loss.cause = CANCELLED

    def _channel_closed(self, event: Event[spec.Channel.Close], channel: Channel) -> None:
        self._lose_all(event, [channel], f"channel ends{_reason(event)}")

    def _channel_ended(self, event: Event, channel: Channel) -> None:
        # Only now can its number be used again; until then, the broker may still confirm.
        self._confirms.ended(*channel)
        self._requests.channel_ended(channel)

    def _connection_closed(self, event: Event[spec.Connection.Close | None], _: Channel) -> None:
        ended = [channel for channel in self._held if channel[0] == event.link.number]
        self._lose_all(event, ended, f"connection ends{_reason(event)}")
        self._confirms.ended(event.link.number)

    def _lose_all(self, event: Event, channels: list[Channel], cause: str) -> None:
        for channel in channels:
            for message, delivery, place in self._held.pop(channel, {}).values():
                if delivery.outcome == HELD:
                    self._matching.put_back(place, message)
                    self._lose(event, message, delivery, cause)
                elif delivery.loss and not delivery.loss.cause:
                    delivery.loss.cause = cause

    def _lose(self, event: Event, message: Message, delivery: Delivery, cause: str) -> None:
        delivery.outcome, delivery.settled = LOST, event.time
        delivery.loss = self._note(event, LOST, message, delivery.to, delivery.queue, link=delivery.link, cause=cause)

    def _remove(self, emptied: Emptied) -> None:
        for message in list(self._there.get(emptied.queue, {}).values()):
            if message.waits_in(emptied.queue):
                message.removed |= {emptied.queue}
                self._matching.remove(emptied.queue, message)
                self._gone(message, emptied.queue)

    def _gone(self, message: Message, queue: str) -> None:
        """Record that a queue no longer holds a message."""
        there = self._there.get(queue, {})
        there.pop(message.number, None)
        if not there:
            self._there.pop(queue, None)

    def _returned(self, event: Carrying[spec.Basic.Return], _: Channel) -> None:
        message = self._matching.unreturned(key_of(event), event.link.name)
        if message:
            message.returned = event.method.reply_text
            self._note(event, RETURNED, message, event.link.name, message.queue)

    def _select_confirms(self, _: Event, channel: Channel) -> None:
        self._confirms.select(channel)

    def _forget(self, message: Message) -> None:
        self._matching.forget(message)
        self._requests.forget(message)
        for queue in message.places:
            self._gone(message, queue)


def _append(kept: list, new: object) -> None:
    kept.append(new)
    if len(kept) > STEPS_KEPT:
        del kept[STEPS_KEPT // 2]


def _reason(event: Event[spec.Channel.Close | spec.Connection.Close | None]) -> str:
    """Return the broker's reason for closing a channel or connection, if it gives one."""
    if event.method is None or event.from_client:
        return ""
    return f" ({event.method.reply_code} {shortened(event.method.reply_text.split('. ')[0], REASON_SHOWN)})"


_STEPS: dict[type, Callable[[Follower, Event[Any, Any], Channel], None]] = {
    spec.Basic.Publish: Follower._published,
    spec.Basic.Deliver: Follower._delivered,
    spec.Basic.GetOk: Follower._delivered,
    spec.Basic.Ack: Follower._settled,
    spec.Basic.Nack: Follower._settled,
    spec.Basic.Reject: Follower._settled,
    spec.Basic.Recover: Follower._recovered,
    spec.Basic.Cancel: Follower._cancelled,
    spec.Basic.Return: Follower._returned,
    spec.Confirm.Select: Follower._select_confirms,
    spec.Channel.Close: Follower._channel_closed,
    spec.Channel.CloseOk: Follower._channel_ended,
    spec.Connection.Close: Follower._connection_closed,
    type(None): Follower._connection_closed,
}
