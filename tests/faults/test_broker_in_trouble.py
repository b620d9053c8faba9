from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import wait
from contextlib import ExitStack
from functools import partial

import pika
import psutil
import pytest
from shouting import QUEUE, Shouter, pending
from showing import rows, shown
from waiting import until

from rpclab import (
    Blocked,
    BrokerUnavailable,
    ConnectionLost,
    Lab,
    LabError,
    QueueMonitor,
    RemoteError,
    RequestRejected,
    RpcClient,
    RpcServer,
    RpcTimeout,
    Workers,
)
from rpclab.bench.measure import seconds
from rpclab.broker import node
from rpclab.findings import diagnose
from rpclab.rpc.reliability import client_connection, failover

TRIES = 2
IN_FLIGHT = 200
ANSWERED = 50
DURABLE = 50
LATER = "later"
BLOCKED_SECONDS = 2
CLOSED_SECONDS = 5
ENOUGH = "0.4"
TOO_LITTLE = "0.00001"
TIMES = ("consumer_timeout", "channel_tick_interval")


@pytest.fixture(scope="module")
def own_lab(worker_id) -> Iterator[Lab]:
    """A lab with a node of its own, because what is done here disturbs all who use it."""
    with Lab(f"{worker_id}-trouble", own_node=True) as lab:
        yield lab


@pytest.fixture
def lab(own_lab) -> Lab:
    """Have servers in this process run there, too."""
    return own_lab


@pytest.fixture(autouse=True)
def empty(own_lab) -> None:
    """Delete what an earlier test left."""
    for queue in own_lab.queues().column("queue"):
        own_lab.delete(queue)


def test_a_lab_of_the_same_name_in_another_process_breaks_a_broker_of_its_own(own_lab):
    program = f"import rpclab\nwith rpclab.Lab({own_lab.name!r}, own_node=True) as lab: print(lab.broker.port)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert int(done.stdout) != own_lab.broker.port
    assert not own_lab.queues()


class Steady(Shouter):
    """Takes several at once, so that a restart finds requests answered, requests worked on, and requests waiting."""

    options = {"prefetch": 4}


# 18: in one test, because a restart takes seconds

def test_a_restart_of_the_broker_ends_each_of_200_calls_in_flight_and_loses_no_durable_request(own_lab, gate):
    words = [f"word {number}" for number in range(IN_FLIGHT)]
    with own_lab.connect() as connection:
        for queue in (LATER, "callbacks"):
            connection.channel().queue_declare(queue, durable=True)
    with (
        Workers(Steady, count=2) as workers, RpcClient(QUEUE, timeout=60) as client, RpcClient(LATER) as sender,
    ):
        pids = workers.pids
        sent = [sender.send(word, reply_to="callbacks") for word in words[:DURABLE]]
        own_lab.wait_for(LATER, ready=DURABLE)
        calls = [client.submit(word if word in words[:ANSWERED] else gate.held(word)) for word in words]
        until(lambda: client.stats.answered == ANSWERED)

        own_lab.ctl("stop_app")
        done, hanging = wait(calls, timeout=30)
        assert not hanging
        assert len(done) == IN_FLIGHT
        assert [call.result() for call in calls[:ANSWERED]] == [word.upper() for word in words[:ANSWERED]]
        assert all(isinstance(call.exception(), ConnectionLost) for call in calls[ANSWERED:])
        assert pending(client) == 0
        with pytest.raises(LabError):
            client.call("nobody is there")

        gate.open()
        own_lab.ctl("start_app")
        assert client.call("back again", timeout=30) == "BACK AGAIN"
        workers.wait_for_lines("started on queue", 4, timeout=30)
        assert workers.pids == pids

        own_lab.wait_for(LATER, ready=DURABLE)
        with Workers(Shouter, LATER, count=1):
            own_lab.wait_for("callbacks", ready=DURABLE)
    with own_lab.connect() as connection:
        channel = connection.channel()
        answers = [channel.basic_get("callbacks", auto_ack=True) for _ in range(DURABLE)]
    assert [properties.correlation_id for _, properties, _ in answers] == sent
    assert [body.decode() for _, _, body in answers] == [word.upper() for word in words[:DURABLE]]


