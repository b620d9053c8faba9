"""From the bytes of one connection to the AMQP methods in them, decoded by pika itself.

The frame format is that of AMQP 0-9-1, section 2.3.5: https://www.rabbitmq.com/resources/specs/amqp0-9-1.pdf.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from pika import frame as pika_frame
from pika import spec
from pika.amqp_object import Method

BODY_KEPT = 4096
_HEADER = struct.Struct(">BHL")
_PROTOCOL_HEADER_SIZE = 8
_METHOD, _CONTENT_HEADER, _BODY = spec.FRAME_METHOD, spec.FRAME_HEADER, spec.FRAME_BODY
_KNOWN_FRAMES = (_METHOD, _CONTENT_HEADER, _BODY, spec.FRAME_HEARTBEAT)


@dataclass
class Link:
    """One connection as the tap sees it.

    Attributes
    ----------
    number : int
        1 for the first connection that the tap took, and so on.
    name : str
        The ``connection_name`` that the client gave itself, or ``connection N``.
    pid : int or None
        The client's process, where it said so.
    port : int
        The broker's port that it goes to: of a cluster, it tells which node.
    readable : bool
        False once something came by that is no AMQP frame; its bytes go through all the same.
    closed : bool
        True when one of its two ends is gone.
    """

    number: int
    name: str = ""
    pid: int | None = None
    port: int = 0
    readable: bool = True
    closed: bool = False

    def __post_init__(self):
        self.name = self.name or f"connection {self.number}"


@dataclass(frozen=True)
class Event:
    """One AMQP method that crossed a connection, with its content if it carries one, or the connection's end.

    Attributes
    ----------
    time : float
        When it passed the tap, in seconds of ``time.monotonic()``.
    link : Link
        The connection.
    channel : int
        The channel's number; 0 is the connection itself.
    from_client : bool
        True on its way to the broker, False on its way back.
    method : pika.amqp_object.Method or None
        As pika decoded it, for example a ``pika.spec.Basic.Publish``; None for the end of the TCP connection.
    properties : pika.BasicProperties or None
        For methods that carry a message.
    body : bytes
        Its first 4,096 bytes.
    size : int
        The length of the whole body in bytes.
    queue : str or None
        The queue that a delivery came from; None for other methods, and for a consumer that was not seen to begin.
    queues : tuple of str or None
        The queues that a published message was put into, as they are shown; None for other methods, and where that is
        not known.
    emptied : tuple of Emptied
        The queues that lost their messages by it: purged, deleted, or exclusive to a connection that has ended.
    auto_ack : bool
        Whether a delivery counts as acknowledged with its being sent.
    """

    time: float
    link: Link
    channel: int
    from_client: bool
    method: Method | None
    properties: spec.BasicProperties | None = None
    body: bytes = b""
    size: int = 0
    queue: str | None = None
    queues: tuple[str, ...] | None = None
    emptied: tuple = ()
    auto_ack: bool = False

    @property
    def name(self) -> str:
        """The method's name in the specification, for example ``Basic.Publish``; ``Closed`` for the end."""
        return self.method.NAME if self.method else "Closed"


@dataclass
class _Content:
    """A message of which the method has come, and the rest is still on its way."""

    method: Method
    properties: spec.BasicProperties | None = None
    size: int = 0
    received: int = 0
    kept: bytearray = field(default_factory=bytearray)


