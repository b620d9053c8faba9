from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from pika import frame as wire
from pika import spec
from test_frames import CLIENT_SIDE, GREETING, Reading, content, method, publish, split_at_random

from rpclab.wire.gate import Frame, Gate

ACK = method(1, spec.Basic.Ack(delivery_tag=1))
NACK = method(1, spec.Basic.Nack(delivery_tag=2))


class Passing:
    """A gate together with what has passed it."""

    def __init__(self, ask: Callable[[Frame], bool] | None = None):
        self.reading = Reading()
        self.stopped = False
        self.gate = Gate(self.reading.reader, lambda: self.stopped)
        self.gate.ask = ask
        self.out = b""

    def feed(self, *pieces: bytes) -> Passing:
        for piece in pieces:
            for passed in self.gate.passed(piece):
                self.reading.feed(passed)
                self.out += passed
        return self


def names_of(data: bytes) -> list[str]:
    frames = []
    Passing(lambda frame: frames.append(frame.name) or True).feed(data)
    return frames


def test_each_frame_is_asked_about_by_its_name():
    assert names_of(CLIENT_SIDE) == [
        "greeting", "Connection.StartOk", "Connection.Open", "Channel.Open", "Basic.Publish", "header", "body",
        "heartbeat", "Basic.Publish", "header", "Basic.Ack",
    ]


def test_as_long_as_nothing_is_to_be_decided_half_a_frame_passes_as_it_comes():
    assert Passing().feed(GREETING, ACK[:5]).out == GREETING + ACK[:5]


@pytest.mark.parametrize("seed", range(20))
def test_however_the_bytes_are_cut_all_that_may_pass_does_and_is_read(seed):
    passing = Passing(lambda frame: True).feed(*split_at_random(CLIENT_SIDE, seed))
    assert passing.out == CLIENT_SIDE
    assert passing.reading.told == Reading().feed(CLIENT_SIDE).told


@pytest.mark.parametrize("seed", range(20))
def test_whenever_the_asking_begins_and_ends_nothing_is_lost(seed):
    pieces = split_at_random(CLIENT_SIDE, seed)
    begin, end = sorted(random.Random(seed).choices(range(len(pieces)), k=2))
    passing = Passing().feed(*pieces[:begin])
    passing.gate.ask = lambda frame: True
    passing.feed(*pieces[begin:end])
    passing.gate.ask = None
    assert passing.feed(*pieces[end:]).out == CLIENT_SIDE
    assert passing.reading.told == Reading().feed(CLIENT_SIDE).told


@pytest.mark.parametrize("seed", range(20))
def test_a_method_is_dropped_with_its_message_and_what_comes_after_it_passes(seed):
    passing = Passing().feed(GREETING)
    passing.gate.drop_next("Basic.Publish")
    first, second = publish(1, "lost", b"3,5"), publish(1, "kept", b"")
    passing.feed(*split_at_random(ACK + first + NACK + second, seed))
    assert passing.out == GREETING + ACK + NACK + second


def test_a_message_in_several_frames_is_dropped_whole_while_other_channels_go_on():
    frames = [wire.Body(1, bytes([65 + n])).marshal() for n in range(3)]
    header = content(1, b"xyz")[: -len(wire.Body(1, b"xyz").marshal())]
    other = publish(2, "other", b"stays")
    passing = Passing().feed(GREETING)
    passing.gate.drop_next("Basic.Publish")
    passing.feed(method(1, spec.Basic.Publish(routing_key="q")), header, frames[0], other, frames[1], frames[2], ACK)
    assert passing.out == GREETING + other + ACK


def test_a_frame_of_which_a_part_has_passed_cannot_be_dropped_any_more():
    passing = Passing().feed(GREETING, ACK[:-1])
    passing.gate.drop_next("Basic.Ack")
    assert passing.feed(ACK[-1:]).out == GREETING + ACK
    assert passing.feed(ACK, NACK).out == GREETING + ACK + NACK


def test_a_header_or_a_body_can_be_dropped_alone():
    passing = Passing(lambda frame: frame.name != "body")
    published = publish(1, "q", b"3,5")
    assert passing.feed(GREETING, published, ACK).out == GREETING + published[: -len(content(1, b"3,5")[-11:])] + ACK


def test_at_a_frame_where_everything_is_stopped_it_waits_and_is_asked_about_again():
    asked = []

    def stop_at_the_first_ack(frame: Frame) -> bool:
        asked.append(frame.name)
        passing.stopped = asked.count("Basic.Ack") == 1
        return True

    passing = Passing(stop_at_the_first_ack)
    passing.feed(GREETING + NACK + ACK + NACK)
    assert passing.out == GREETING + NACK
    passing.feed(ACK)
    assert passing.out == GREETING + NACK
    passing.stopped = False
    assert passing.feed(b"").out == GREETING + NACK + ACK + NACK + ACK
    assert asked == ["greeting", "Basic.Nack", "Basic.Ack", "Basic.Ack", "Basic.Nack", "Basic.Ack"]


@pytest.mark.parametrize("garbage", [
    pytest.param(b"GET / HTTP/1.1\r\n\r\n", id="another protocol"),
    pytest.param(GREETING + b"\x09" + ACK[1:], id="unknown frame type"),
    pytest.param(GREETING + ACK[:-1] + b"\x00", id="no end mark"),
])
def test_what_is_no_amqp_passes_unasked(garbage):
    passing = Passing(lambda frame: frame.kind is None).feed(garbage, ACK, b"more")
    assert passing.out == garbage + ACK + b"more"
    assert not passing.reading.link.readable


def test_a_method_that_pika_does_not_know_is_asked_about_as_well():
    unknown = b"\x01\0\1\0\0\0\4\xff\xff\xff\xff\xce"
    asked = []
    passing = Passing(lambda frame: asked.append(frame.name) or True).feed(GREETING, unknown)
    assert asked == ["greeting", "unknown method"]
    assert passing.out == GREETING + unknown