def test_work_that_is_finished_while_the_broker_is_away_is_answered_afterwards_and_not_done_again(own_lab, gate):
    with own_lab.connect() as connection:
        for queue in (QUEUE, "callbacks"):
            connection.channel().queue_declare(queue, durable=True)
    with Workers(Steady, count=1) as workers, RpcClient(QUEUE) as sender:
        sent = [sender.send(gate.held(f"word {number}"), reply_to="callbacks") for number in range(3)]
        workers.wait_for_lines("took", 3)
        own_lab.ctl("stop_app")
        workers.wait_for_lines("connecting again")
        gate.open()
        workers.wait_for_lines("its reply goes over the next one", 3)
        own_lab.ctl("start_app")
        own_lab.wait_for("callbacks", ready=3)
        workers.wait_for_lines("came again", 3)
        own_lab.wait_for(QUEUE, ready=0, unacked=0, consumers=1)
    with own_lab.connect() as connection:
        answers = [connection.channel().basic_get("callbacks") for _ in range(3)]
    assert sorted(properties.correlation_id for _, properties, _ in answers) == sorted(sent)
    own_lab.wait_for("callbacks", ready=3)


def test_a_queue_monitor_says_that_the_broker_is_away_and_its_figures_come_back_with_it(own_lab):
    with own_lab.connect() as connection:
        connection.channel().queue_declare("before", durable=True)
    monitor = QueueMonitor(own_lab)
    until(lambda: rows(monitor))
    own_lab.ctl("stop_app")
    until(lambda: "The broker does not answer" in shown(monitor))
    assert str(monitor).splitlines()[0].startswith("The broker does not answer")
    own_lab.ctl("start_app")
    until(lambda: "does not answer" not in shown(monitor))
    with own_lab.connect() as connection:
        connection.channel().queue_declare("afterwards", durable=True)
    until(lambda: monitor.table().column("name") == ["afterwards", "before"])
    assert not monitor.trouble
    monitor.close()


# A worker holds a request for longer than the broker waits for its acknowledgement

@pytest.fixture
def impatient(own_lab):
    """Have the broker wait 2 s for an acknowledgement, instead of 30 minutes, and look twice a second."""
    before = set_times(own_lab, 2000, 500)
    yield
    set_times(own_lab, *before)


def version(lab: Lab) -> tuple[int, ...]:
    """Return the broker's version to the minor one."""
    return tuple(map(int, lab._api.fetch("overview")["rabbitmq_version"].split(".")[:2]))


def set_times(lab: Lab, *values: int) -> list[int]:
    """Set both in one command, because each takes Erlang most of a second, and return what they were."""
    times = ", ".join(f"{{{name}, {value}}}" for name, value in zip(TIMES, values, strict=True))
    put = "{ok, Old} = application:get_env(rabbit, Name), application:set_env(rabbit, Name, New), Old"
    return json.loads(lab.ctl("eval", f"[begin {put} end || {{Name, New}} <- [{times}]].").text)


@pytest.mark.usefixtures("impatient")
def test_work_that_takes_longer_than_the_broker_waits_for_an_acknowledgement_is_done_once(own_lab, serve):
    worked = []

    def work(body: str) -> str:
        worked.append(body)
        time.sleep(float(body))
        return "done"

    queues = {"classic": "5", "quorum": "5.5"}
    with ExitStack() as opened:
        for queue in queues:
            serve(RpcServer(queue, work, queue_type=queue))
        clients = {queue: opened.enter_context(RpcClient(queue, timeout=30)) for queue in queues}
        calls = [clients[queue].submit(body) for queue, body in queues.items()]
        assert [call.result() for call in calls] == ["done", "done"]
        for queue, client in clients.items():
            own_lab.wait_for(queue, ready=0, unacked=0, consumers=1)
            assert client.call("0") == "done"
            assert client.stats.duplicate == 0
    assert sorted(worked) == ["0", "0", "5", "5.5"]


@pytest.mark.usefixtures("impatient")
def test_a_redelivery_that_is_seen_before_the_end_of_the_channel_has_its_cause_in_the_story(own_lab):
    if version(own_lab) >= (4, 3):
        pytest.skip("RabbitMQ 4.3 has no limit for classic queues, and ends no channel for the limit of quorum queues")
    holding = own_lab.connect("holder").channel()
    holding.queue_declare("work", durable=True)
    heir = own_lab.connect("heir")
    taking = heir.channel()
    with own_lab.record() as story:
        holding.basic_publish("", "work", "job")
        holding.basic_consume("work", lambda *_: None)
        own_lab.wait_for("work", unacked=1)
        own_lab.tap.freeze("holder", answers_only=True)
        taking.basic_consume("work", lambda channel, method, *_: channel.basic_ack(method.delivery_tag))
        taken_back = "holder -> queue work: the broker takes message 1 back"
        until(lambda: heir.process_data_events(0.1) or taken_back in str(story.sequence()), 30)
        own_lab.tap.thaw("holder")
        until(lambda: "406" in str(story.sequence()))
    assert str(story.sequence()).splitlines()[2:4] == [
        "holder -> queue work: channel ends (406 PRECONDITION_FAILED - delivery acknowledgement on channel 1 timed "
        "out), message 1 goes back",
        "queue work -> heir: message 1 (redelivered)",
    ]


