"""What the broker's refusals mean, and what to do about them.

A channel or connection that the broker closes comes with a code and a text of AMQP 0-9-1
(https://www.rabbitmq.com/docs/channels#error-handling). This is the one place that turns them into the lab's errors.
"""

from __future__ import annotations

from pika.exceptions import ChannelClosedByBroker, ConnectionClosedByBroker

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
    "A classic queue is on one node of the cluster, and returns with it: lab.cluster.start(). A quorum queue "
    '(arguments={"x-queue-type": "quorum"}) is on several, and goes on without one of them.'
)

# The broker's name for queues that are neither durable nor exclusive. RabbitMQ 4.3 refuses them unless its
# configuration permits them, as Debian's does: https://www.rabbitmq.com/docs/deprecated-features.
TRANSIENT = "transient_nonexcl_queues"

Refusal = ChannelClosedByBroker | ConnectionClosedByBroker

# A part of the broker's text, the error to raise, and what to do. The first match counts.
REFUSALS = (
    (
        404, "no queue", QueueNotFound,
        "There is no such queue. Declare it first: channel.queue_declare(name, durable=True).",
    ),
    # RabbitMQ 3 says so at once; 4.0 tries for a minute first, and then says that it took too long.
    (404, "is down or inaccessible", QueueUnavailable, _NODE_DOWN),
    (404, "due to timeout", QueueUnavailable, _NODE_DOWN),
    (404, "no exchange", LabError, "There is no such exchange. Declare it first, or correct the name."),
    (
        405, "locked", QueueInUse,
        "Only the connection that declared this exclusive queue may use it; the queue is deleted with that connection.",
    ),
    (
        406, "inequivalent arg", QueueArgumentsDiffer,
        "The queue already exists with another value for this argument. Declare it with the same value, or delete it "
        "first and lose its messages: lab.delete(name).",
    ),
    (
        406, "unknown delivery tag", LabError,
        "This delivery was acknowledged before, or another channel delivered it. Acknowledge once, on the channel that "
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
        "The limit of queues is reached. Delete some that you do not need, lab.delete(name); an administrator can "
        "raise the limit.",
    ),
    (
        406, "timed out", LabError,
        "A message was held for longer than the broker waits for its acknowledgement, and is requeued. If the work "
        "takes that long, raise the limit: a policy with consumer-timeout for the queue, or consumer_timeout in "
        "rabbitmq.conf.",
    ),
    (
        403, "in exclusive use", QueueInUse,
        "A consumer has the queue to itself (exclusive=True); others can consume when it has ended.",
    ),
    (
        403, "", AccessRefused,
        "The user lacks a permission (configure, write or read) for this; an administrator can give it.",
    ),
    (
        530, "connection limit", AccessRefused,
        "The limit of connections is reached. Stop workers, or shut down kernels that you do not need; an "
        "administrator can raise the limit.",
    ),
    (530, "not found", VhostNotFound, "There is no such virtual host. rpclab.Lab(name) makes one."),
    (
        541, TRANSIENT, LabError,
        "This broker refuses queues that are neither durable nor exclusive, as RabbitMQ does from 4.3 on. Declare the "
        "queue with durable=True, or with exclusive=True if it is for this connection alone.",
    ),
    (530, "", AccessRefused, "The user has no access to this virtual host; an administrator can give it."),
)


def explained(refusal: Refusal, doing: str = "") -> LabError:
    """Return the lab's own error for a channel or connection that the broker closed.

    Parameters
    ----------
    refusal : pika.exceptions.ChannelClosedByBroker or pika.exceptions.ConnectionClosedByBroker
        Any exception with a ``reply_code`` and a ``reply_text``.
    doing : str
        What was attempted, for the message.
    """
    code, text = getattr(refusal, "reply_code", 0), getattr(refusal, "reply_text", "")
    closed = "connection" if isinstance(refusal, ConnectionClosedByBroker) else "channel"
    what = f"{doing}: the" if doing else "The"
    for known, part, error, advice in REFUSALS:
        if code == known and part in text.lower():
            return error(f"{what} broker closed the {closed} ({code} {text}). {advice}")
    return LabError(f"{what} broker closed the {closed} ({code} {text}).")
