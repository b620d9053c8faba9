"""Deliveries that are lost or given back, and what the story says of it before the message is delivered again."""

from __future__ import annotations

import pytest
from conversation import Wire
from pictures import effects_before_causes
from pika import spec

TIMED_OUT = "PRECONDITION_FAILED - delivery acknowledgement on channel 1 timed out. Timeout value used: 2000 ms."
LIMIT = {"x-death": [{"queue": "work", "exchange": "", "routing-keys": ["work"], "reason": "delivery_limit"}]}


@pytest.fixture
def wire():
    wire = Wire(seconds_between=0.001)
    for queue in ("work", "dead"):
        wire.peer("admin").declares(queue)
    return wire


@pytest.fixture
def workers(wire):
    workers = [wire.peer(f"worker-{number}") for number in range(2)]
    for worker in workers:
        worker.consumes("work")
    return workers


@pytest.fixture
def held(wire, workers):
    """A message that the first worker holds."""
    wire.peer("sender").publishes("work", "job")
    return workers[0].gets("work", "job")


def lines(wire: Wire) -> list[str]:
    text = str(wire.story.sequence())
    assert effects_before_causes(text) == []
    return text.splitlines()


@pytest.mark.parametrize(("end", "said"), [
    (lambda worker: worker.ends(), "connection ends"),
    (lambda worker: worker.says(spec.Connection.Close(200, "Normal shutdown", 0, 0), channel=0), "connection ends"),
    (lambda worker: worker.says(spec.Channel.Close(200, "Normal shutdown", 0, 0)), "channel ends"),
    (lambda worker: worker.hears(spec.Channel.Close(406, TIMED_OUT, 0, 0)),
     "channel ends (406 PRECONDITION_FAILED - delivery acknowledgement on channel 1 timed out)"),
    (lambda worker: worker.hears(spec.Connection.Close(320, "CONNECTION_FORCED - by hand", 0, 0), channel=0),
     "connection ends (320 CONNECTION_FORCED - by hand)"),
    # RabbitMQ 4.3, after a message of a quorum queue was held for too long.
    (lambda worker: worker.hears(spec.Basic.Cancel(consumer_tag="work")), "broker cancels consumer"),
], ids=[
    "cut", "closed by the client", "channel closed by the client", "channel closed by the broker", "forced",
    "cancelled",
])
@pytest.mark.parametrize("first", ["end", "redelivery"])
def test_the_picture_says_what_ended_whether_the_end_or_the_redelivery_is_seen_first(
    wire, workers, held, end, said, first,
):
    happen = [lambda: end(workers[0]), lambda: workers[1].gets("work", "job", redelivered=True)]
    for one in happen if first == "end" else reversed(happen):
        one()
    assert lines(wire)[2:] == [
        f"worker-0 -> queue work: {said}, message 1 goes back",
        "queue work -> worker-1: message 1 (redelivered)",
        "(worker-1: holds message 1, unacked)",
    ]
    assert [delivery.outcome for delivery in wire.story.messages[0].deliveries] == ["lost", "held"]


def test_as_long_as_the_end_was_not_seen_the_picture_says_what_is_known(wire, workers, held):
    workers[1].gets("work", "job", redelivered=True)
    assert lines(wire)[2] == "worker-0 -> queue work: the broker takes message 1 back"


def test_a_listener_hears_of_the_loss_before_the_redelivery_and_once(wire, workers, held):
    heard = []
    wire.story.listen(lambda step: heard.append((step.what, step.who)))
    workers[1].gets("work", "job", redelivered=True)
    workers[0].hears(spec.Channel.Close(406, TIMED_OUT, 0, 0))
    workers[0].ends()
    assert heard == [("lost", "worker-0"), ("delivered", "worker-1")]


def test_what_was_acknowledged_on_a_channel_that_the_broker_had_closed_is_the_same_message_when_it_comes_again(
    wire, workers, held,
):
    workers[0].acks(held)
    workers[1].acks(workers[1].gets("work", "job", redelivered=True))
    workers[0].hears(spec.Channel.Close(406, TIMED_OUT, 0, 0))
    assert lines(wire)[2:] == [
        "worker-0 -> queue work: ack message 1",
        "worker-0 -> queue work: the broker takes message 1 back",
        "queue work -> worker-1: message 1 (redelivered)",
        "worker-1 -> queue work: ack message 1",
    ]


def test_a_message_that_was_lost_too_often_is_lost_before_it_is_a_dead_letter(wire, workers, held):
    reader = wire.peer("reader")
    reader.consumes("dead")
    reader.gets("dead", "job", headers=LIMIT)
    workers[0].ends()
    assert lines(wire)[2:5] == [
        "worker-0 -> queue work: connection ends, message 1 goes back",
        "queue work -> queue dead: message 1 dead-lettered: delivery_limit",
        "queue dead -> reader: message 1",
    ]


def test_what_was_rejected_is_the_dead_letter_and_not_what_looks_the_same_and_is_held(wire, workers, held):
    wire.peer("sender").publishes("work", "job")
    workers[1].says(spec.Basic.Reject(delivery_tag=workers[1].gets("work", "job"), requeue=False))
    reader = wire.peer("reader")
    reader.consumes("dead")
    death = {"queue": "work", "exchange": "", "routing-keys": ["work"], "reason": "rejected"}
    reader.gets("dead", "job", headers={"x-death": [death]})
    assert [message.dead_lettered for message in wire.story.messages] == ["", "rejected"]
    assert wire.story.messages[0].deliveries[0].outcome == "held"


def test_what_is_given_back_is_drawn_before_it_is_delivered_again(wire, workers, held):
    workers[0].says(spec.Basic.Nack(delivery_tag=held, requeue=True))
    workers[1].acks(workers[1].gets("work", "job", redelivered=True))
    assert lines(wire)[2:] == [
        "worker-0 -> queue work: requeue message 1",
        "queue work -> worker-1: message 1 (redelivered)",
        "worker-1 -> queue work: ack message 1",
    ]


def test_deliveries_of_a_queue_are_drawn_in_the_order_in_which_the_broker_delivered(wire, workers):
    sender = wire.peer("sender")
    for body, priority in (("low", 1), ("high", 5)):
        sender.publishes("work", body, priority=priority)
    workers[0].gets("work", "high", priority=5)
    workers[1].gets("work", "low", priority=1)
    assert lines(wire)[2:4] == ["queue work -> worker-0: message 2", "queue work -> worker-1: message 1"]
