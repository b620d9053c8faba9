"""A TCP proxy on loopback through which all of a lab's connections go, so that the lab sees what crosses them.

Bytes are read first and then forwarded, unchanged and with back-pressure both ways. So the lab knows first what a
client or the broker can know, and what the tap saw first cannot be the effect of what it saw later. Only the broker's
own actions, such as ending a connection, may be seen after their effects on another connection.
"""

from __future__ import annotations

import asyncio
import errno
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial

from rpclab.broker import tls
from rpclab.broker.address import Broker
from rpclab.errors import BrokerUnavailable, LabError
from rpclab.wire.events import Event, Link
from rpclab.wire.frames import FrameReader
from rpclab.wire.gate import Frame
from rpclab.wire.listeners import Listeners
from rpclab.wire.loop_thread import LoopThread
from rpclab.wire.registry import Registry
from rpclab.wire.relay import Side

EVENTS_KEPT = 20_000
LOOPBACK = "127.0.0.1"


class Tap:
    """A running proxy in front of one broker; a context manager.

    Parameters
    ----------
    broker : Broker
        Where the bytes go. Each node of a cluster has its own port, whose connections go to this node alone.
    keep : int
        How many events are remembered; the oldest go first.
    host, port : str, int
        Where to listen: on loopback, at ports that are free, unless given. A port is that of the first node.
    complete : bool
        Whether all queues are declared through this tap, as in a lab; see `Registry`.

    Attributes
    ----------
    ports : list of int
        The ports to connect to instead of the broker's, one for each node.
    port : int
        The first of them.
    events : collections.deque of Event
        The most recent events.
    registry : Registry
        Which connection consumes from which queue, and owns which queue that the broker named.
    """

    def __init__(
        self, broker: Broker, *, keep: int = EVENTS_KEPT, host: str = LOOPBACK, port: int = 0, complete: bool = True,
    ):
        self.events: deque[Event] = deque(maxlen=keep)
        self._broker = broker
        self._host = host
        self.registry = Registry(complete=complete)
        self._subscribers: Listeners[Event] = Listeners()
        self._gatekeeper: Callable[[Frame], bool] | None = None
        self._clients: set[Side] = set()
        self._sides: set[Side] = set()
        self._tasks: set[asyncio.Task] = set()
        self._links = 0
        self._servers: list[asyncio.Server] = []
        self._thread = LoopThread("rpclab tap")
        try:
            self.ports: list[int] = self._thread.run(self._listen(port))
        except OSError as error:
            self.close()
            if error.errno == errno.EADDRINUSE:
                problem = f"Port {port} on {host} is used by another program. Choose another port, or none."
                raise LabError(problem) from error
            raise BrokerUnavailable(f"Could not listen on {host}: {error}.") from error

    @property
    def port(self) -> int:
        return self.ports[0]

    def subscribe(self, callback: Callable[[Event], None], *, past: bool = False) -> Callable[[], None]:
        """Call a function with each event from now on, and with ``past`` with the remembered ones before.

        It runs in the tap's thread before the event's bytes are forwarded: it must return quickly. If it raises, the
        traceback is printed once; the traffic and the other subscribers go on.

        Returns
        -------
        callable
            Call it to end the subscription; calling it again has no effect.
        """

        def start() -> Callable[[], None]:
            for event in self.events if past else ():
                callback(event)
            return self._subscribers.add(callback)

        return self._thread.call(start)

    @contextmanager
    def subscription(self, callback: Callable[[Event], None]) -> Iterator[None]:
        """Subscribe during a ``with`` block."""
        with ExitStack() as ended:
            ended.callback(self.subscribe(callback))
            yield

    def catch_up(self) -> None:
        """Return when the tap has read what had arrived at its sockets before the call.

        What a client or the broker has received needs no call: the tap reads before it forwards. Use this for what a
        client has only sent, such as an acknowledgement. On a busy machine it may not have arrived at the tap yet.
        """
        # What has arrived when a round of the loop begins is read in that round; the first one may have begun before.
        for _ in range(2):
            self._thread.call(lambda: None)

    def links(self) -> list[Link]:
        """Return the connections that are open now."""
        return [client.reader.link for client in list(self._clients)]

    def cut(self, name: str | None = None) -> int:
        """Cut connections with a TCP reset, as a crashed machine or a firewall does.

        Parameters
        ----------
        name : str, optional
            All connections with this name; all of the lab by default.

        Returns
        -------
        int
            How many there were.

        Raises
        ------
        LabError
            If no connection has this name.
        """
        return self._on_both_sides(name, Side.reset)

    def hang_up(self, name: str | None = None) -> int:
        """Close TCP connections cleanly (FIN), without an AMQP close; see `cut` for the rest."""
        return self._on_both_sides(name, Side.end)

    def freeze(self, name: str | None = None, *, answers_only: bool = False) -> int:
        """Make connections a black hole: nothing passes, and neither end notices; see `cut` for the rest.

        Parameters
        ----------
        name : str, optional
            Which connections.
        answers_only : bool
            Whether to hold back only what the broker sends.
        """
        return self._on_both_sides(
            name, lambda side: None if answers_only and side.reader.from_client else side.hold(frozen=True)
        )

    def thaw(self, name: str | None = None) -> int:
        """End `freeze`; what was sent in between arrives."""
        return self._on_both_sides(name, lambda side: side.hold(frozen=False))

    def delay(self, seconds: float, name: str | None = None) -> int:
        """Forward everything with a delay in seconds, each way, until changed; see `cut` for the rest."""
        return self._on_both_sides(name, lambda side: side.pass_later(seconds))

    def drop_next(self, method: str, name: str | None = None) -> int:
        """Drop the next method of this name, such as ``Basic.Ack``, in either direction; see `cut` for the rest."""
        return self._on_both_sides(name, lambda side: side.gate.drop_next(method))

    @contextmanager
    def gatekeeper(self, ask: Callable[[Frame], bool]) -> Iterator[None]:
        """During a ``with`` block, ask a function about each frame before it passes.

        Parameters
        ----------
        ask : callable
            Takes a `Frame` and returns whether it passes. With a method that does not, its message does not pass
            either. The function runs in the tap's thread: it must return quickly and not raise. It may cut, freeze and
            thaw connections. A frame whose connection it cuts does not pass. A frame whose connection it freezes waits
            until the connection is thawed, and the function is asked about it again then.
        """
        self._thread.call(lambda: self._keep_gates(ask))
        try:
            yield
        finally:
            self._thread.call(lambda: self._keep_gates(None))

    @property
    def is_open(self) -> bool:
        """Whether the proxy runs."""
        return self._thread.is_running

    def close(self) -> None:
        """End the proxy and the connections that go through it."""
        if self.is_open:
            self._thread.run(self._break_everything_off())
            self._thread.stop()

    def __enter__(self) -> Tap:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    async def _listen(self, port: int) -> list[int]:
        """Listen for the connections to each node, and return the ports."""
        loop = self._thread.loop
        for node, at in [(self._broker, port), *((node, 0) for node in self._broker.others)]:
            self._servers.append(await loop.create_server(partial(self._accept, node), self._host, at))
        return [server.sockets[0].getsockname()[1] for server in self._servers]

    async def _break_everything_off(self) -> None:
        for server in self._servers:
            server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for side in list(self._sides):
            side.reset()
        # A reset happens in one of the loop's next rounds.
        while self._sides:
            await asyncio.sleep(0)

    def _accept(self, node: Broker) -> Side:
        self._links += 1
        link = Link(self._links, port=node.port)
        opened = partial(self._client_opened, node)
        client = Side(FrameReader(link, True, self._publish), opened, self._side_closed)
        broker = Side(FrameReader(link, False, self._publish), self._broker_opened, self._side_closed)
        client.peer, broker.peer = broker, client
        client.gate.ask = broker.gate.ask = self._gatekeeper
        return client

    def _keep_gates(self, ask: Callable[[Frame], bool] | None) -> None:
        self._gatekeeper = ask
        for client in self._clients:
            client.gate.ask = client.peer.gate.ask = ask

    def _client_opened(self, node: Broker, client: Side) -> None:
        client.hold()  # until the other socket is open
        self._clients.add(client)
        self._sides.add(client)
        reaching = self._thread.loop.create_task(self._reach(node, client))
        self._tasks.add(reaching)
        reaching.add_done_callback(self._tasks.discard)

    def _broker_opened(self, broker: Side) -> None:
        self._sides.add(broker)
        if broker.reader.link.closed:
            broker.end()  # the client has closed in between
        else:
            broker.peer.hold()

    def _side_closed(self, side: Side) -> None:
        link = side.reader.link
        if not link.closed:
            link.closed = True
            side.reader.close()
        self._sides.discard(side)
        self._clients -= {side, side.peer}

    async def _reach(self, node: Broker, client: Side) -> None:
        secure = tls.context() if node.secure else None
        try:
            await self._thread.loop.create_connection(
                lambda: client.peer, node.host, node.port, ssl=secure, server_hostname=node.host if secure else None,
            )
        except OSError:
            # Not with a reset: pika raises a bare ValueError if one comes while it connects.
            client.end()

    def _on_both_sides(self, name: str | None, action: Callable[[Side], None]) -> int:
        """Call a function with both sockets of each connection of a name, in the tap's thread."""

        def act() -> int:
            chosen = [client for client in self._clients if name in (None, client.reader.link.name)]
            for client in chosen:
                action(client)
                action(client.peer)
            return len(chosen)

        count = self._thread.call(act)
        if name is not None and not count:
            names = ", ".join(sorted(link.name for link in self.links())) or "none"
            raise LabError(f"No open connection has the name {name!r}. Open ones: {names}.")
        return count

    def _publish(self, event: Event) -> None:
        try:
            event = self.registry.take(event)
        except Exception:  # noqa: BLE001  an event that the registry fails at is passed on as it came
            self._subscribers.report(self.registry.take)
        self.events.append(event)
        self._subscribers.tell(event)
