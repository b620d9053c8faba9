"""One socket of a connection through the tap, with the faults that can be injected."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import deque
from collections.abc import Callable

from rpclab.wire.frames import FrameReader
from rpclab.wire.gate import Gate

# Closing with a linger time of zero seconds makes TCP send a reset instead of a FIN.
RESET = struct.pack("ii", 1, 0)
READ_AT_ONCE = 2**16


class Side(asyncio.BufferedProtocol):
    """Passes on what it reads to its peer, the connection's other socket; lives in the tap's thread.

    It has a buffer to read into: for a protocol without one, asyncio makes one of 256 KiB for each read.

    Parameters
    ----------
    reader : FrameReader
        Reads all bytes before they are passed on.
    opened, closed : callable
        Called with this side when its socket is connected and when it has closed.
    """

    def __init__(self, reader: FrameReader, opened: Callable[[Side], None], closed: Callable[[Side], None]):
        self.peer: Side  # before its socket is connected
        self.reader = reader
        self.gate = Gate(reader, lambda: self._frozen or self._reset)
        self._opened = opened
        self._closed = closed
        self._transport: asyncio.Transport | None = None
        self._buffer = memoryview(bytearray(READ_AT_ONCE))
        self._lost = False
        self._reset = False
        self._frozen = False
        self._unread: list[bytes] = []
        self._peer_is_full = False
        self._delay = 0.0
        # With the time at which each piece is due; None is the connection's end.
        self._delayed: deque[tuple[float, bytes | None]] = deque()

    @property
    def connected(self) -> bool:
        return self._transport is not None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # as that of every socket
        self._transport = transport
        self._opened(self)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        self._received(bytes(self._buffer[:nbytes]))

    def _received(self, data: bytes) -> None:
        if self._frozen or not self.peer.connected:
            # Up to Python 3.11, asyncio may read once more after a pause.
            self._unread.append(data)
        elif self._delay or self._delayed:
            self._pass_on_later(data)
        else:
            self._pass_on(data)

    def pause_writing(self) -> None:
        self.peer.hold(peer_is_full=True)

    def resume_writing(self) -> None:
        self.peer.hold(peer_is_full=False)

    def connection_lost(self, error: Exception | None) -> None:
        self._lost = True
        if self._delayed:
            self._pass_on_later(None)
        else:
            self._pass_on_the_end()

    def hold(self, *, peer_is_full: bool | None = None, frozen: bool | None = None) -> None:
        """Pause or resume reading: for back-pressure, or if the connection is frozen or its other socket not open."""
        self._peer_is_full = self._peer_is_full if peer_is_full is None else peer_is_full
        self._frozen = self._frozen if frozen is None else frozen
        if self._transport is None or self._transport.is_closing():
            return
        if not self._frozen and self.peer.connected:
            unread, self._unread = [b"", *self._unread], []  # the first piece is what waits at the gate
            for data in unread:
                self._received(data)
        if self._frozen or self._peer_is_full or not self.peer.connected:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def pass_later(self, seconds: float) -> None:
        """From now on, forward everything with a delay in seconds; 0 for at once."""
        self._delay = seconds

    def end(self) -> None:
        """Close the socket cleanly (FIN), after sending what is left."""
        if self._transport is not None:
            self._transport.close()

    def reset(self) -> None:
        """Cut the connection: the other end sees a reset."""
        self._reset = True
        if self._lost:
            self._delayed.clear()
            self._pass_on_the_end()
        elif self._transport is not None:
            self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            self._transport.abort()

    def _pass_on(self, data: bytes) -> None:
        """Read bytes, and only then forward them: the lab knows first what the other end can know."""
        for piece in self.gate.passed(data):
            out = self.peer._transport
            if out is None or out.is_closing() or self.reader.link.closed or self._reset:
                return
            self.reader.feed(piece)
            out.write(piece)

    def _pass_on_the_end(self) -> None:
        self._closed(self)
        if self.peer.connected:
            self.peer.end()

    def _pass_on_later(self, data: bytes | None) -> None:
        loop = asyncio.get_running_loop()
        due = max(loop.time() + self._delay, self._delayed[-1][0] if self._delayed else 0)
        self._delayed.append((due, data))
        if len(self._delayed) == 1:
            loop.call_at(due, self._pass_delayed)

    def _pass_delayed(self) -> None:
        loop = asyncio.get_running_loop()
        while self._delayed and self._delayed[0][0] <= loop.time():
            data = self._delayed.popleft()[1]
            if data is None:
                self._pass_on_the_end()
            else:
                self._pass_on(data)
        if self._delayed:
            loop.call_at(self._delayed[0][0], self._pass_delayed)
