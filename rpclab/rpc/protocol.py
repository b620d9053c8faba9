"""What client and server agree on: the names of the queues, and the properties of requests and replies.

================  ==========================================  ==================================================
property          of a request                                of its reply
================  ==========================================  ==================================================
correlation_id    made for each call                          the request's, by which the client finds the call
reply_to          the callback queue, where the reply goes
content_type      ``text/plain``, or the codec's              the same; of an error ``application/json``
type                                                          ``error``, or ``end`` after the last of several
expiration        milliseconds left until the deadline; none
                  from ``send``, which awaits no reply
delivery_mode     persistent from ``send``, and with          the request's
                  ``retry``; else none
headers           ``version`` with `Json`;                    ``worker`` and ``pid``: the process that replied;
                  ``x-rpclab-resent``, how often it was sent  ``version`` with `Json`; ``x-rpclab-number``, from 1,
                  before, if it was                           if there are several
================  ==========================================  ==================================================

Bodies are text, or what a codec makes of values. The body of an error is JSON, ``{"type": ..., "message": ...}``.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Protocol

from pika.exceptions import ChannelClosedByBroker

from rpclab.broker import broker_errors
from rpclab.errors import RemoteError

ADDITION_QUEUE = "addition"
ADDITION_CALLBACK_QUEUE = "addition_callback"
FIBONACCI_QUEUE = "fibonacci"
FIBONACCI_CALLBACK_QUEUE = "fibonacci_callback"

# Not a queue, though clients consume from it: https://www.rabbitmq.com/docs/direct-reply-to
DIRECT_REPLY_TO = "amq.rabbitmq.reply-to"

# The property `type` of an error reply, and of the message after the last of several replies.
ERROR = "error"
END = "end"

# Headers: of a request that its client has sent before, of one of several replies, and of a body in JSON.
RESENT = "x-rpclab-resent"
NUMBER = "x-rpclab-number"
VERSION = "version"


class Declares(Protocol):
    """Declares queues and waits for the broker's answer: a blocking channel, or a `ServerConnection`."""

    def queue_declare(self, queue: str, *, durable: bool, arguments: dict[str, Any] | None) -> object:
        """Declare a queue."""


def declare(channel: Declares, queue: str, arguments: dict[str, Any] | None = None) -> None:
    """Make sure that a durable queue exists; declaring it again with the same properties changes nothing.

    Parameters
    ----------
    channel : pika.adapters.blocking_connection.BlockingChannel or ServerConnection
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
        raise broker_errors.explained(refusal, f"Declaring queue {queue!r}") from refusal


@dataclass(frozen=True)
class Reply:
    """A reply's body, and whether it is an error.

    Attributes
    ----------
    body : bytes
        The answer, or a JSON object that describes the error.
    type : str or None
        The property ``type``: ``"error"`` for an error, ``"end"`` after the last of several replies.
    number : int or None
        Which of several replies it is.
    """

    body: bytes
    type: str | None = None
    number: int | None = None

    @classmethod
    def of(cls, answer: object, number: int | None = None) -> Reply:
        """Return the reply for what a function returned: bytes as they are, all else as text."""
        return cls(bytes(answer) if isinstance(answer, bytes | bytearray) else str(answer).encode(), None, number)

    @property
    def has_more_after_it(self) -> bool:
        """Whether it is one of several, and not the last."""
        return self.number is not None and self.type is None

    @classmethod
    def of_error(cls, error: BaseException) -> Reply:
        """Return the error reply for an exception."""
        said = {"type": type(error).__name__, "message": message_of(error)}
        return cls(json.dumps(said).encode(), ERROR)


def message_of(error: BaseException) -> str:
    """Return an exception's message."""
    try:
        return str(error)
    except Exception:  # noqa: BLE001  an error whose text fails is reported anyway
        return "(its message cannot be shown)"


def remote_error(body: bytes) -> RemoteError:
    """Return the error that an error reply describes."""
    try:
        said = json.loads(body)
        return RemoteError(str(said["type"]), str(said["message"]))
    except (ValueError, KeyError, TypeError):
        return RemoteError("UnreadableError", repr(body[:200]))
