from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest
from shouting import QUEUE, AutoAckShouter, Shouter, in_hand_of_another_worker
from waiting import ended, until

from rpclab import Lab, RemoteError, RpcClient, RpcServer, RpcTimeout, Workers

POISON = "poison"
MOST = 3


def kill_who_took(workers: Workers, word: str) -> None:
    """End the process that works on a request; there must be one."""
    workers.wait_for_lines(f"took {word!r}")
    (index,) = [i for i, worker in enumerate(workers) if worker.alive and any(word in line for line in worker.log)]
    workers.kill(index)


# 6

def test_the_request_of_a_killed_worker_goes_to_another_one_and_is_answered_once(lab, gate):
    with Workers(Shouter, count=2) as workers, RpcClient(QUEUE, timeout=20) as client:
        call = client.submit(gate.held("hello"))
        kill_who_took(workers, "hello")
        taken = workers.wait_for_lines("took 'hello'", 2)
        assert sorted(taken) == ["took 'hello', redelivered=False", "took 'hello', redelivered=True"]
        gate.open()
        assert call.result(60) == "HELLO"
        assert call.worker in [worker.name for worker in workers if worker.alive]
        lab.wait_for(QUEUE, ready=0, unacked=0)
        assert client.call("again") == "AGAIN"
        assert (client.stats.answered, client.stats.duplicate) == (2, 0)


# 8

def test_side_by_side_an_acknowledging_server_saves_what_an_auto_ack_one_loses(lab, gate):
    with (
        Workers(Shouter, "kept", count=2) as kept, Workers(AutoAckShouter, "lost", count=2) as lost,
        RpcClient("kept", timeout=20) as keeping, RpcClient("lost", timeout=2) as losing,
    ):
        calls = [keeping.submit(gate.held("hello")), losing.submit(gate.held("hello"))]
        for workers in (kept, lost):
            kill_who_took(workers, "hello")
        kept.wait_for_lines("redelivered=True")
        gate.open()
        assert calls[0].result(60) == "HELLO"
        with pytest.raises(RpcTimeout):
            calls[1].result(60)
        assert losing.call("again") == "AGAIN"
        assert len(lost.wait_for_lines("took 'hello'")) == 1
        lab.wait_for("lost", ready=0, unacked=0)


# 7

def ledger(path, **options) -> type[RpcServer]:
    """Return a service whose work leaves a line in a file each time it is done."""

    class Ledger(RpcServer):
        def __init__(self):
            super().__init__("ledger", **options)

        def handle(self, body: str) -> str:
            with open(path, "a") as file:
                file.write(f"{body}\n")
            return f"booked {body}"

    return Ledger


def book_and_kill_before_the_ack(lab: Lab, service: type[RpcServer], client: RpcClient) -> Workers:
    """Have a request answered by a worker that dies before it acknowledges it, and another worker started."""
    with Workers(service, count=1) as workers:
        # The broker's own, which confirms the reply: without it, the worker does not acknowledge the request.
        lab.tap.drop_next("Basic.Ack", "Ledger-0")
        assert client.call("10 euros") == "booked 10 euros"
        lab.wait_for("ledger", ready=0, unacked=1)
        workers.kill(0)
        lab.wait_for("ledger", ready=1, unacked=0)
        workers.scale(1)
        until(lambda: client.stats.duplicate == 1)
        lab.wait_for("ledger", ready=0, unacked=0)
        assert client.call("5 euros") == "booked 5 euros"
        assert client.stats.answered == 2
        return workers


def test_a_worker_killed_between_reply_and_ack_has_its_work_done_twice(lab, tmp_path):
    with RpcClient("ledger", timeout=20) as client:
        book_and_kill_before_the_ack(lab, ledger(tmp_path / "book"), client)
    assert (tmp_path / "book").read_text().splitlines() == ["10 euros", "10 euros", "5 euros"]


def test_with_idempotency_the_request_is_answered_again_and_its_work_done_once(lab, tmp_path):
    with RpcClient("ledger", timeout=20) as client:
        workers = book_and_kill_before_the_ack(lab, ledger(tmp_path / "book", remember=60), client)
    assert (tmp_path / "book").read_text().splitlines() == ["10 euros", "5 euros"]
    assert "was answered before" in workers.log


