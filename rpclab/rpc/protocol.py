"""What client and server agree on: the names of the queues, the properties of requests and replies, and their bodies.

A request carries ``correlation_id``, ``reply_to``, ``content_type`` and ``expiration``. Its reply goes to the queue in
``reply_to`` and has the same ``correlation_id``, by which the client finds the call. A reply of the type ``error`` has
a body in JSON, ``{"type": ..., "message": ...}``. Other bodies are text, or what a codec makes of them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn, Protocol

import pika
from pika.exceptions import ChannelClosedByBroker

from rpclab.broker import broker_errors
from rpclab.errors import InvalidOption, RemoteError, UnreadableBody
from rpclab.rpc import options

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


class ReplyRefused(Exception):
    """The broker did not take the reply."""


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


class Codec:
    """Bodies as text in UTF-8, of whatever content type: the default, and the base class of other codecs.

    Attributes
    ----------
    content_type : str
        The property ``content_type`` of the messages.
    headers : mapping
        Headers of the messages.
    """

    content_type = "text/plain"
    headers: Mapping[str, Any] = {}

    def encode(self, value: Any) -> Any:
        """Return the body for a value."""
        return value

    def decode(self, body: bytes, properties: pika.BasicProperties) -> Any:
        """Return the value of a message's body.

        Raises
        ------
        ValueError
            If it is not UTF-8.
        """
        try:
            return body.decode()
        except UnicodeDecodeError:
            raise ValueError(f"the body is not UTF-8 text: {body[:40]!r}") from None


class Json(Codec):
    """Bodies in JSON: ``client.call({"x": 3, "y": 5})`` gives the server's function a dict, and its result comes back.

    Each message has the content type ``application/json`` and a header ``version``. A body of another content type or
    version, or one that is no JSON, is not read: the server replies with the error `UnreadableBody`, and the client
    raises it.

    Parameters
    ----------
    version : int
        The version of what the bodies mean. Increase it when an older program could not read them.

    Raises
    ------
    InvalidOption
        If the version is no number, and from a call, if its argument cannot be written as JSON.

    Notes
    -----
    https://www.rfc-editor.org/rfc/rfc8259
    """

    content_type = "application/json"

    def __init__(self, version: int = 1):
        if isinstance(version, bool) or not isinstance(version, int) or not 0 <= version < 2**31:
            raise InvalidOption(f"version={options.shown(version)}: it is a whole number, such as 1.")
        self.headers = {VERSION: version}

    def encode(self, value: Any) -> str:
        """Return a value as JSON."""
        try:
            return json.dumps(value, allow_nan=False)
        except (TypeError, ValueError, RecursionError) as error:
            raise InvalidOption(
                f"{options.shown(value)} cannot be written as JSON ({error}): use dict, list, str, int, float, bool "
                "and None."
            ) from None

    def decode(self, body: bytes, properties: pika.BasicProperties) -> Any:
        """Return the value of a message's body.

        Raises
        ------
        UnreadableBody
            If content type or version are others, or if it is no JSON.
        """
        if properties.content_type != self.content_type:
            raise UnreadableBody(
                f"The body has the content type {options.shown(properties.content_type)}, and only {self.content_type} "
                "is read here. Give client and server the same codec."
            )
        version = (properties.headers or {}).get(VERSION)
        if type(version) is not int or version != self.headers[VERSION]:
            raise UnreadableBody(
                f"The body has version {options.shown(version)}, and only version {self.headers[VERSION]} is read "
                "here. Give client and server the same version, or run a server for each version on its own queue."
            )
        try:
            return json.loads(body.decode(), parse_constant=_no_number)
        except (ValueError, RecursionError) as error:
            raise UnreadableBody(f"The body is no JSON ({error}): {body[:40]!r}. Its sender must write JSON.") from None


def checked(codec: object) -> Codec:
    """Return a codec, the one for text if there is none.

    Raises
    ------
    InvalidOption
        If it is something else.
    """
    if codec is None:
        return Codec()
    if not isinstance(codec, Codec):
        raise InvalidOption(f"codec={options.shown(codec)}: it is a codec, such as rpclab.Json(version=1).")
    return codec


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")
