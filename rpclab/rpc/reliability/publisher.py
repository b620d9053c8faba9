"""Publishing with confirms, for client and server: the outcome of each message.

https://www.rabbitmq.com/docs/confirms#publisher-confirms
"""

from __future__ import annotations

import enum
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

import pika
from pika.channel import Channel
from pika.spec import Basic


class Outcome(enum.Enum):
    """How the broker handled a message."""

    CONFIRMED = "confirmed"
    RETURNED = "returned"  # no queue takes it
    REJECTED = "rejected"  # its queue is full and rejects, or has no leader
    UNSENDABLE = "unsendable"  # pika cannot encode it


@dataclass(eq=False, slots=True)
class Message:
    """A message on its way to a queue.

    Attributes
    ----------
    mandatory : bool
        Whether the broker returns it when there is no such queue.
    needed : bool
        Whether to send it until a queue takes it: a copy of a request that would be lost otherwise.
    last : bool
        Whether to send nothing in its place when the broker does not take it.
    tries : int
        How often it has been published.
    """

    queue: str
    body: bytes
    properties: pika.BasicProperties
    mandatory: bool = True
    needed: bool = False
    last: bool = False
    tries: int = 0
    published: float = field(default=0.0, repr=False)


class Publisher:
    """Publishes on one channel; the outcomes come while the connection's loop runs.

    Parameters
    ----------
    channel : pika.channel.Channel
        A channel on which nothing has been published. `select` puts it in confirm mode.
    on_outcome : callable
        Called with a message and its `Outcome`.
    proven : callable
        Called with a number when a confirm shows that the broker has read everything sent before the message with that
        number.
    """

    def __init__(
        self, channel: Channel, on_outcome: Callable[[Message, Outcome], None],
        proven: Callable[[int], None] = lambda number: None,
    ):
        self.count = 0
        self._channel = channel
        self._on_outcome = on_outcome
        self._proven = proven
        self._unconfirmed: OrderedDict[int, Message] = OrderedDict()
        channel.add_on_return_callback(self._on_return)

    def select(self, callback: Callable[[object], None] | None = None) -> None:
        """Put the channel in confirm mode; the callback is called when the broker has done so."""
        self._channel.confirm_delivery(self._on_confirm, callback=callback)

    @property
    def is_open(self) -> bool:
        """Whether the channel is open."""
        return self._channel.is_open

    def acknowledge(self, tag: int) -> None:
        """Acknowledge a delivery of this channel."""
        self._channel.basic_ack(tag)

    def close(self) -> None:
        """Close the channel."""
        self._channel.close()

    def forget(self) -> list[Message]:
        """Return the messages without an outcome, the oldest first; nothing more is reported about them."""
        unconfirmed, self._unconfirmed = list(self._unconfirmed.values()), OrderedDict()
        return unconfirmed

    @property
    def oldest(self) -> Message | None:
        """The message that has waited longest for its confirm."""
        return next(iter(self._unconfirmed.values()), None)

    def publish(self, message: Message) -> None:
        """Publish a message; its outcome is reported later."""
        message.tries += 1
        message.published = time.monotonic()
        self._channel.basic_publish("", message.queue, message.body, message.properties, message.mandatory)
        self.count += 1
        self._unconfirmed[self.count] = message

    def _on_return(self, channel: Channel, method: Basic.Return, properties: pika.BasicProperties, body: bytes) -> None:
        """Report the message that the broker returns; the confirm that follows says nothing new."""
        for number, message in self._unconfirmed.items():
            same = message.queue == method.routing_key and message.body == body
            if same and message.properties.correlation_id == properties.correlation_id:
                del self._unconfirmed[number]
                self._on_outcome(message, Outcome.RETURNED)
                return

    def _on_confirm(self, frame: pika.frame.Method) -> None:
        tag = frame.method.delivery_tag
        outcome = Outcome.REJECTED if isinstance(frame.method, Basic.Nack) else Outcome.CONFIRMED
        self._proven(tag)
        while frame.method.multiple and self._unconfirmed and next(iter(self._unconfirmed)) < tag:
            self._on_outcome(self._unconfirmed.popitem(last=False)[1], outcome)
        message = self._unconfirmed.pop(tag, None)
        if message is not None:
            self._on_outcome(message, outcome)