class FrameReader:
    """Reads one direction of one connection, in pieces of any size.

    Parameters
    ----------
    link : Link
        The connection.
    from_client : bool
        Which of its two directions.
    emit : callable
        Called with each `Event`, in order.

    Attributes
    ----------
    from_client : bool
        As it was given.
    """

    def __init__(self, link: Link, from_client: bool, emit: Callable[[Event], None]):
        self.link = link
        self.from_client = from_client
        self._emit = emit
        self._buffer = bytearray()
        self._passed_on = 0
        self._contents: dict[int, _Content] = {}
        self._dropping: dict[int, int | None] = {}
        self._greeting_pending = from_client

    def feed(self, data: bytes) -> None:
        """Take the next bytes. Bytes that are no AMQP end the reading of this connection, without an error."""
        self.sift(data, None)

    @property
    def holds_back(self) -> bool:
        """Whether bytes have come that were not passed on yet, or whose method was dropped."""
        return bool(self._dropping) or self._passed_on < len(self._buffer)

    def sift(self, data: bytes, drop: Callable[[Method], bool] | None) -> bytes:
        """Take the next bytes and return those to pass on: all but the methods, with their content, to be dropped.

        Parameters
        ----------
        drop : callable or None
            Asked about each method; with None nothing is dropped or held back.
        """
        if not self.link.readable:
            return data
        self._buffer += data
        wanted = bytearray()
        try:
            self._read_frames(wanted, drop)
        except Exception:  # noqa: BLE001  pika's decoder raises whatever struct, dict and str raise on garbage
            self.link.readable = False
        if (drop is None and not self._dropping) or not self.link.readable:
            # A frame that has not come whole is not held back, so that what passes is never delayed by being read.
            wanted += self._buffer[self._passed_on:]
            self._passed_on = len(self._buffer)
        if not self.link.readable:
            self._buffer.clear()
        return bytes(wanted)

    def close(self) -> None:
        """Tell that the connection ended, from this side."""
        self._emit(Event(time.monotonic(), self.link, 0, self.from_client, None))

    def _read_frames(self, wanted: bytearray, drop: Callable[[Method], bool] | None) -> None:
        if self._greeting_pending:
            if len(self._buffer) < _PROTOCOL_HEADER_SIZE:
                return
            if not self._buffer.startswith(b"AMQP"):
                raise ValueError("no AMQP greeting")
            self._consume(_PROTOCOL_HEADER_SIZE, wanted)
            self._greeting_pending = False
        start, end = 0, len(self._buffer)
        while end - start >= spec.FRAME_HEADER_SIZE:
            kind, channel, size = _HEADER.unpack_from(self._buffer, start)
            if kind not in _KNOWN_FRAMES:
                raise ValueError(f"no AMQP frame: type {kind}")
            stop = start + spec.FRAME_HEADER_SIZE + size + spec.FRAME_END_SIZE
            if stop > end:
                break
            if self._buffer[stop - 1] != spec.FRAME_END:
                raise ValueError("frame without its end mark")
            raw = bytes(self._buffer[start:stop])
            if drop is None and not self._dropping:
                self._take(kind, channel, raw)
                start = stop
            else:
                self._consume(start, wanted)
                dropped = self._dropped(kind, channel, raw, drop)
                if not dropped:
                    self._take(kind, channel, raw)
                self._consume(len(raw), wanted, dropped)
                start, end = 0, len(self._buffer)
        self._consume(start, wanted)

    def _consume(self, count: int, wanted: bytearray, dropped: bool = False) -> None:
        """Remove bytes from the buffer, passing on those that have not been yet."""
        if not dropped:
            wanted += self._buffer[self._passed_on : count]
        del self._buffer[:count]
        self._passed_on = max(0, self._passed_on - count)

    def _dropped(self, kind: int, channel: int, raw: bytes, drop: Callable[[Method], bool] | None) -> bool:
        """Tell whether a frame is to be dropped: by its method, or as content of a method that was."""
        if kind == _METHOD:
            method = pika_frame.decode_frame(raw)[1].method
            if drop is None or self._passed_on or not drop(method):
                return False
            if spec.has_content(method.INDEX):
                self._dropping[channel] = None
            return True
        if channel not in self._dropping or kind == spec.FRAME_HEARTBEAT:
            return False
        if kind == _CONTENT_HEADER:
            self._dropping[channel] = pika_frame.decode_frame(raw)[1].body_size
        else:
            self._dropping[channel] -= len(raw) - spec.FRAME_HEADER_SIZE - spec.FRAME_END_SIZE
        if not self._dropping[channel]:
            del self._dropping[channel]
        return True

    def _take(self, kind: int, channel: int, raw: bytes) -> None:
        if kind == _METHOD:
            method = pika_frame.decode_frame(raw)[1].method
            if spec.has_content(method.INDEX):
                self._contents[channel] = _Content(method)
            else:
                self._send(channel, method)
        elif kind == _CONTENT_HEADER:
            content = self._contents[channel]
            header = pika_frame.decode_frame(raw)[1]
            content.properties, content.size = header.properties, header.body_size
            self._send_if_complete(channel, content)
        elif kind == _BODY:
            content = self._contents[channel]
            body = raw[spec.FRAME_HEADER_SIZE:-spec.FRAME_END_SIZE]
            content.received += len(body)
            content.kept += body[: BODY_KEPT - len(content.kept)]
            self._send_if_complete(channel, content)

    def _send_if_complete(self, channel: int, content: _Content) -> None:
        if content.received >= content.size:
            del self._contents[channel]
            self._send(channel, content.method, content.properties, bytes(content.kept), content.size)

    def _send(self, channel: int, method: Method, *content) -> None:
        if isinstance(method, spec.Connection.StartOk):
            properties = method.client_properties or {}
            self.link.name = str(properties.get("connection_name") or self.link.name)
            self.link.pid = properties.get("pid")
        self._emit(Event(time.monotonic(), self.link, channel, self.from_client, method, *content))
