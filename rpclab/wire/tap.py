"""A TCP proxy on loopback through which all of a lab's connections go, so that one can see what crosses them.

Bytes are forwarded first, untouched and with back-pressure both ways; only then are they read.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial
from typing import TypeVar

from rpclab.broker import tls
from rpclab.broker.address import Broker
from rpclab.errors import BrokerUnavailable, LabError
from rpclab.wire.frames import Event, FrameReader, Link
from rpclab.wire.registry import Registry
from rpclab.wire.side import Side

EVENTS_KEPT = 20_000
START_SECONDS = 5

T = TypeVar("T")


class Tap:
    """A running proxy in front of one broker; a context manager.

    Parameters
    ----------
    broker : Broker
        Where the bytes go. For each node of a cluster there is a port, whose connections go to this node alone.
    keep : int
        How many events are remembered; the oldest go first.

    Attributes
    ----------
    ports : list of int
        The ports on 127.0.0.1 to connect to instead of the broker's, one for each node.
    port : int
        The first of them.
    events : collections.deque of Event
        The most recent events.
    registry : Registry
        Who consumes from which queue, and whose the queues are that the broker named.
    """

    def __init__(self, broker: Broker, *, keep: int = EVENTS_KEPT):
        self.events: deque[Event] = deque(maxlen=keep)
        self.ports: list[int] = []
        self._broker = broker
        self.registry = Registry()
        self._subscribers: list[Callable[[Event], None]] = []
        self._clients: set[Side] = set()
        self._sides: set[Side] = set()
        self._tasks: set[asyncio.Task] = set()
        self._links = 0
        self._ready = threading.Event()
        self._failure: OSError | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="rpclab tap", daemon=True)
        self._thread.start()
        if not self._ready.wait(START_SECONDS) or self._failure:
            raise BrokerUnavailable(f"The lab could not listen on 127.0.0.1: {self._failure or 'no answer'}.")

    @property
    def port(self) -> int:
        return self.ports[0]

    def subscribe(self, callback: Callable[[Event], None]) -> Callable[[], None]:
        """Call a function with each event from now on, in the tap's thread: it must return quickly and not raise.

        Returns
        -------
        callable
            Call it to end the subscription.
        """
        self._subscribers.append(callback)
        return lambda: self.unsubscribe(callback)

    def unsubscribe(self, callback: Callable[[Event], None]) -> None:
        """End a subscription; a second time does nothing."""
        if callback in self._subscribers:
            self._subscribers.remove(callback)

    def replay(self, callback: Callable[[Event], None]) -> Callable[[], None]:
        """Call a function with the events that are remembered, and then with each from now on; see `subscribe`."""

        def start() -> None:
            for event in self.events:
                callback(event)
            self._subscribers.append(callback)

        self._in_thread(start)
        return lambda: self.unsubscribe(callback)

    @contextmanager
    def subscription(self, callback: Callable[[Event], None]):
        """Subscribe for the length of a ``with`` block."""
        unsubscribe = self.subscribe(callback)
        try:
            yield
        finally:
            unsubscribe()

    def catch_up(self) -> None:
        """Return when all that had arrived before the call has been read.

        What somebody has received by way of the tap has. What was only sent usually has, but on a busy machine it may
        still be on its way.
        """
        # What has arrived when a round of the loop begins is read in that round; the first one may have begun before.
        for _ in range(2):
            self._in_thread(lambda: None)

    def links(self) -> list[Link]:
        """Return the connections that are open now."""
        return [client.reader.link for client in list(self._clients)]

    def cut(self, name: str | None = None) -> int:
        """Break connections off with a TCP reset, as when a machine crashes or a firewall interferes.

        Parameters
        ----------
        name : str, optional
            Which: all that have this name, or simply all.

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
        """Close connections in good order of TCP, without a word of AMQP; see `cut` for the rest."""
        return self._on_both_sides(name, Side.end)

    def freeze(self, name: str | None = None, *, answers_only: bool = False) -> int:
        """Make connections a black hole: nothing passes, and nobody is told; see `cut` for the rest.

        Parameters
        ----------
        name : str, optional
            Which connections.
        answers_only : bool
            Whether what the client says still passes, and only what the broker says does not.
        """
        return self._on_both_sides(
            name, lambda side: None if answers_only and side.reader.from_client else side.hold(frozen=True)
        )

    def thaw(self, name: str | None = None) -> int:
        """End `freeze`; what was sent meanwhile arrives."""
        return self._on_both_sides(name, lambda side: side.hold(frozen=False))

    def delay(self, seconds: float, name: str | None = None) -> int:
        """Pass on everything so many seconds late, each way, until told otherwise; see `cut` for the rest."""
        return self._on_both_sides(name, lambda side: side.pass_later(seconds))

    def drop_next(self, method: str, name: str | None = None) -> int:
        """Swallow the next method of this name, such as ``Basic.Ack``, in either direction; see `cut` for the rest."""
        return self._on_both_sides(name, lambda side: side.drop_next(method))

    def close(self) -> None:
        """End the proxy and the connections that go through it."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()

    def __enter__(self) -> Tap:
        return self

    def __exit__(self, *exc_info) -> None:
        self.close()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            servers = [self._loop.run_until_complete(self._listen(node)) for node in self._broker.all]
            self.ports = [server.sockets[0].getsockname()[1] for server in servers]
            self._ready.set()
            self._loop.run_forever()
            for server in servers:
                server.close()
            self._loop.run_until_complete(self._break_everything_off())
        except OSError as error:
            self._failure = error
            self._ready.set()
        finally:
            self._loop.close()

    async def _break_everything_off(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for side in list(self._sides):
            side.reset()
        # A reset is carried out in one of the loop's next rounds.
        while self._sides:
            await asyncio.sleep(0)

    async def _listen(self, node: Broker) -> asyncio.Server:
        return await self._loop.create_server(partial(self._accept, node), "127.0.0.1", 0)

    def _accept(self, node: Broker) -> Side:
        self._links += 1
        link = Link(self._links, port=node.port)
        opened = partial(self._client_opened, node)
        client = Side(FrameReader(link, True, self._publish), opened, self._side_closed)
        broker = Side(FrameReader(link, False, self._publish), self._broker_opened, self._side_closed)
        client.peer, broker.peer = broker, client
        return client

    def _client_opened(self, node: Broker, client: Side) -> None:
        client.hold(frozen=True)  # until there is somebody to pass its bytes on to
        self._clients.add(client)
        self._sides.add(client)
        reaching = self._loop.create_task(self._reach(node, client))
        self._tasks.add(reaching)
        reaching.add_done_callback(self._tasks.discard)

    def _broker_opened(self, broker: Side) -> None:
        self._sides.add(broker)
        broker.peer.hold(frozen=False)

    def _side_closed(self, side: Side) -> None:
        link = side.reader.link
        if not link.closed:
            link.closed = True
            side.reader.close()
        self._sides.discard(side)
        self._clients.discard(side)
        self._clients.discard(side.peer)

    async def _reach(self, node: Broker, client: Side) -> None:
        secure = tls.context() if node.secure else None
        try:
            await self._loop.create_connection(
                lambda: client.peer, node.host, node.port, ssl=secure, server_hostname=node.host if secure else None,
            )
        except OSError:
            # Not by a reset: pika raises a bare ValueError at one that comes while it still connects.
            client.end()

    def _on_both_sides(self, name: str | None, action: Callable[[Side], None]) -> int:
        """Do something to both sockets of each connection of a name, in the tap's thread."""

        def act() -> int:
            chosen = [client for client in self._clients if name in (None, client.reader.link.name)]
            for client in chosen:
                action(client)
                action(client.peer)
            return len(chosen)

        count = self._in_thread(act)
        if name is not None and not count:
            names = ", ".join(sorted(link.name for link in self.links())) or "none"
            raise LabError(f"No open connection is called {name!r}. Open ones: {names}.")
        return count

    def _in_thread(self, action: Callable[[], T]) -> T:
        """Have something done in the tap's thread and return what it returns."""
        done: Future[T] = Future()

        def act() -> None:
            try:
                done.set_result(action())
            except BaseException as error:  # noqa: BLE001  it is raised where it was asked for
                done.set_exception(error)

        self._loop.call_soon_threadsafe(act)
        return done.result(START_SECONDS)

    def _publish(self, event: Event) -> None:
        event = self.registry.take(event)
        self.events.append(event)
        for subscriber in tuple(self._subscribers):
            subscriber(event)
