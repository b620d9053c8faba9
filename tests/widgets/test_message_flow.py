"""The picture of messages on their way without a browser: its text twin, and what is sent to be drawn."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pika
import pytest
from waiting import until

from rpclab import (
    ADDITION_CALLBACK_QUEUE,
    AddClient,
    AdditionServer,
    CallbackWorker,
    InvalidOption,
    LabError,
    MessageFlow,
    RpcClient,
    RpcServer,
    Workers,
)

HOSTILE = "<img src=x onerror=alert(1)>"


class Patient(RpcServer):
    """Answers when a file appears."""

    def __init__(self, gate: str):
        super().__init__("patient")
        self._gate = gate

    def handle(self, body: str) -> str:
        """Wait for the file."""
        while not Path(self._gate).exists():
            time.sleep(0.02)
        return body.upper()


@pytest.fixture
def flow(lab):
    flow = MessageFlow()
    yield flow
    flow.close()


@pytest.fixture
def channel(lab):
    channel = lab.connect("tester").channel()
    channel.confirm_delivery()
    return channel


@pytest.fixture
def receive(lab):
    """A second connection; call it to have one message of a queue brought and dealt with by a method of the channel."""
    connection = lab.connect("receiver")
    incoming = connection.channel()
    incoming.basic_qos(prefetch_count=1)
    brought = []

    def take(queue: str, how: str, **options) -> None:
        tag = incoming.basic_consume(queue, lambda ch, method, *_: brought.append(method.delivery_tag))
        until(lambda: connection.process_data_events(0) or brought)
        incoming.basic_cancel(tag)
        getattr(incoming, how)(brought.pop(), **options)

    return take


def box(flow: MessageFlow, key: str) -> dict:
    return next((one for one in flow.scene.get("boxes", ()) if one["key"] == key), {})


def how(moves: list[dict]) -> list[str]:
    return [move["how"] for move in moves]


@pytest.fixture
def moves(flow):
    """All moves that were sent, in order, from the fixture's making on."""
    seen = []
    flow.observe(lambda change: seen.extend(change["new"]["moves"]), "scene")
    return seen


def test_a_request_and_its_reply_are_followed_there_and_back(lab, flow, serve, moves):
    serve(AdditionServer())
    with AddClient() as add:
        assert add.call(3, 5) == 8
        flow.wait(published=2, acked=2, replies=1)
        server = until(lambda: lab.story.messages[0].deliveries)[0].to
        assert str(flow).splitlines() == [
            "what            name                         published  ready  unacked  done",
            "client          AddClient                            1      0        0     1",
            "queue           addition                             1      0        0     1",
            "callback queue  callback queue of AddClient          1      0        0     1",
            f"consumer        {server:27}          1      0        0     1",
            "2 published, 2 delivered, 2 acked, 1 reply",
        ]
    until(lambda: len(moves) >= 6)
    worker, callback = f"worker:{server}", f"queue:{lab.story.requests[0].properties.reply_to}"
    ways = [(move["name"], move["from"], move["to"], move["how"]) for move in moves]
    assert [way for way in ways if way[0] == "request 1"] == [
        ("request 1", "client:AddClient", "queue:addition", "published"),
        ("request 1", "queue:addition", worker, "delivered"),
        ("request 1", worker, None, "acked"),
    ]
    assert [way for way in ways if way[0] == "reply to request 1"] == [
        ("reply to request 1", worker, callback, "published"),
        ("reply to request 1", callback, "client:AddClient", "delivered"),
        ("reply to request 1", "client:AddClient", None, "acked"),
    ]
    reply = next(move for move in moves if move["kind"] == "reply")
    assert (reply["label"], reply["after"]) == ("8", lab.story.requests[0].number)


def test_a_thousand_requests_end_with_exact_totals_and_are_sent_together(lab, flow, moves):
    scenes = []
    flow.observe(lambda change: scenes.append(change["new"]), "scene")
    with Workers(AdditionServer, count=2), AddClient(timeout=120) as add:
        futures = [add.submit(number, number) for number in range(1000)]
        assert sum(future.result() for future in futures) == 999_000
        flow.wait(acked=2000)
        until(lambda: flow.totals["acked"] == 2000)
    assert flow.totals == {
        "published": 2000, "delivered": 2000, "acked": 2000, "replies": 1000, "redelivered": 0, "returned": 0,
        "rejected": 0, "expired": 0,
    }
    assert flow.scene["chips"] == {}
    assert any(move.get("count", 0) > 30 for move in moves)
    assert all(len(scene["moves"]) <= 6 * 30 for scene in scenes)
    lasted = lab.story.messages[-1].time - lab.story.messages[0].time
    assert len(scenes) <= 15 * (lasted + 30)