@pytest.mark.usefixtures("impatient")
def test_a_consumer_that_the_broker_cancelled_for_it_is_found(own_lab):
    if version(own_lab) < (4, 3):
        pytest.skip("before RabbitMQ 4.3 the broker ends the channel instead")
    with own_lab.connect("holder") as holder, own_lab.connect("heir") as heir, own_lab.record() as story:
        holding, taking = holder.channel(), heir.channel()
        holding.queue_declare("jobs", durable=True, arguments={"x-queue-type": "quorum"})
        holding.basic_publish("", "jobs", "job")
        holding.basic_consume("jobs", lambda *_: None)
        until(lambda: any(message.deliveries for message in story.messages))
        # It ends without an error when the broker cancels its only consumer.
        holding.start_consuming()
        taking.basic_consume("jobs", lambda channel, method, *_: channel.basic_ack(method.delivery_tag))
        until(lambda: heir.process_data_events(0.1) or all(message.settled for message in story.messages))
    assert str(story.sequence()).splitlines()[2:4] == [
        "holder -> queue jobs: broker cancels consumer, message 1 goes back",
        "queue jobs -> heir: message 1 (redelivered)",
    ]
    assert [finding.rule for finding in diagnose(story)] == ["acknowledgement-timeout"]


# A suspended broker

@pytest.fixture
def process(own_lab) -> psutil.Process:
    """The broker's process, which a test may suspend."""
    (broker,) = node.recorded(own_lab.broker.node)
    return broker.process()


@pytest.mark.parametrize("retry", [None, 0.5])
def test_the_deadline_holds_while_a_suspended_broker_does_not_let_the_client_connect(own_lab, process, retry):
    with own_lab.connect() as connection:
        connection.channel().queue_declare(QUEUE, durable=True)
    with RpcClient(QUEUE, retry=retry) as client:
        assert client.send("before", reply_to="replies")
        process.suspend()
        try:
            own_lab.tap.cut("RpcClient")
            until(lambda: not client._session.alive)
            futures = []
            assert min(seconds(lambda: futures.append(client.submit("hello", timeout=1))) for _ in range(TRIES)) < 0.1

            def given_up(act: Callable) -> None:
                with pytest.raises(RpcTimeout, match=r"The request was not sent\."):
                    act("hello", timeout=1)

            for act in (client.call, partial(client.send, reply_to="r")):
                took = [seconds(partial(given_up, act)) for _ in range(TRIES)]
                assert 0.9 < min(took) < 1.5
                assert max(took) < failover.OPEN_SECONDS
            assert "has not completed a connection" in str(futures[0].exception(0))
            assert seconds(client.close) < 2 * client_connection.CLOSE_SECONDS
        finally:
            process.resume()


def test_the_first_connection_to_a_suspended_broker_is_given_up_in_time(own_lab, process, monkeypatch):
    monkeypatch.setattr(failover, "OPEN_SECONDS", 1.0)
    process.suspend()
    try:
        began, threads = time.monotonic(), threading.active_count()
        with pytest.raises(BrokerUnavailable, match=r"took more than 1 s to open a connection"):
            RpcClient(QUEUE)
        assert 1 <= time.monotonic() - began < 8
        until(lambda: threading.active_count() == threads)
    finally:
        process.resume()


def test_a_call_in_flight_ends_at_its_deadline_and_the_next_one_goes_on_when_the_broker_does(own_lab, process):
    with Workers(Shouter, count=1), RpcClient(QUEUE, timeout=20) as client:
        assert client.call("hello") == "HELLO"
        process.suspend()
        # Each thread of the broker stops by itself, and one that still runs may take the request.
        until(lambda: all(psutil.Process(each.id).status() == psutil.STATUS_STOPPED for each in process.threads()))
        try:
            with pytest.raises(RpcTimeout, match="has not confirmed"):
                client.call("hello", timeout=0.5)
        finally:
            process.resume()
        assert client.call("again") == "AGAIN"


# The broker refuses a reply

@pytest.fixture
def narrow(own_lab):
    """A callback queue that is full and rejects what is published to it."""
    with own_lab.connect() as connection:
        channel = connection.channel()
        channel.queue_declare("narrow", durable=True, arguments={"x-max-length": 1, "x-overflow": "reject-publish"})
        channel.basic_publish("", "narrow", b"first")
        own_lab.wait_for("narrow", ready=1)
        yield channel


