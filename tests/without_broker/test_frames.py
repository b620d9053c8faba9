from __future__ import annotations

import random

import pytest
from pika import BasicProperties, spec
from pika import frame as wire

from rpclab.wire.events import Link
from rpclab.wire.frames import BODY_KEPT, FrameReader

FRAME_MAX = 131_064


def method(channel: int, call) -> bytes:
    return wire.Method(channel, call).marshal()


def content(channel: int, body: bytes, **properties) -> bytes:
    header = wire.Header(channel, len(body), BasicProperties(**properties)).marshal()
    pieces = [body[start:start + FRAME_MAX] for start in range(0, len(body), FRAME_MAX)]
    return header + b"".join(wire.Body(channel, piece).marshal() for piece in pieces)


def publish(channel: int, queue: str, body: bytes, **properties) -> bytes:
    return method(channel, spec.Basic.Publish(routing_key=queue)) + content(channel, body, **properties)


GREETING = wire.ProtocolHeader().marshal()
START_OK = method(0, spec.Connection.StartOk(
    client_properties={"connection_name": "AddClient", "pid": 4711}, mechanism="PLAIN", response="\0me\0pw",
))
CLIENT_SIDE = b"".join([
    GREETING,
    START_OK,
    method(0, spec.Connection.Open(virtual_host="lab")),
    method(1, spec.Channel.Open()),
    publish(1, "addition", b"3,5", correlation_id="a", reply_to="answers"),
    wire.Heartbeat().marshal(),
    publish(1, "empty", b""),
    method(1, spec.Basic.Ack(delivery_tag=7, multiple=True)),
])
CLIENT_SIDE_NAMES = [
    "Connection.StartOk", "Connection.Open", "Channel.Open", "Basic.Publish", "Basic.Publish", "Basic.Ack",
]


class Reading:
    """A reader together with what it emitted."""

    def __init__(self, *, from_client: bool = True):
        self.link = Link(1)
        self.events = []
        self.reader = FrameReader(self.link, from_client, self.events.append)

    def feed(self, *pieces: bytes) -> Reading:
        for piece in pieces:
            self.reader.feed(piece)
        return self

    @property
    def names(self) -> list[str]:
        return [event.name for event in self.events]

    @property
    def told(self) -> list[tuple]:
        return [(e.name, e.channel, repr(e.method), repr(e.properties), e.body, e.size) for e in self.events]


def split_at_random(data: bytes, seed: int) -> list[bytes]:
    cuts = sorted(random.Random(seed).choices(range(len(data)), k=25))
    return [data[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(data)], strict=True)]


def test_every_method_of_a_connection_is_told_in_order():
    reading = Reading().feed(CLIENT_SIDE)
    assert reading.names == CLIENT_SIDE_NAMES
    assert reading.link.readable
    published = reading.events[3]
    assert (published.channel, published.from_client, published.method.routing_key) == (1, True, "addition")
    assert (published.body, published.size, published.properties.correlation_id) == (b"3,5", 3, "a")
    assert (reading.events[4].body, reading.events[4].size) == (b"", 0)
    assert (reading.events[5].method.delivery_tag, reading.events[5].method.multiple) == (7, True)


def test_a_connection_has_the_name_and_the_pid_that_the_client_gave():
    reading = Reading()
    assert (reading.link.name, reading.link.pid) == ("connection 1", None)
    reading.feed(GREETING + START_OK)
    assert (reading.link.name, reading.link.pid) == ("AddClient", 4711)


def test_a_client_that_gives_no_name_keeps_the_number():
    reading = Reading().feed(GREETING, method(0, spec.Connection.StartOk(client_properties={}, response="\0me\0pw")))
    assert (reading.link.name, reading.link.pid) == ("connection 1", None)


def test_byte_by_byte_the_same_is_told():
    whole, in_bytes = Reading().feed(CLIENT_SIDE), Reading().feed(*(bytes([byte]) for byte in CLIENT_SIDE))
    assert in_bytes.told == whole.told


@pytest.mark.parametrize("seed", range(20))
def test_however_the_bytes_are_cut_the_same_is_told(seed):
    whole, in_pieces = Reading().feed(CLIENT_SIDE), Reading().feed(*split_at_random(CLIENT_SIDE, seed))
    assert in_pieces.told == whole.told


def test_the_brokers_side_has_no_greeting():
    delivered = method(1, spec.Basic.Deliver("tag", 1, True, "", "addition")) + content(1, b"8", type="error")
    reading = Reading(from_client=False).feed(delivered)
    assert reading.names == ["Basic.Deliver"]
    assert reading.events[0].method.redelivered is True
    assert (reading.events[0].from_client, reading.events[0].properties.type) == (False, "error")