def test_what_a_killed_worker_held_waits_again_and_is_redelivered(lab, flow, moves, tmp_path):
    gate = tmp_path / "gate"
    with Workers(Patient, str(gate), count=2) as workers, RpcClient("patient", timeout=120) as client:
        answers = [client.submit(body) for body in ("a", "b", "c")]
        flow.wait(delivered=2)
        until(lambda: box(flow, "queue:patient").get("ready") == 1)
        held = {name: box(flow, f"worker:{name}") for name in workers.names}
        assert all((one["unacked"], len(one["chips"])) == (1, 1) for one in held.values())
        lost = flow.scene["chips"][str(held["Patient-0"]["chips"][0])]

        workers.kill(0)
        until(lambda: box(flow, "worker:Patient-0")["gone"])
        waiting = box(flow, "queue:patient")
        assert (waiting["ready"], waiting["unacked"]) == (2, 1)
        assert [chip["name"] for chip in flow.scene["chips"].values() if chip["redelivered"]] == [lost["name"]]

        gate.touch()
        assert [answer.result() for answer in answers] == ["A", "B", "C"]
        flow.wait(published=6, delivered=7, acked=6, redelivered=1)
    until(lambda: flow.totals["acked"] == 6)
    assert [(move["name"], move["from"]) for move in moves if move["how"] == "lost"] == [
        (lost["name"], "worker:Patient-0")
    ]
    assert "not acked by Patient-0, connection ends: in patient again" in flow.select(lost["name"])


def test_what_is_given_back_is_redelivered(flow, channel, receive, moves):
    channel.queue_declare("tasks", durable=True)
    channel.basic_publish("", "tasks", "1")
    receive("tasks", "basic_nack", requeue=True)
    receive("tasks", "basic_ack")
    flow.wait(delivered=2, redelivered=1, acked=1)
    until(lambda: how(moves) == ["published", "delivered", "requeued", "delivered", "acked"])


def test_a_fanout_exchange_puts_one_chip_into_each_queue(flow, channel, receive):
    channel.exchange_declare("events", "fanout")
    for queue in ("mail", "log"):
        channel.queue_declare(queue, durable=True)
        channel.queue_bind(queue, "events")
    channel.basic_publish("events", "", "hello")
    flow.wait(published=1)
    until(lambda: len(flow.scene["chips"]) == 2)
    receive("mail", "basic_ack")
    flow.wait(acked=1)
    assert str(flow).splitlines() == [
        "what      name      published  ready  unacked  done  note",
        "client    tester            1      0        0     0  -",
        "exchange  events            1      0        0     0  fanout",
        "queue     log               1      1        0     0  -",
        "queue     mail              1      0        0     1  -",
        "consumer  receiver          0      0        0     1  -",
        "1 published, 1 delivered, 1 acked, 0 replies",
    ]


@pytest.mark.parametrize(
    ("kind", "key", "headers", "expected"),
    [
        ("direct", "eu.paris", None, {"exact"}),
        ("topic", "eu.paris", None, {"exact", "star", "hash"}),
        ("topic", "eu.paris.centre", None, {"hash"}),
        ("headers", "", {"size": "big", "colour": "red"}, {"all", "any"}),
        ("headers", "", {"size": "big"}, {"any"}),
    ],
)
def test_chips_wait_where_the_broker_put_the_message(lab, flow, channel, kind, key, headers, expected):
    channel.exchange_declare("shop", kind)
    for queue, pattern, match in [
        ("exact", "eu.paris", None), ("star", "eu.*", None), ("hash", "eu.#", None),
        ("all", "", {"x-match": "all", "size": "big", "colour": "red"}),
        ("any", "", {"x-match": "any", "size": "big", "colour": "red"}),
    ]:
        if (kind == "headers") == bool(match):
            channel.queue_declare(queue, durable=True)
            channel.queue_bind(queue, "shop", pattern, match)
    channel.basic_publish("shop", key, "1", pika.BasicProperties(headers=headers))
    flow.wait(published=1)
    assert {row["name"] for row in lab.queues() if row["ready"]} == expected
    until(lambda: {one["name"] for one in flow.scene["boxes"] if one["role"] == "queue" and one["ready"]} == expected)


