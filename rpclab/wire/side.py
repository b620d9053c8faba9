"""One socket of a connection that goes through the tap, and what can be done to it."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import deque
from collections.abc import Callable

from rpclab.wire.frames import FrameReader

# Closing with a linger time of zero seconds makes TCP send a reset instead of an orderly end.
RESET = struct.pack("ii", 1, 0)


class Side(asyncio.Protocol):
    """Passes on what it reads to its peer, the connection's other socket; lives in the tap's thread.

    Parameters
    ----------
    reader : FrameReader
        Gets what was passed on.
    opened, closed : callable
        Called with this side when its socket is connected and when it is gone.
    """

    def __init__(self, reader: FrameReader, opened: Callable[[Side], None], closed: Callable[[Side], None]):
        self.peer: Side | None = None
        self.reader = reader
        self._opened = opened
        self._closed = closed
        self._transport: asyncio.Transport | None = None
        self._frozen = False
        self._unread: list[bytes] = []
        self._peer_is_full = False
        self._delay = 0.0
        self._delayed: deque[tuple[float, bytes]] = deque()
        self._to_drop: list[str] = []

    @property
    def connected(self) -> bool:
        return self._transport is not None

    def connection_made(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._opened(self)

    def data_received(self, data: bytes) -> None:
        if self._frozen:
            # Up to Python 3.11, asyncio may read once more after it was told to pause.
            self._unread.append(data)
        elif self._delay or self._delayed:
            loop = asyncio.get_running_loop()
            self._delayed.append((loop.time() + self._delay, data))
            if len(self._delayed) == 1:
                loop.call_later(self._delay, self._pass_delayed)
        else:
            self._pass_on(data)

    def pause_writing(self) -> None:
        self.peer.hold(peer_is_full=True)

    def resume_writing(self) -> None:
        self.peer.hold(peer_is_full=False)

    def connection_lost(self, error: Exception | None) -> None:
        self._closed(self)
        if self.peer.connected:
            loop = asyncio.get_running_loop()
            # What is still on its way arrives before the end does.
            late = self._delayed[-1][0] - loop.time() if self._delayed else 0
            loop.call_later(late, self.peer.end)

    def hold(self, *, peer_is_full: bool | None = None, frozen: bool | None = None) -> None:
        """Stop or go on reading, for back-pressure or because the connection is frozen."""
        self._peer_is_full = self._peer_is_full if peer_is_full is None else peer_is_full
        self._frozen = self._frozen if frozen is None else frozen
        if self._transport is None or self._transport.is_closing():
            return
        if not self._frozen:
            unread, self._unread = self._unread, []
            for data in unread:
                self.data_received(data)
        if self._frozen or self._peer_is_full:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def pass_later(self, seconds: float) -> None:
        """From now on, pass on everything so many seconds late; 0 for at once."""
        self._delay = seconds

    def drop_next(self, method: str) -> None:
        """Do not pass on the next method of this name, such as ``Basic.Ack``, nor its content."""
        self._to_drop.append(method)

    def end(self) -> None:
        """Close the socket in good order, after what is still to be sent."""
        self._transport.close()

    def reset(self) -> None:
        """Break the connection off: the other end sees a reset."""
        if self._transport is not None:
            self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            self._transport.abort()

    def _pass_on(self, data: bytes) -> None:
        if self._to_drop or self.reader.holds_back:
            self.peer._transport.write(self.reader.sift(data, self._is_dropped if self._to_drop else None))
        else:
            self.peer._transport.write(data)
            self.reader.feed(data)

    def _pass_delayed(self) -> None:
        loop = asyncio.get_running_loop()
        while self._delayed and self._delayed[0][0] <= loop.time():
            self._pass_on(self._delayed.popleft()[1])
        if self._delayed:
            loop.call_at(self._delayed[0][0], self._pass_delayed)

    def _is_dropped(self, method) -> bool:
        if method.NAME in self._to_drop:
            self._to_drop.remove(method.NAME)
            return True
        return False
