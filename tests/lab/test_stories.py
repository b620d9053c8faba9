"""Stories of messages that really cross a lab's connections."""

from __future__ import annotations

import threading

import pika
import pytest

from rpclab import (
    ADDITION_CALLBACK_QUEUE,
    AddClient,
    AdditionServer,
    InvalidOption,
    LabError,
    RpcClient,
    RpcServer,
    Workers,
)


@pytest.fixture
def client(lab, serve):
    serve(AdditionServer())
    with AddClient() as client:
        yield client


def answers(story) -> list[str]:
    return [message.answer(story.now) for message in story.requests]


def test_a_recording_holds_the_acknowledgement_that_comes_after_the_answer(lab, client):
    for _ in range(20):
        with lab.record() as story:
            client.call(3, 5)
        assert [row["state"] for row in story.table()] == ["acked", "auto-acked"]
        assert story.table().column("message") == ["request 1", "reply to request 1"]


def test_a_recording_waits_for_what_was_sent_and_not_awaited(lab, client):
    with lab.record() as story:
        for number in range(10):
            client.submit(number, number)
    assert answers(story) == ["answered"] * 10


def test_what_hangs_on_purpose_is_told_as_it_is(lab, client):
    channel = lab.connect("tester").channel()
    channel.queue_declare("unserved", durable=True)
    with lab.record() as story:
        channel.basic_publish("", "unserved", "3,5", pika.BasicProperties(reply_to="nobody"))
    assert [row["state"] for row in story.table()] == ["waiting"]
    assert answers(story) == ["pending"]


def test_a_message_fetched_with_get_is_told_as_well(lab):
    channel = lab.connect("tester").channel()
    channel.confirm_delivery()
    channel.queue_declare("post", durable=True)
    with lab.record() as story:
        channel.basic_publish("", "post", "letter")
        channel.basic_ack(channel.basic_get("post")[0].delivery_tag)
    assert str(story.sequence()).splitlines() == [
        "tester -> queue post: message 1: letter",
        "queue post -> tester: message 1",
        "tester -> queue post: ack message 1",
    ]


@pytest.mark.parametrize("reply", ["exclusive", "direct", "shared_callback"])
def test_replies_are_matched_whichever_way_they_come(lab, serve, reply):
    serve(AdditionServer())
    with AddClient(reply=reply) as client, lab.record() as story:
        client.call(3, 5)
    assert story.table().column("message") == ["request 1", "reply to request 1"]
    assert answers(story) == ["answered"]


def test_a_killed_worker_and_its_heir_are_in_the_story(lab):
    with Workers(Napping, count=1) as workers, RpcClient("naps") as client, lab.record() as story:
        future = client.submit("held", timeout=60)
        lab.wait_for("naps", unacked=1)
        workers.kill(0)
        with Workers(Awake, count=1):
            assert future.result(60) == "awake"
            lab.wait_for("naps", ready=0, unacked=0)
    (request,) = story.requests
    assert [(d.to, d.outcome, d.redelivered) for d in request.deliveries] == [
        ("Napping-0", "lost", False), ("Awake-0", "acked", True)]
    assert "Napping-0 -> queue naps: connection ends, request 1 goes back" in str(story.sequence())


def test_a_poison_request_is_followed_into_the_dead_letter_queue_of_a_quorum_queue(lab, serve):
    serve(RpcServer("fragile", int, on_error="dead-letter", max_deliveries=2, queue_type="quorum"))
    with RpcClient("fragile") as client, lab.record() as story:
        assert client.submit("poison").exception(60)
        lab.wait_for("fragile.dead", ready=1)
        lab.connect("tester").channel().basic_get("fragile.dead", auto_ack=True)
    assert "fragile.dead" in " ".join(row["queue"] for row in story.table())


def test_the_last_messages_come_with_what_they_belong_to(lab, client):
    for number in range(5):
        client.call(number, 1)
    assert [message.text() for message in lab.last(2).messages] == ["4,1", "5"]
    assert lab.last(2).table().column("message") == ["request 5", "reply to request 5"]


def test_the_labs_story_goes_back_to_before_it_was_asked_for(lab, client):
    client.call(3, 5)
    assert [message.text() for message in lab.story.settle().messages] == ["3,5", "8"]


def test_what_it_waits_for_may_be_asked_of_the_broker(lab, client):
    client.submit(3, 5)
    lab.story.wait_for(lambda: lab.diagnose().seen == 2 and lab.queues()["addition"]["unacked"] == 0, 20)
    with pytest.raises(LabError, match=r"After 0\.1 s the lab still waits for rain\. lab\.last"):
        lab.story.wait_for(lambda: False, 0.1, "rain")


@pytest.mark.parametrize("count", [0, -1, "two", True])
def test_a_number_of_messages_that_makes_no_sense_is_refused(lab, count):
    with pytest.raises(InvalidOption, match="1 or more"):
        lab.last(count)


def test_stories_may_be_told_while_messages_pass(lab, client):
    over = threading.Event()

    def call_on() -> None:
        while not over.is_set():
            client.call(1, 1)

    client.call(1, 1)
    lab.story.settle()
    calling = threading.Thread(target=call_on)
    calling.start()
    try:
        for _ in range(20):
            assert lab.story.table()
            assert str(lab.story.sequence())
            assert lab.story.timeline().source["data"]["values"]
    finally:
        over.set()
        calling.join()


def test_the_topology_is_that_of_this_moment(lab, client):
    channel = lab.connect("tester").channel()
    channel.exchange_declare("events", "topic")
    channel.queue_declare(ADDITION_CALLBACK_QUEUE, durable=True)
    channel.queue_bind(ADDITION_CALLBACK_QUEUE, "events", "sum.*")
    assert str(lab.topology()).splitlines() == [
        "exchange events (topic)",
        "queue addition: 0 ready, 0 unacked",
        "queue addition_callback: 0 ready, 0 unacked",
        "callback queue of AddClient: 0 ready, 0 unacked",
        "events -> addition_callback by 'sum.*'",
        "addition -> notebook",
        "callback queue of AddClient -> AddClient",
    ]


class Napping(RpcServer):
    """Takes a request and never answers."""

    def __init__(self):
        super().__init__("naps")

    def handle(self, body: str) -> str:
        threading.Event().wait()


class Awake(RpcServer):
    """Answers at once."""

    def __init__(self):
        super().__init__("naps")

    def handle(self, body: str) -> str:
        return "awake"