def test_a_returned_message_goes_back_to_its_publisher(flow, channel, moves):
    with pytest.raises(pika.exceptions.UnroutableError):
        channel.basic_publish("", "nowhere", "1", mandatory=True)
    flow.wait(returned=1)
    until(lambda: len(moves) == 3)
    assert [(move["how"], move["from"], move["to"]) for move in moves] == [
        ("published", "client:tester", "queue:nowhere"),
        ("returned", "queue:nowhere", "client:tester"),
        ("returned", "client:tester", None),
    ]
    assert "not declared in sight" in str(flow)
    assert flow.scene["chips"] == {}


def test_a_rejected_message_goes_to_the_dead_letter_queue(lab, flow, channel, receive, moves):
    channel.queue_declare("dead", durable=True)
    arguments = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead"}
    channel.queue_declare("tasks", durable=True, arguments=arguments)
    channel.basic_publish("", "tasks", "1")
    receive("tasks", "basic_reject", requeue=False)
    flow.wait(rejected=1)
    lab.wait_for("dead", ready=1)
    until(lambda: box(flow, "queue:dead")["ready"] == 1)
    receive("dead", "basic_ack")
    flow.wait(acked=1)
    until(lambda: how(moves) == ["published", "delivered", "dead-lettered", "delivered", "acked"])


def test_a_message_that_nobody_takes_in_time_expires(flow, channel, moves):
    channel.queue_declare("tasks", durable=True)
    channel.basic_publish("", "tasks", "1", pika.BasicProperties(expiration="200"))
    flow.wait(expired=1)
    until(lambda: how(moves) == ["published", "expired"])
    assert box(flow, "queue:tasks")["ready"] == 0


def test_a_purged_queue_is_empty(flow, channel):
    channel.queue_declare("tasks", durable=True)
    for number in range(3):
        channel.basic_publish("", "tasks", str(number))
    flow.wait(published=3)
    until(lambda: box(flow, "queue:tasks")["ready"] == 3)
    channel.queue_purge("tasks")
    until(lambda: box(flow, "queue:tasks")["ready"] == 0)
    channel.queue_delete("tasks")
    until(lambda: box(flow, "queue:tasks")["gone"])


def test_callback_workers_are_on_the_way_back(flow, serve):
    serve(AdditionServer())
    serve(CallbackWorker(ADDITION_CALLBACK_QUEUE))
    with AddClient() as add:
        add.send(3, 5, reply_to=ADDITION_CALLBACK_QUEUE)
        flow.wait(acked=2)
    until(lambda: flow.totals["acked"] == 2)
    back = [(one["role"], one["said"]) for one in flow.scene["boxes"] if one["lane"] == "callback"]
    assert ("client", "1 acked") in back
    assert ("queue", "0 ready \u00b7 0 unacked") in back


def test_a_body_a_name_and_a_queue_are_sent_as_they_are_and_cut(lab, flow, channel):
    with lab.connect(HOSTILE) as connection:
        channel.queue_declare(HOSTILE, durable=True)
        connection.channel().basic_publish("", HOSTILE, HOSTILE + "\n" + "x" * 5000)
        flow.wait(published=1)
        text = str(flow)
    (chip,) = until(lambda: flow.scene["chips"]).values()
    assert chip["label"] == "<img sr\u2026"
    assert HOSTILE in text
    flow.select("message 1")
    rows = dict(until(lambda: flow.drawer.get("message"))["rows"])
    assert rows["body"].startswith(HOSTILE)
    assert rows["body"].endswith("\u2026 (5,029 bytes)")


def test_a_selected_message_keeps_its_details_when_it_is_no_recent_one(flow, channel):
    channel.queue_declare("tasks", durable=True)
    for number in range(30):
        channel.basic_publish("", "tasks", str(number), pika.BasicProperties(correlation_id=f"id-{number}"))
    flow.wait(published=30)
    said = flow.select("message 20")
    assert "correlation id  id-19" in said
    until(lambda: ["correlation id", "id-19"] in flow.drawer.get("message", {"rows": []})["rows"])
    with pytest.raises(LabError, match=r"no message 'message 99'.*message 30"):
        flow.select("message 99")


