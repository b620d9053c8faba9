"""A TCP proxy on loopback through which all of a lab's connections go, so that one can see what crosses them.

Bytes are forwarded first, untouched and with back-pressure both ways; only then are they read.
"""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections import deque
from collections.abc import Callable
from contextlib import contextmanager

from rpclab.broker.address import Broker
from rpclab.errors import BrokerUnavailable
from rpclab.wire.frames import Event, FrameReader, Link
from rpclab.wire.registry import Registry

EVENTS_KEPT = 20_000
START_SECONDS = 5


class Tap:
    """A running proxy in front of one broker; a context manager.

    Parameters
    ----------
    broker : Broker
        Where the bytes go.
    keep : int
        How many events are remembered; the oldest go first.

    Attributes
    ----------
    port : int
        The port on 127.0.0.1 to connect to instead of the broker's.
    events : collections.deque of Event
        The most recent events.
    registry : Registry
        Who consumes from which queue, and whose the queues are that the broker named.
    """

    def __init__(self, broker: Broker, *, keep: int = EVENTS_KEPT):
        self.events: deque[Event] = deque(maxlen=keep)
        self.port = 0
        self._broker = broker
        self.registry = Registry()
        self._subscribers: list[Callable[[Event], None]] = [self.registry.take]
        self._sides: set[_Side] = set()
        self._links = 0
        self._ready = threading.Event()
        self._failure: OSError | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="rpclab tap", daemon=True)
        self._thread.start()
        if not self._ready.wait(START_SECONDS) or self._failure:
            raise BrokerUnavailable(f"The lab could not listen on 127.0.0.1: {self._failure or 'no answer'}.")

    def subscribe(self, callback: Callable[[Event], None]) -> Callable[[], None]:
        """Call a function with each event from now on, in the tap's thread: it must return quickly and not raise.

        Returns
        -------
        callable
            Call it to end the subscription.
        """
        self._subscribers.append(callback)

        def unsubscribe() -> None:
            if callback in self._subscribers:
                self._subscribers.remove(callback)

        return unsubscribe

    @contextmanager
    def subscription(self, callback: Callable[[Event], None]):
        """Subscribe for the length of a ``with`` block."""
        unsubscribe = self.subscribe(callback)
        try:
            yield
        finally:
            unsubscribe()

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
            server = self._loop.run_until_complete(self._loop.create_server(self._accept, "127.0.0.1", 0))
            self.port = server.sockets[0].getsockname()[1]
            self._ready.set()
            self._loop.run_forever()
            server.close()
            for side in list(self._sides):
                side.abort()
            self._loop.run_until_complete(asyncio.sleep(0))
        except OSError as error:
            self._failure = error
            self._ready.set()
        finally:
            self._loop.close()

    def _accept(self) -> _Side:
        self._links += 1
        link = Link(self._links)
        client = _Side(self, FrameReader(link, True, self._publish))
        client.peer = _Side(self, FrameReader(link, False, self._publish))
        client.peer.peer = client
        return client

    async def _reach_broker(self, side: _Side) -> None:
        """Connect the far side of a new connection; the near side is not read until then."""
        tls = ssl.create_default_context() if self._broker.url.startswith("amqps:") else None
        try:
            await self._loop.create_connection(
                lambda: side.peer, self._broker.host, self._broker.port, ssl=tls,
                server_hostname=self._broker.host if tls else None,
            )
        except OSError:
            side.abort()
        else:
            side.resume()

    def _publish(self, event: Event) -> None:
        self.events.append(event)
        for subscriber in tuple(self._subscribers):
            subscriber(event)


class _Side(asyncio.Protocol):
    """One of the two sockets of a tapped connection."""

    def __init__(self, tap: Tap, reader: FrameReader):
        self._tap = tap
        self._reader = reader
        self._transport: asyncio.Transport | None = None
        self.peer: _Side | None = None
        self._reaching: asyncio.Task | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._tap._sides.add(self)
        if self.peer._transport is None:
            transport.pause_reading()
            self._reaching = self._tap._loop.create_task(self._tap._reach_broker(self))

    def data_received(self, data: bytes) -> None:
        self.peer._transport.write(data)
        self._reader.feed(data)

    def pause_writing(self) -> None:
        self.peer._transport.pause_reading()

    def resume_writing(self) -> None:
        self.peer.resume()

    def connection_lost(self, error: Exception | None) -> None:
        self._tap._sides.discard(self)
        if not self._reader.link.closed:
            self._reader.link.closed = True
            self._reader.close()
        if self.peer._transport is not None:
            self.peer._transport.close()

    def resume(self) -> None:
        if not self._transport.is_closing():
            self._transport.resume_reading()

    def abort(self) -> None:
        self._transport.abort()