def test_a_limit_on_deliveries_does_not_have_remembered_work_done_again(lab, tmp_path):
    with RpcClient("ledger", timeout=20) as client:
        service = ledger(tmp_path / "book", remember=60, max_deliveries=3)
        workers = book_and_kill_before_the_ack(lab, service, client)
    assert (tmp_path / "book").read_text().splitlines() == ["10 euros", "5 euros"]
    assert "was answered before" in workers.log


# 11

def mortal(queue_type: str) -> type[RpcServer]:
    class Mortal(RpcServer):
        def __init__(self):
            super().__init__(QUEUE, max_deliveries=MOST, queue_type=queue_type)

        def handle(self, body: str) -> str:
            if body == POISON:
                os.kill(os.getpid(), signal.SIGKILL)
            return body.upper()

    return Mortal


@pytest.mark.parametrize("queue_type", ["classic", "quorum"])
def test_a_request_that_kills_its_workers_is_put_aside_after_so_many(lab, queue_type):
    with Workers(mortal(queue_type), count=MOST + 1) as workers, RpcClient(QUEUE, timeout=30) as client:
        poisoned = client.submit(POISON)
        lab.wait_for(f"{QUEUE}.dead", ready=1)
        lab.wait_for(QUEUE, ready=0, unacked=0)
        assert client.call("hello") == "HELLO"
        until(lambda: sorted(worker.state for worker in workers) == ["dead"] * MOST + ["running"])
        if queue_type == "classic":
            with pytest.raises(RemoteError, match=rf"RequestFailed: the request ended {MOST} workers"):
                poisoned.result(60)
    with lab.connect() as connection:
        _, properties, body = connection.channel().basic_get(f"{QUEUE}.dead")
        assert (body, properties.correlation_id) == (POISON.encode(), poisoned.correlation_id)


def test_a_poison_request_is_acknowledged_when_the_broker_has_its_dead_letter_and_the_error(lab, serve, stranger):
    stranger.channel.queue_declare(QUEUE, durable=True)
    stranger.send(QUEUE, POISON)
    in_hand_of_another_worker(lab, QUEUE)
    serve(RpcServer(QUEUE, str.upper, max_deliveries=1))
    assert stranger.next_reply()[0].type == "error"
    lab.wait_for(QUEUE, ready=0, unacked=0)
    events = [e for e in list(lab.tap.events) if e.link.name == "notebook"]
    said = [(e.name, e.from_client) for e in events if e.name in ("Basic.Deliver", "Basic.Publish", "Basic.Ack")]
    confirmed = [("Basic.Publish", True), ("Basic.Ack", False)]
    assert said == [("Basic.Deliver", False), *confirmed, *confirmed, ("Basic.Ack", True)]


def refuse(body: str) -> str:
    raise ValueError(body)


def test_a_dead_letter_queue_that_was_deleted_is_declared_again_for_the_next_dead_letter(lab, serve, stranger):
    serve(RpcServer(QUEUE, refuse, on_error="dead-letter", max_deliveries=1))
    lab.wait_for(QUEUE, consumers=1)
    lab.delete(f"{QUEUE}.dead")
    stranger.send(QUEUE, POISON)
    assert stranger.next_reply()[0].type == "error"
    lab.wait_for(f"{QUEUE}.dead", ready=1)
    lab.wait_for(QUEUE, ready=0, unacked=0, consumers=1)


# 26

KERNEL = """
import time
import rpclab

class Busy(rpclab.RpcServer):
    def __init__(self):
        super().__init__("busy")
    def handle(self, body):
        print("took", flush=True)
        time.sleep(3600)

lab = rpclab.Lab(NAME)
idle = rpclab.Workers(rpclab.FibonacciServer, count=2)
busy = rpclab.Workers(Busy, count=1)
client = rpclab.RpcClient("busy")
client.submit("work")
busy.wait_for_lines("took")
print(*idle.pids, *busy.pids, flush=True)
time.sleep(3600)
"""


def test_no_worker_outlives_a_kernel_that_is_killed(worker_id):
    name = f"killed-kernel-{worker_id}"
    script = KERNEL.replace("NAME", repr(name))
    with Lab(name), subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as kernel:
        pids = [int(pid) for pid in kernel.stdout.readline().split()]
        assert len(pids) == 3
        assert not any(map(ended, pids))
        kernel.kill()
        until(lambda: all(map(ended, pids)))
    with Lab(f"{name}-2"):
        pass
