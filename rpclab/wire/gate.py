"""Decides which frames of a connection pass the tap."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from pika import frame as pika_frame
from pika import spec
from pika.amqp_object import Method

from rpclab.wire.events import Link
from rpclab.wire.frames import GREETING, GREETING_SIZE, FrameReader, frame_at

_CHANNEL = struct.Struct(">xH")
_BODY_SIZE = struct.Struct(">7x4xQ")
_OTHER_NAMES = {
    None: "greeting", spec.FRAME_HEADER: "header", spec.FRAME_BODY: "body", spec.FRAME_HEARTBEAT: "heartbeat",
}


@dataclass(frozen=True)
class Frame:
    """One frame on its way through the tap.

    Attributes
    ----------
    link : Link
        The connection.
    from_client : bool
        True if it goes to the broker, False if it comes from there.
    raw : bytes
        The whole frame; of a client's first one, ``AMQP`` and the protocol's version.
    """

    link: Link
    from_client: bool
    raw: bytes

    @property
    def kind(self) -> int | None:
        """The frame type of the specification; None for the greeting."""
        return None if self.raw.startswith(GREETING) else self.raw[0]

    @property
    def channel(self) -> int:
        """The channel's number; 0 is the connection itself."""
        return 0 if self.kind is None else _CHANNEL.unpack_from(self.raw)[0]

    @property
    def method(self) -> Method | None:
        """The method as pika decodes it; None for other frames, and if pika cannot decode it."""
        if self.kind != spec.FRAME_METHOD:
            return None
        try:
            frame = pika_frame.decode_frame(self.raw)[1]
            return frame.method if isinstance(frame, pika_frame.Method) else None
        except Exception:  # noqa: BLE001  pika's decoder raises whatever struct, dict and str raise on garbage
            return None

    @property
    def name(self) -> str:
        """The method's name, such as ``Basic.Publish``, or ``greeting``, ``header``, ``body`` or ``heartbeat``."""
        method = self.method
        return method.NAME if method else _OTHER_NAMES.get(self.kind, "unknown method")

    @property
    def body_size(self) -> int:
        """For a content header, the length of the message's body in bytes; for a body frame, that of its part."""
        if self.kind == spec.FRAME_HEADER:
            return _BODY_SIZE.unpack_from(self.raw)[0]
        return len(self.raw) - spec.FRAME_HEADER_SIZE - spec.FRAME_END_SIZE


class Gate:
    """Decides which frames pass in one direction of one connection.

    While there is nothing to decide, bytes pass as they come, complete frames or not.

    Parameters
    ----------
    reader : FrameReader
        Reads what has passed.
    stopped : callable
        Returns whether nothing may pass at present, because the connection is frozen or was cut.

    Attributes
    ----------
    ask : callable or None
        Takes each `Frame` and returns whether it passes.
    """

    def __init__(self, reader: FrameReader, stopped: Callable[[], bool]):
        self.ask: Callable[[Frame], bool] | None = None
        self._reader = reader
        self._stopped = stopped
        self._to_drop: list[str] = []
        # By channel, the bytes left of a message whose method was dropped; None before its header.
        self._dropping: dict[int, int | None] = {}
        # Frames that have not passed. Bytes of the first one may have, before there was anything to decide.
        self._waiting = bytearray()
        self._begun = 0

    def drop_next(self, method: str) -> None:
        """Drop the next method of this name, such as ``Basic.Ack``, with its message if it has one."""
        self._to_drop.append(method)

    def passed(self, data: bytes) -> Iterator[bytes]:
        """Take the next bytes and return those that pass, piece by piece."""
        if not (self._waiting or self._decides):
            yield data
            return
        if not self._waiting:
            self._waiting += self._reader.incomplete
            self._begun = len(self._waiting)
        self._waiting += data
        while (end := self._end_of_frame()) and not self._stopped():
            raw = bytes(self._waiting[:end])
            passes = self._begun > 0 or self._passes(Frame(self._reader.link, self._reader.from_client, raw))
            if self._stopped():
                return  # if it is frozen, the frame is asked about again when it is thawed
            begun, self._begun = self._begun, 0
            del self._waiting[:end]
            if passes:
                yield raw[begun:]
        if not (self._decides or self._stopped()):
            rest = bytes(self._waiting[self._begun:])
            self._waiting.clear()
            yield rest

    @property
    def _decides(self) -> bool:
        return bool(self.ask or self._to_drop or self._dropping) and self._reader.link.readable

    def _end_of_frame(self) -> int | None:
        """Return the next frame's length; None if it is not complete, or if the bytes are not AMQP."""
        if self._waiting.startswith(GREETING):
            return GREETING_SIZE if len(self._waiting) >= GREETING_SIZE else None
        try:
            frame = frame_at(self._waiting)
        except ValueError:
            self._reader.link.readable = False
            return None
        return frame[2] if frame else None

    def _passes(self, frame: Frame) -> bool:
        if frame.channel in self._dropping and frame.kind in (spec.FRAME_HEADER, spec.FRAME_BODY):
            self._drop_content(frame)
            return False
        passes = self.ask is None or self.ask(frame)
        method = frame.method
        if passes and method and method.NAME in self._to_drop:
            self._to_drop.remove(method.NAME)
            passes = False
        if not passes and method and spec.has_content(method.INDEX):
            self._dropping[frame.channel] = None
        return passes

    def _drop_content(self, frame: Frame) -> None:
        left = self._dropping[frame.channel]
        left = frame.body_size if left is None else left - frame.body_size
        if left:
            self._dropping[frame.channel] = left
        else:
            del self._dropping[frame.channel]
