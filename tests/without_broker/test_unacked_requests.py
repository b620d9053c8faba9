from __future__ import annotations

import pika
import pytest

from rpclab.rpc.reliability import unacked_requests as requests
from rpclab.rpc.reliability.unacked_requests import UnackedRequests


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still, until a test moves it."""

    class Clock:
        now = 0.0

    monkeypatch.setattr(requests.time, "monotonic", lambda: Clock.now)
    return Clock


def ask(name: str | None = "1", reply_to: str = "callbacks") -> pika.BasicProperties:
    return pika.BasicProperties(correlation_id=name, reply_to=reply_to)


def redelivered(hand: UnackedRequests, tag: int, properties: pika.BasicProperties, body: bytes = b"x") -> bool:
    return hand.join(tag, properties, body, resent=False)


def test_what_a_closed_channel_held_is_recognised_once_for_each_time_it_was_held():
    hand = UnackedRequests()
    request = hand.begin(1, ask(), b"x")
    hand.channel_closed()
    assert redelivered(hand, 1, ask())
    assert not redelivered(hand, 2, ask())
    hand.channel_closed()
    assert redelivered(hand, 1, ask())
    assert hand.end(request, 0) == [1]
    assert len(hand) == 0


@pytest.mark.parametrize(("properties", "body"), [(ask("2"), b"x"), (ask(reply_to="others"), b"x"), (ask(), b"y")])
def test_another_id_reply_queue_or_body_makes_another_request(properties, body):
    hand = UnackedRequests()
    hand.begin(1, ask(), b"x")
    hand.channel_closed()
    assert not redelivered(hand, 1, properties, body)
    assert redelivered(hand, 1, ask())


def test_a_request_that_was_never_lost_is_not_expected_again_but_by_its_client():
    hand = UnackedRequests()
    request = hand.begin(1, ask(), b"x")
    assert not redelivered(hand, 2, ask())
    assert hand.join(2, ask(), b"x", resent=True)
    assert hand.end(request, 0) == [1, 2]


def test_what_was_answered_before_it_came_again_is_known_once():
    hand = UnackedRequests()
    request = hand.begin(1, ask(), b"x")
    hand.channel_closed()
    assert hand.end(request, 0) == []
    assert hand.answered(ask(), b"x")
    assert not hand.answered(ask(), b"x")


def test_an_acknowledgement_is_doubted_until_a_later_message_is_confirmed():
    hand = UnackedRequests()
    doubted, proven = hand.begin(1, ask("1"), b"x"), hand.begin(2, ask("2"), b"x")
    hand.end(proven, 1)
    hand.end(doubted, 2)
    hand.proven(2)
    hand.channel_closed()
    assert hand.answered(ask("1"), b"x")
    assert not hand.answered(ask("2"), b"x")


@pytest.mark.parametrize(("name", "kept"), [("1", requests.KEPT_SECONDS), (None, requests.NAMELESS_SECONDS)])
def test_an_answered_request_is_expected_for_a_limited_time(clock, name, kept):
    hand = UnackedRequests()
    for _ in range(2):
        hand.end(hand.begin(1, ask(name), b"x"), 0)
    hand.channel_closed()
    clock.now = kept
    assert hand.answered(ask(name), b"x")
    clock.now = kept + 1
    assert not hand.answered(ask(name), b"x")


def test_a_limited_number_of_answered_requests_is_expected():
    hand = UnackedRequests()
    for number in range(requests.KEPT + 1):
        hand.end(hand.begin(1, ask(str(number)), b"x"), 0)
    hand.channel_closed()
    assert not hand.answered(ask("0"), b"x")
    assert hand.answered(ask("1"), b"x")
