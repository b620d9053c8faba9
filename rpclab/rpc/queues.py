"""The case study's four queues, and how a queue is declared."""

from __future__ import annotations

from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import ChannelClosedByBroker

from rpclab.broker import refusals

ADDITION_QUEUE = "addition"
ADDITION_CALLBACK_QUEUE = "addition_callback"
FIBONACCI_QUEUE = "fibonacci"
FIBONACCI_CALLBACK_QUEUE = "fibonacci_callback"

# Not a queue, though one consumes from it: https://www.rabbitmq.com/docs/direct-reply-to
DIRECT_REPLY_TO = "amq.rabbitmq.reply-to"


def declare(channel: BlockingChannel, queue: str, arguments: dict | None = None) -> None:
    """Make sure that a durable queue exists; declaring it again with the same properties changes nothing.

    Parameters
    ----------
    channel : pika.adapters.blocking_connection.BlockingChannel
        An open channel. A refusal closes it.
    queue : str
        The queue's name.
    arguments : dict, optional
        Optional arguments, for example ``{"x-queue-type": "quorum"}``.

    Raises
    ------
    QueueArgumentsDiffer
        If the queue exists with other properties; the message names the first one that differs.
    QueueInUse
        If it is exclusive to another connection.

    Notes
    -----
    https://www.rabbitmq.com/docs/queues#property-equivalence
    """
    try:
        channel.queue_declare(queue, durable=True, arguments=arguments)
    except ChannelClosedByBroker as refusal:
        raise refusals.explained(refusal, f"Declaring queue {queue!r}") from refusal