def test_a_reply_that_its_queue_rejects_is_sent_again_when_there_is_room(own_lab, serve, narrow, capfd):
    serve(RpcServer(QUEUE, str.upper))
    own_lab.wait_for(QUEUE, consumers=1)
    narrow.basic_publish("", QUEUE, b"hello", pika.BasicProperties(reply_to="narrow", correlation_id="1"))
    until(lambda: rejections(own_lab))
    assert own_lab.queues()[QUEUE]["unacked"] == 1
    assert narrow.basic_get("narrow", auto_ack=True)[2] == b"first"
    own_lab.wait_for("narrow", ready=1)
    assert narrow.basic_get("narrow", auto_ack=True)[2] == b"HELLO"
    own_lab.wait_for(QUEUE, ready=0, unacked=0)


def test_a_reply_that_its_queue_keeps_rejecting_is_given_up_with_a_word_in_the_log(own_lab, serve, narrow, capfd):
    serve(RpcServer(QUEUE, str.upper))
    narrow.basic_publish("", QUEUE, b"hello", pika.BasicProperties(reply_to="narrow", correlation_id="1"))
    said = []
    until(lambda: said.append(capfd.readouterr().out) or "is given up" in "".join(said))
    assert "request 1: its message for queue 'narrow' is given up: rejected" in "".join(said)
    own_lab.wait_for(QUEUE, ready=0, unacked=0)


def test_a_clients_own_queue_that_keeps_rejecting_holds_a_worker_up_once(own_lab, serve):
    serve(RpcServer(QUEUE, str.upper))
    own_lab.wait_for(QUEUE, consumers=1)
    with own_lab.connect() as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        full = {"x-max-length": 1, "x-overflow": "reject-publish"}
        name = channel.queue_declare("", exclusive=True, arguments=full).method.queue
        channel.basic_publish("", name, b"first")
        own_lab.wait_for(name, ready=1)
        before = rejections(own_lab)
        for _ in range(10):
            channel.basic_publish("", QUEUE, b"hello", pika.BasicProperties(reply_to=name))
        own_lab.wait_for(QUEUE, ready=0, unacked=0)
        # A reply, and the error that stands for it, of ten requests; four times the first of them was tried again.
        assert rejections(own_lab) - before == 2 * 10 + 4
        assert channel.basic_get(name, auto_ack=True)[2] == b"first"
        channel.basic_publish("", QUEUE, b"hello", pika.BasicProperties(reply_to=name))
        own_lab.wait_for(name, ready=1)


def rejections(lab: Lab) -> int:
    return sum(event.name == "Basic.Nack" for event in list(lab.tap.events))


# 19

@pytest.fixture
def scarce(own_lab):
    """Let the broker believe that its memory is used up, until `relieve` is called."""

    class Memory:
        short = False

        def run_short(self) -> None:
            self.short = True
            own_lab.ctl("set_vm_memory_high_watermark", TOO_LITTLE)

        def relieve(self) -> None:
            if self.short:
                own_lab.ctl("set_vm_memory_high_watermark", ENOUGH)
                self.short = False

    memory = Memory()
    yield memory
    memory.relieve()


def seconds_until_blocked(client: RpcClient) -> float:
    """Return how long the first call took that the broker did not let through."""
    while True:
        began = time.monotonic()
        try:
            client.call("hello", timeout=20)
        except Blocked as error:
            assert "memory" in str(error)  # noqa: PT017  the loop is for calls that slip through before the alarm
            return time.monotonic() - began


def send_for_ever(client: RpcClient) -> None:
    """Send until that raises; a first message may slip through."""
    while True:
        client.send("hello", reply_to="callbacks")


def test_calls_are_told_that_the_broker_is_short_of_memory_and_work_again_afterwards(own_lab, scarce):
    with Workers(Shouter, count=1) as workers, RpcClient(QUEUE, timeout=20) as client:
        assert client.call("hello") == "HELLO"
        scarce.run_short()
        assert seconds_until_blocked(client) < BLOCKED_SECONDS
        began = time.monotonic()
        with pytest.raises(Blocked, match=r"memory.*This request was not sent"):
            client.send("hello", reply_to="callbacks")
        with RpcClient(QUEUE) as other, pytest.raises(Blocked, match="memory"):
            send_for_ever(other)
        assert time.monotonic() - began < BLOCKED_SECONDS + CLOSED_SECONDS
        assert seconds_until_blocked(client) < BLOCKED_SECONDS
        with RpcClient(QUEUE) as newcomer:
            assert seconds_until_blocked(newcomer) < BLOCKED_SECONDS
            assert pending(newcomer) == 0
            began = time.monotonic()
        # The broker does not even read that a blocked client wants to leave.
        assert time.monotonic() - began < CLOSED_SECONDS
        assert pending(client) == 0
        scarce.relieve()

        def answered() -> bool:
            try:
                return client.call("again") == "AGAIN"
            except Blocked:
                return False

        until(answered)
        assert workers[0].alive
        own_lab.wait_for(QUEUE, ready=0, unacked=0)