def test_what_happened_before_it_was_made_is_in_it(lab, serve):
    serve(AdditionServer())
    with AddClient() as add:
        add.call(3, 5)
        lab.last()
        flow = MessageFlow(lab)
        assert flow.totals["acked"] == 2
        assert "2 published, 2 delivered, 2 acked, 1 reply" in str(flow)
        flow.close()


def test_many_workers_share_one_box_and_nothing_is_lost(lab, flow):
    connections = [lab.connect(f"worker-{number}") for number in range(12)]
    for connection in connections:
        channel = connection.channel()
        channel.queue_declare("tasks", durable=True)
        channel.basic_consume("tasks", lambda *_: None)
        channel.basic_publish("", "tasks", "1")
    flow.wait(published=12, delivered=12)
    until(lambda: box(flow, "worker:\0others ").get("name") == "4 more")
    workers = [one for one in flow.scene["boxes"] if one["role"] == "worker"]
    assert [one["name"] for one in workers] == [*(f"worker-{number}" for number in range(8)), "4 more"]
    assert sum(one["unacked"] for one in workers) == 12
    assert str(flow).count("consumer  worker-") == 12


def test_when_the_connections_are_gone_the_boxes_stay(lab, flow, channel):
    channel.queue_declare("tasks", durable=True)
    channel.basic_publish("", "tasks", "1")
    flow.wait(published=1)
    lab.tap.cut()
    until(lambda: flow.scene["status"].startswith("No connection is open"))
    assert box(flow, "client:tester")["gone"]
    assert box(flow, "queue:tasks")["ready"] == 1


def test_waiting_in_vain_says_how_far_it_came(flow, channel):
    channel.queue_declare("tasks", durable=True)
    channel.basic_publish("", "tasks", "1")
    flow.wait(published=1)
    with pytest.raises(LabError, match=r"published=1, acked=0, not published=1, acked=2"):
        flow.wait(published=1, acked=2, timeout=0.2)
    with pytest.raises(InvalidOption, match="published, delivered, acked"):
        flow.wait(acknowledged=1)


def test_it_asks_the_broker_nothing_and_takes_nothing(lab, flow, channel):
    channel.queue_declare("tasks", durable=True)
    channel.basic_publish("", "tasks", "1")
    flow.wait(published=1)
    row = lab.queues()["tasks"]
    assert (row["ready"], row["unacked"], row["consumers"]) == (1, 0, 0)
    assert [link.name for link in lab.tap.links()] == ["tester"]


def test_closing_twice_leaves_no_thread_and_no_subscription(lab, channel):
    listeners, subscribers = list(lab.story._listeners), list(lab.tap._subscribers)
    flow = MessageFlow()
    channel.queue_declare("tasks", durable=True)
    channel.basic_publish("", "tasks", "before", pika.BasicProperties(expiration="600000"))
    flow.wait(published=1)
    flow.close()
    flow.close()
    assert (lab.story._listeners, lab.tap._subscribers) == (listeners, subscribers)
    names = [thread.name for thread in threading.enumerate()]
    assert "rpclab widget" not in names
    assert not [thread for thread in threading.enumerate() if isinstance(thread, threading.Timer)]
    channel.basic_publish("", "tasks", "after")
    until(lambda: len(lab.story) == 2)
    assert flow.totals["published"] == 1
    assert flow.scene["status"] == "Closed: the picture is as it was."
    assert repr(flow) == f"MessageFlow({lab!r})"


def test_two_of_them_show_the_same(lab, flow, channel):
    other = MessageFlow()
    channel.queue_declare("tasks", durable=True)
    channel.basic_publish("", "tasks", "1")
    flow.wait(published=1)
    other.wait(published=1)
    assert str(flow) == str(other)
    other.close()


def test_without_a_lab_it_says_what_is_missing(lab):
    lab.close()
    with pytest.raises(LabError, match="No lab is open"):
        MessageFlow()


def test_of_a_closed_lab_there_is_nothing_to_see(lab):
    lab.close()
    with pytest.raises(LabError, match=r"was closed.*Open it again"):
        MessageFlow(lab)
    assert "rpclab widget" not in [thread.name for thread in threading.enumerate()]
