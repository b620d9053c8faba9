from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import wait

import pytest
from shouting import QUEUE, Shouter, pending
from waiting import until

from rpclab import Blocked, ConnectionLost, Lab, LabError, RpcClient, Workers

IN_FLIGHT = 200
ANSWERED = 50
DURABLE = 50
LATER = "later"
BLOCKED_SECONDS = 2
CLOSED_SECONDS = 5
ENOUGH = "0.4"
TOO_LITTLE = "0.00001"


@pytest.fixture(scope="module")
def own_lab(worker_id) -> Iterator[Lab]:
    """A lab with a node of its own, because what is done here disturbs all who use it."""
    with Lab(f"{worker_id}-trouble", own_node=True) as lab:
        yield lab


@pytest.fixture(autouse=True)
def empty(own_lab) -> None:
    """Delete what an earlier test left."""
    for queue in own_lab.queues().column("queue"):
        own_lab.delete(queue)


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
        done, hanging = wait(calls, timeout=5)
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


# 19

@pytest.fixture
def scarce(own_lab):
    """Let the broker believe that its memory is used up, until `relieve` is called."""

    class Memory:
        def run_short(self) -> None:
            own_lab.ctl("set_vm_memory_high_watermark", TOO_LITTLE)

        def relieve(self) -> None:
            own_lab.ctl("set_vm_memory_high_watermark", ENOUGH)

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


def test_calls_are_told_that_the_broker_is_short_of_memory_and_work_again_afterwards(own_lab, scarce):
    with Workers(Shouter, count=1) as workers, RpcClient(QUEUE, timeout=20) as client:
        assert client.call("hello") == "HELLO"
        scarce.run_short()
        assert seconds_until_blocked(client) < BLOCKED_SECONDS
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
            call.result(5)
        gate.open()
        assert client.call("hello") == "HELLO"
        assert [row["queue"] for row in own_lab.queues() if row["exclusive"]] != [callback_queue]
