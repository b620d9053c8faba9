"""The counts of the request queue, by a passive declare: what is known when a reply does not come."""

from __future__ import annotations

import time
from dataclasses import dataclass

import pika
from pika.channel import Channel
from pika.exceptions import ChannelClosedByBroker

from rpclab.broker import broker_errors
from rpclab.errors import LabError

FRESH_SECONDS = 0.05


@dataclass(frozen=True)
class Counts:
    """What the broker says of a queue: its ready messages and its consumers, and when the client heard of it."""

    ready: int
    consumers: int
    heard: float


class Inspection:
    """Reads a queue's counts on its own channel, which the broker closes if there is no such queue.

    The broker counts this as a use of the queue: it delays the expiry of one with ``x-expires``.

    Parameters
    ----------
    connection : pika.SelectConnection
        An open connection.
    queue : str
        The queue.

    Attributes
    ----------
    waiting : bool
        Whether the answer of the broker is still to come.
    found : Counts, LabError or None
        What it said last, or why it said nothing about the queue.
    """

    def __init__(self, connection: pika.SelectConnection, queue: str):
        self._connection = connection
        self._queue = queue
        self.waiting = False
        self.found: Counts | LabError | None = None
        self._channel: Channel | None = None
        self._asked = 0.0

    def ask(self) -> None:
        """Send a passive declare, unless one was sent just now, or has no answer yet."""
        now = time.monotonic()
        if self.waiting or now < self._asked + FRESH_SECONDS:
            return
        self.found, self._asked, self.waiting = None, now, True
        if self._channel is None:
            self._connection.channel(on_open_callback=self._on_open)
        else:
            self._declare(self._channel)

    def _on_open(self, channel: Channel) -> None:
        self._channel = channel
        channel.add_on_close_callback(self._on_close)
        self._declare(channel)

    def _declare(self, channel: Channel) -> None:
        channel.queue_declare(self._queue, passive=True, callback=self._on_declared)

    def _on_declared(self, frame: pika.frame.Method) -> None:
        self.waiting = False
        self.found = Counts(frame.method.message_count, frame.method.consumer_count, time.monotonic())

    def _on_close(self, channel: Channel, reason: Exception) -> None:
        self._channel, self.waiting = None, False
        if isinstance(reason, ChannelClosedByBroker):
            self.found = broker_errors.explained(reason)