def test_half_a_frame_tells_nothing_until_its_other_half_comes():
    ack = method(1, spec.Basic.Ack(delivery_tag=1))
    reading = Reading().feed(GREETING, ack[:-1])
    assert reading.events == []
    assert reading.feed(ack[-1:]).names == ["Basic.Ack"]


def test_a_message_is_told_when_all_of_its_body_is_there():
    published = publish(1, "addition", b"3,5")
    reading = Reading().feed(GREETING, published[:-8])
    assert reading.events == []
    assert reading.feed(published[-8:]).names == ["Basic.Publish"]


def test_of_a_large_body_the_beginning_and_the_size_are_kept():
    body = bytes(range(256)) * 4096
    reading = Reading().feed(GREETING, publish(1, "big", body), publish(1, "small", b"after it"))
    big, small = reading.events
    assert (big.body, big.size) == (body[:BODY_KEPT], 1024 * 1024)
    assert (small.body, small.size) == (b"after it", 8)


def test_a_body_in_many_frames_is_put_together():
    frames = [wire.Body(1, bytes([65 + n])).marshal() for n in range(5)]
    header = wire.Header(1, 5, BasicProperties()).marshal()
    reading = Reading().feed(GREETING, method(1, spec.Basic.Publish(routing_key="q")), header, *frames)
    assert [(e.body, e.size) for e in reading.events] == [(b"ABCDE", 5)]


def test_heartbeats_are_not_told_and_disturb_nothing():
    heartbeat = wire.Heartbeat().marshal()
    reading = Reading().feed(GREETING, heartbeat * 3, publish(1, "q", b"x"), heartbeat)
    assert reading.names == ["Basic.Publish"]
    assert reading.link.readable


def test_messages_on_two_channels_may_be_interleaved():
    one, two = content(1, b"one"), content(2, b"two")
    header = len(wire.Header(1, 3, BasicProperties()).marshal())
    reading = Reading().feed(
        GREETING,
        method(1, spec.Basic.Publish(routing_key="first")), method(2, spec.Basic.Publish(routing_key="second")),
        one[:header], two[:header], two[header:], one[header:],
    )
    assert [(e.channel, e.method.routing_key, e.body) for e in reading.events] == [
        (2, "second", b"two"), (1, "first", b"one"),
    ]


ACK = method(1, spec.Basic.Ack(delivery_tag=1))


@pytest.mark.parametrize("garbage", [
    pytest.param(b"GET / HTTP/1.1\r\n\r\n", id="another protocol"),
    pytest.param(GREETING + b"\x09" + ACK[1:], id="unknown frame type"),
    pytest.param(GREETING + ACK[:-1] + b"\x00", id="no end mark"),
    pytest.param(GREETING + b"\x01\0\1\0\0\0\4\xff\xff\xff\xff\xce", id="unknown method"),
    pytest.param(GREETING + b"\x01\0\1\0\0\0\0\xce", id="empty method frame"),
    pytest.param(GREETING + content(1, b"body"), id="content without a method"),
    pytest.param(GREETING + wire.Body(1, b"body").marshal(), id="body without a method"),
    pytest.param(
        GREETING + method(1, spec.Basic.Publish(routing_key="q")) + wire.Body(1, b"body").marshal(),
        id="body without a header",
    ),
])
def test_after_garbage_nothing_more_is_told_and_nothing_raised(garbage):
    reading = Reading().feed(garbage, ACK)
    assert not reading.link.readable
    assert reading.feed(GREETING, ACK).events == []


def test_what_came_before_garbage_is_told():
    reading = Reading().feed(GREETING + ACK, b"\xff" * 20, ACK)
    assert reading.names == ["Basic.Ack"]
    assert not reading.link.readable


@pytest.mark.parametrize("seed", range(20))
def test_random_bytes_are_survived(seed):
    noise = random.Random(seed).randbytes(2000)
    reading = Reading().feed(GREETING, *split_at_random(noise, seed))
    assert reading.events == []


def test_an_error_of_the_one_who_is_told_is_not_taken_for_garbage():
    def emit(event):
        raise LookupError("its own fault")

    reader = FrameReader(Link(1), True, emit)
    with pytest.raises(LookupError):
        reader.feed(GREETING + ACK)
    assert reader.link.readable


def test_one_side_that_is_unreadable_silences_the_other():
    reading = Reading().feed(b"garbage!" * 2)
    other = []
    FrameReader(reading.link, False, other.append).feed(ACK)
    assert other == []


def test_the_end_of_a_connection_is_told_also_when_it_was_unreadable():
    reading = Reading().feed(b"garbage!" * 2)
    reading.reader.close()
    assert reading.names == ["Closed"]
    assert reading.events[0].method is None
