"""From the bytes of one connection to the AMQP methods in them, decoded by pika itself.

The frame format is that of AMQP 0-9-1, section 2.3.5: https://www.rabbitmq.com/resources/specs/amqp0-9-1.pdf.
"""

from __future__ import annotations

import functools
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass

from pika import spec
from pika.amqp_object import Method

from rpclab.wire.events import Event, Link

BODY_KEPT = 4096
GREETING = b"AMQP"
GREETING_SIZE = 8
_HEADER = struct.Struct(">BHL")
_METHOD_NUMBER = struct.Struct(">I")
_PUBLISH = _METHOD_NUMBER.pack(spec.Basic.Publish.INDEX)
_CONTENT = struct.Struct(">HHQ")
_METHOD, _CONTENT_HEADER, _BODY = spec.FRAME_METHOD, spec.FRAME_HEADER, spec.FRAME_BODY
_KNOWN_FRAMES = (_METHOD, _CONTENT_HEADER, _BODY, spec.FRAME_HEARTBEAT)
_CARRYING = {method for number, method in spec.methods.items() if spec.has_content(number)}


@dataclass
class _Content:
    """A message whose method has arrived, and the rest is still in flight."""

    method: Method
    properties: spec.BasicProperties | None = None
    size: int = 0
    received: int = 0
    kept: bytes = b""


class _Disorder(ValueError):
    """A frame that may not come at this point."""


def frame_at(data: bytes | bytearray, start: int = 0) -> tuple[int, int, int] | None:
    """Return type, channel and end of the frame that begins at a position; None if it is not complete.

    Raises
    ------
    ValueError
        If there is no AMQP frame.
    """
    if len(data) - start < spec.FRAME_HEADER_SIZE:
        return None
    kind, channel, size = _HEADER.unpack_from(data, start)
    if kind not in _KNOWN_FRAMES:
        raise ValueError(f"no AMQP frame: type {kind}")
    stop = start + spec.FRAME_HEADER_SIZE + size + spec.FRAME_END_SIZE
    if stop > len(data):
        return None
    if data[stop - 1] != spec.FRAME_END:
        raise ValueError("frame without its end mark")
    return kind, channel, stop


class FrameReader:
    """Reads one direction of one connection, in pieces of any size.

    Parameters
    ----------
    link : Link
        The connection.
    from_client : bool
        The direction.
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
        self._read: list[Event] = []
        self._buffer = bytearray()
        self._contents: dict[int, _Content] = {}
        self._greeting_pending = from_client

    @property
    def incomplete(self) -> bytes:
        """The bytes of a frame that is not complete yet."""
        return bytes(self._buffer)

    def feed(self, data: bytes) -> None:
        """Take the next bytes. Bytes that are not AMQP silently end the reading of this connection."""
        if self.from_client:
            self.link.heard = time.monotonic()
        if not self.link.readable:
            return
        self._buffer += data
        try:
            self._read_frames()
        except _Disorder as error:
            self.link.readable, self.link.disorder = False, str(error)
            self._buffer.clear()
        except Exception:  # noqa: BLE001  pika's decoder raises whatever struct, dict and str raise on garbage
            self.link.readable = False
            self._buffer.clear()
        # Only now: an error in a subscriber says nothing about the bytes.
        read, self._read = self._read, []
        for event in read:
            self._emit(event)

    def close(self) -> None:
        """Emit the end of the connection, as seen from this side."""
        self._emit(Event(time.monotonic(), self.link, 0, self.from_client, None))

    def _read_frames(self) -> None:
        start = 0
        if self._greeting_pending:
            if len(self._buffer) < GREETING_SIZE:
                return
            if not self._buffer.startswith(GREETING):
                raise ValueError("no AMQP greeting")
            self._greeting_pending, start = False, GREETING_SIZE
        while frame := frame_at(self._buffer, start):
            kind, channel, stop = frame
            payload = bytes(self._buffer[start + spec.FRAME_HEADER_SIZE:stop - spec.FRAME_END_SIZE])
            self._take(kind, channel, payload)
            start = stop
        del self._buffer[:start]

    def _take(self, kind: int, channel: int, payload: bytes) -> None:
        if kind == _METHOD:
            method = _method(payload)
            if type(method) in _CARRYING:
                self._contents[channel] = _Content(method)
            else:
                self._send(channel, method)
        elif kind == _CONTENT_HEADER:
            content = self._content(channel, "a message's header without its method")
            content.properties, content.size = _content(payload)
            self._send_if_complete(channel, content)
        elif kind == _BODY:
            content = self._content(channel, "a message's body without its method")
            if content.properties is None:
                raise _Disorder("a message's body before its header")
            content.received += len(payload)
            content.kept += payload[: BODY_KEPT - len(content.kept)]
            self._send_if_complete(channel, content)

    def _content(self, channel: int, missing: str) -> _Content:
        if channel not in self._contents:
            raise _Disorder(missing)
        return self._contents[channel]

    def _send_if_complete(self, channel: int, content: _Content) -> None:
        if content.received >= content.size:
            del self._contents[channel]
            self._send(channel, content.method, content.properties, content.kept, content.size)

    def _send(
        self, channel: int, method: Method, properties: spec.BasicProperties | None = None, body: bytes = b"",
        size: int = 0,
    ) -> None:
        if isinstance(method, spec.Connection.StartOk):
            said = method.client_properties or {}
            self.link.name = str(said.get("connection_name") or self.link.name)
            self.link.pid = said.get("pid")
        self._read.append(
            Event(time.monotonic(), self.link, channel, self.from_client, method, properties, body, size)
        )


def _method(payload: bytes) -> Method:
    """Decode a method frame; most of what is published has the same one as another message."""
    return _decoded_once(payload) if payload.startswith(_PUBLISH) else _decoded(payload)


def _decoded(payload: bytes) -> Method:
    method = spec.methods[_METHOD_NUMBER.unpack_from(payload)[0]]()
    method.decode(payload, _METHOD_NUMBER.size)
    _make_text(method)
    return method


_decoded_once = functools.lru_cache(maxsize=1_000)(_decoded)


def _content(payload: bytes) -> tuple[spec.BasicProperties, int]:
    """Decode a content header: the properties, and the size of the body."""
    class_number, _, size = _CONTENT.unpack_from(payload)
    properties = spec.props[class_number]()
    properties.decode(payload, _CONTENT.size)
    _make_text(properties)
    return properties, size


def _make_text(decoded: Method | spec.BasicProperties) -> None:
    """Turn names that are not UTF-8, which pika leaves as bytes, into text with escapes."""
    known = vars(decoded)
    if bytes in map(type, known.values()):
        for name, value in known.items():
            if isinstance(value, bytes):
                known[name] = value.decode(errors="backslashreplace")
