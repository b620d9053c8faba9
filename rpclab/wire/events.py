"""What the tap reports: the AMQP methods that crossed its connections, and the connections' ends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic

from pika import spec
from pika.amqp_object import Method
from typing_extensions import TypeVar

if TYPE_CHECKING:
    from rpclab.wire.routing import Emptied

# The defaults of an `Event`.
M = TypeVar("M", bound=Method | None, covariant=True, default=Method | None)
P = TypeVar("P", bound=spec.BasicProperties | None, covariant=True, default=spec.BasicProperties | None)


@dataclass
class Link:
    """One connection as the tap sees it.

    Attributes
    ----------
    number : int
        1 for the first connection that the tap took, and so on.
    name : str
        The client's ``connection_name``, or ``connection N``.
    pid : int or None
        The client's process, where it said so.
    port : int
        The broker's port that it goes to; in a cluster, it identifies the node.
    readable : bool
        False once something passed that is no AMQP frame; its bytes are forwarded anyway.
    closed : bool
        True when one of its two ends has closed.
    heard : float
        When the client sent its last byte, heartbeats included, in seconds of ``time.monotonic()``.
    disorder : str
        What came out of order, for example a header without its method, as when two threads write at the same time.
    """

    number: int
    name: str = ""
    pid: int | None = None
    port: int = 0
    readable: bool = True
    closed: bool = False
    heard: float = 0.0
    disorder: str = ""

    def __post_init__(self) -> None:
        self.name = self.name or f"connection {self.number}"


@dataclass(eq=False)
class Event(Generic[M, P]):
    """One AMQP method that crossed a connection, with its content if it carries one, or the connection's end.

    The tap's registry adds what is known of queues before any subscriber gets it; then it does not change.

    Attributes
    ----------
    time : float
        When it passed the tap, in seconds of ``time.monotonic()``.
    link : Link
        The connection.
    channel : int
        The channel's number; 0 is the connection itself.
    from_client : bool
        True if it goes to the broker, False if it comes from there.
    method : pika.amqp_object.Method or None
        As pika decoded it, for example a ``pika.spec.Basic.Publish``; None for the end of the TCP connection.
    properties : pika.BasicProperties or None
        For methods that carry a message.
    body : bytes
        Its first 4,096 bytes.
    size : int
        The length of the whole body in bytes.
    queue : str or None
        The queue of a delivery or of a cancelled consumer, by its real name like all names here; for direct reply-to,
        a delivery's routing key. None for other methods, and for a consumer whose beginning the tap did not see.
    queues : tuple of str or None
        The queues that a published message was put into; None for other methods, or if unknown.
    emptied : tuple of Emptied
        The queues that it emptied: purged, deleted, or exclusive to a connection that has ended.
    auto_ack : bool
        Whether a delivery counts as acknowledged when it is sent.
    """

    time: float
    link: Link
    channel: int
    from_client: bool
    method: M
    properties: P = None  # type: ignore[assignment]  # P is None for a method without a message
    body: bytes = b""
    size: int = 0
    queue: str | None = None
    queues: tuple[str, ...] | None = None
    emptied: tuple[Emptied, ...] = ()
    auto_ack: bool = False

    @property
    def name(self) -> str:
        """The method's name in the specification, for example ``Basic.Publish``; ``Closed`` for the end."""
        return "Closed" if self.method is None else self.method.NAME


# The event of a method that carries a message.
Carrying = Event[M, spec.BasicProperties]
