"""Which published messages the broker has confirmed: https://www.rabbitmq.com/docs/confirms."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from itertools import takewhile

from pika import spec

from rpclab.wire.messages import Message
from rpclab.wire.routing import Channel


@dataclass
class _Published:
    """How many messages were published on one channel, and which wait for a confirm."""

    count: int = 0
    waiting: OrderedDict[int, Message] = field(default_factory=OrderedDict)


class Confirms:
    """Counts messages on each channel that confirms, from the moment when the client asks for confirms.

    Parameters
    ----------
    keep : int
        How many messages of a channel are remembered; the oldest go first.
    """

    def __init__(self, keep: int):
        self._keep = keep
        self._channels: dict[Channel, _Published] = {}

    def select(self, channel: Channel) -> None:
        """Begin to count; asking for confirms again has no effect."""
        self._channels.setdefault(channel, _Published())

    def published(self, channel: Channel, message: Message) -> None:
        """Count a message."""
        if channel in self._channels:
            published = self._channels[channel]
            published.count += 1
            published.waiting[published.count] = message
            if len(published.waiting) > self._keep:
                published.waiting.popitem(last=False)

    def answered(self, channel: Channel, method: spec.Basic.Ack | spec.Basic.Nack) -> None:
        """Mark the messages that the broker confirms or rejects."""
        waiting = self._channels[channel].waiting if channel in self._channels else {}
        tag, numbers = method.delivery_tag, [method.delivery_tag]
        if method.multiple:
            numbers = list(takewhile(lambda number: number <= tag or not tag, waiting))
        for message in [waiting.pop(number) for number in numbers if number in waiting]:
            message.confirmed = isinstance(method, spec.Basic.Ack)

    def ended(self, *where: int) -> None:
        """Forget the channels of a connection, or one of them: its number may be used again."""
        for channel in [channel for channel in self._channels if channel[: len(where)] == where]:
            del self._channels[channel]
