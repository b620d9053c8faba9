"""What the broker's refusals mean, and what to do about them.

A channel or connection that the broker closes comes with a code and a text of AMQP 0-9-1
(https://www.rabbitmq.com/docs/channels#error-handling). This is the one place that turns them into the lab's errors.
"""

from __future__ import annotations

from pika.exceptions import ConnectionClosedByBroker

from rpclab.errors import (
    AccessRefused,
    LabError,
    QueueArgumentsDiffer,
    QueueInUse,
    QueueNotFound,
    QueueUnavailable,
    VhostNotFound,
)

_NODE_DOWN = (
    "A classic queue is on one node of the cluster, and comes back with it: lab.cluster.start(). A quorum queue "
    '(arguments={"x-queue-type": "quorum"}) is on several, and goes on without one of them.'
)

# A part of the broker's text, the error to raise, and what one needs to know. The first that fits counts.
REFUSALS = (
    (
        404, "no queue", QueueNotFound,
        "There is no such queue. Declare it first: channel.queue_declare(name, durable=True).",
    ),
    # RabbitMQ 3 says so at once; 4.0 tries for a minute first, and then says that it took too long.
    (404, "is down or inaccessible", QueueUnavailable, _NODE_DOWN),
    (404, "due to timeout", QueueUnavailable, _NODE_DOWN),
    (404, "no exchange", LabError, "There is no such exchange. Declare it first, or mind the spelling."),
    (
        405, "locked", QueueInUse,
        "The queue is exclusive to another connection, which alone may use it; it goes when that connection closes.",
    ),
    (
        406, "inequivalent arg", QueueArgumentsDiffer,
        "The queue exists already with another value for this argument. Declare it with the same value, or delete it "
        "first and lose its messages: lab.delete(name).",
    ),
    (
        406, "unknown delivery tag", LabError,
        "This delivery has been acknowledged before, or came by another channel. Acknowledge once, on the channel that "
        "the callback got as its first argument.",
    ),
    (
        406, "fast reply consumer does not exist", LabError,
        "Direct reply-to needs its consumer first: consume from amq.rabbitmq.reply-to on this channel, then publish on "
        "the same one.",
    ),
    (
        406, "reply consumer already set", LabError,
        "A channel can have one direct reply-to consumer. Use the one it has, or another channel.",
    ),
    (
        406, "reply consumer cannot acknowledge", LabError,
        "Direct reply-to delivers at most once, so there is nothing to acknowledge: consume with auto_ack=True.",
    ),
    (
        406, "queue limit", LabError,
        "There are as many queues as may be. Delete some that are not needed, lab.delete(name); an administrator can "
        "raise the limit.",
    ),
    (406, "timed out", LabError, "The message was held for too long without an acknowledgement, and is requeued."),
    (
        403, "", AccessRefused,
        "The user lacks a permission (configure, write or read) for this; an administrator can give it.",
    ),
    (
        530, "connection limit", AccessRefused,
        "As many connections are open there as may be. Stop workers, or shut down kernels that are not needed; an "
        "administrator can raise the limit.",
    ),
    (530, "not found", VhostNotFound, "There is no such virtual host. rpclab.Lab(name) makes one."),
    (530, "", AccessRefused, "The user has no access to this virtual host; an administrator can give it."),
)


def explained(refusal: Exception, doing: str = "") -> LabError:
    """Return the lab's own error for a channel or connection that the broker closed.

    Parameters
    ----------
    refusal : pika.exceptions.ChannelClosedByBroker or pika.exceptions.ConnectionClosedByBroker
        Any exception with a ``reply_code`` and a ``reply_text``.
    doing : str
        What was attempted, for the message.
    """
    code, text = refusal.reply_code, refusal.reply_text
    closed = "connection" if isinstance(refusal, ConnectionClosedByBroker) else "channel"
    what = f"{doing}: the" if doing else "The"
    for known, part, error, advice in REFUSALS:
        if code == known and part in text.lower():
            return error(f"{what} broker closed the {closed} ({code} {text}). {advice}")
    return LabError(f"{what} broker closed the {closed} ({code} {text}).")
