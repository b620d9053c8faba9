"""What a journal records of connections, consumers, declarations and refusals."""

from __future__ import annotations

from dataclasses import dataclass

# How a connection ended: by a Connection.Close of the client or the broker; or without one, at the client's end of the
# TCP connection (its process died, or the network broke) or at the broker's (missed heartbeats, a broker that died).
BY_CLIENT, BY_BROKER, CLIENT_GONE, BROKER_GONE = "by client", "by broker", "client gone", "broker gone"


@dataclass(eq=False)
class Connection:
    """One connection.

    Attributes
    ----------
    number, name, pid : int, str, int or None
        As in `rpclab.wire.events.Link`.
    opened, ended : float, float or None
        In seconds of ``time.monotonic()``.
    end : str
        ``by client``, ``by broker``, ``client gone`` or ``broker gone``; empty while it is open.
    heartbeat : int
        The interval that both ends agreed on, in seconds; 0 for none.
    silence : float
        When it ended, for how many seconds the client had sent no byte.
    """

    number: int
    name: str
    pid: int | None
    opened: float
    ended: float | None = None
    end: str = ""
    heartbeat: int = 0
    silence: float = 0.0


@dataclass(eq=False)
class Consumer:
    """A consumer, or a channel that gets messages from a queue with ``Basic.Get``.

    Attributes
    ----------
    link, channel, queue : int, int, str
        Where it is, and the queue by its real name.
    auto_ack : bool
        Whether deliveries count as acknowledged at once.
    prefetch : int
        How many unacked deliveries it may have; 0 for any number.
    begun, ended : float, float or None
        In seconds of ``time.monotonic()``.
    gets : bool
        Whether it uses ``Basic.Get``.
    prefetch_after : int
        The limit that its channel set after this consumer had begun, which does not count for it.
    cancelled, cancelled_by_broker : bool
        Whether the client ended it, with ``Basic.Cancel`` or by deleting the queue, or the broker did: its queue is
        gone, or, from RabbitMQ 4.3 on and with a quorum queue, it held a message for too long.
    """

    link: int
    channel: int
    queue: str
    auto_ack: bool
    prefetch: int
    begun: float
    ended: float | None = None
    gets: bool = False
    prefetch_after: int = 0
    cancelled: bool = False
    cancelled_by_broker: bool = False


@dataclass(eq=False)
class Declared:
    """A queue's declaration that the broker granted."""

    queue: str
    durable: bool
    exclusive: bool
    auto_delete: bool
    arguments: dict
    link: int
    time: float
    named_by_broker: bool = False


@dataclass(eq=False)
class Refusal:
    """A channel or connection that was closed because of an error, and why.

    Attributes
    ----------
    link, channel : int
        Which; channel 0 for a connection.
    code, text : int, str
        The reason that was given.
    command : str
        The command that it refused, such as ``Basic.Ack``; empty if it named none.
    queue : str
        The queue of the last declaration on the connection, which the broker does not name where it refuses a kind.
    passive : bool
        Whether that declaration only asked whether the queue exists.
    by_client : bool
        Whether the client closed it, and not the broker.
    """

    link: int
    channel: int
    time: float
    code: int
    text: str
    command: str = ""
    queue: str = ""
    passive: bool = False
    by_client: bool = False