# 14: rabbitmqctl alone can delete a queue that is exclusive to somebody

def test_when_the_clients_own_callback_queue_is_deleted_calls_end_and_it_gets_a_new_one(own_lab, gate):
    with Workers(Shouter, count=1) as workers, RpcClient(QUEUE, timeout=20) as client:
        call = client.submit(gate.held("slow"))
        workers.wait_for_lines("took 'slow'")
        (callback_queue,) = [row["queue"] for row in own_lab.queues() if row["exclusive"]]
        own_lab.ctl("delete_queue", callback_queue)
        with pytest.raises(ConnectionLost, match="was deleted"):
            call.result(60)
        gate.open()
        assert client.call("hello") == "HELLO"
        assert [row["queue"] for row in own_lab.queues() if row["exclusive"]] != [callback_queue]


# A message that is too large for the broker, which closes the channel that it came by. These tests come last.

@pytest.fixture(scope="module")
def small_messages(own_lab) -> None:
    """Have the broker refuse messages of more than 1,000 bytes on channels that are opened from now on."""
    # RabbitMQ 4 goes by a copy of the setting, which it makes as it starts.
    setting = "max_message_size, 1000"
    own_lab.ctl("eval", f"application:set_env(rabbit, {setting}), persistent_term:put({setting}).")


@pytest.mark.usefixtures("small_messages")
def test_a_reply_that_is_too_large_for_the_broker_becomes_an_error_and_the_server_lives(own_lab, serve, capfd):
    serve(RpcServer(QUEUE, lambda body: body * 200, prefetch=4))
    with RpcClient(QUEUE, timeout=20) as client:
        calls = [client.submit(body) for body in ("a", "a long one", "b")]
        with pytest.raises(RemoteError) as raised:
            calls[1].result(60)
        assert raised.value.type == "ReplyRefused"
        assert "2,000 bytes" in raised.value.message
        assert [calls[0].result(60), calls[2].result(60)] == ["a" * 200, "b" * 200]
        own_lab.wait_for(QUEUE, ready=0, unacked=0, consumers=1)
    assert capfd.readouterr().out.count("is given up: The broker closed the channel (406 PRECONDITION_FAILED") == 1


@pytest.mark.usefixtures("small_messages")
@pytest.mark.parametrize("kind", ["exclusive", "callbacks"])
def test_a_request_that_is_too_large_is_rejected_and_no_other_call_is_touched(own_lab, gate, kind):
    with Workers(Steady, count=1) as workers, RpcClient(QUEUE, timeout=20, reply=kind) as client:
        held, session = client.submit(gate.held("held")), client._session
        workers.wait_for_lines("took 'held'")
        calls = [client.submit(word) for word in ("one", "two", "x" * 1001, "three", "y" * 1002, "four")]
        for call in (calls[2], calls[4]):
            with pytest.raises(RequestRejected, match=r"message size 100[12].*1000"):
                call.result(60)
        with pytest.raises(RequestRejected):
            client.send("z" * 1003, reply_to="callbacks")
        assert [calls[index].result(60) for index in (0, 1, 3, 5)] == ["ONE", "TWO", "THREE", "FOUR"]
        gate.open()
        assert held.result(60) == "HELD"
        assert client._session is session
        assert (client.stats.answered, pending(client)) == (5, 0)


@pytest.mark.usefixtures("small_messages")
def test_with_direct_reply_to_the_other_calls_end_at_once_because_their_replies_cannot_come_any_more(own_lab, gate):
    with Workers(Steady, count=1) as workers, RpcClient(QUEUE, timeout=20, reply="direct") as client:
        held = client.submit(gate.held("held"))
        workers.wait_for_lines("took 'held'")
        with pytest.raises(RequestRejected, match="message size 1001"):
            client.call("x" * 1001)
        with pytest.raises(ConnectionLost, match="closed the channel"):
            held.result(60)
        gate.open()
        assert client.call("again") == "AGAIN"
