from __future__ import annotations

import time

import pika
import pytest
from shouting import QUEUE, NaiveShouter, Shouter, ThreadedShouter, WatchfulShouter, pending
from waiting import until

from rpclab import ConnectionLost, RpcClient, RpcServer, Workers
from rpclab.rpc.reliability import outbox

TRIES = 4
HEARTBEAT = 1
# pika's own rule, with the fraction of a second that a busy machine may add.
NOTICED_SECONDS = 2 * (HEARTBEAT + 5) + 0.5
# Longer than two heartbeats by far, so that the broker closes a connection that says nothing for as long.
WORK_SECONDS = 5


# 13

@pytest.mark.parametrize("break_off", ["cut", "hang_up"])
def test_calls_in_flight_end_at_once_with_their_connection_and_the_next_call_opens_a_new_one(lab, stranger, break_off):
    stranger.channel.queue_declare(QUEUE, durable=True)
    delays = []
    with RpcClient(QUEUE, timeout=20) as client:
        for number in range(1, TRIES + 1):
            calls = [client.submit("never answered") for _ in range(10)]
            lab.wait_for(QUEUE, ready=10 * number)
            assert getattr(lab.tap, break_off)("RpcClient") == 1
            began = time.monotonic()
            for call in calls:
                with pytest.raises(ConnectionLost):
                    call.result(60)
            delays.append(time.monotonic() - began)
            assert pending(client) == 0
        assert min(delays) < 0.1
        lab.purge(QUEUE)
        with Workers(Shouter, count=1):
            assert client.call("hello") == "HELLO"
        assert client.stats.answered == 1


def test_a_server_whose_connection_is_cut_connects_again_and_answers_what_it_had_taken(lab, gate):
    with Workers(Shouter, count=1) as workers, RpcClient(QUEUE, timeout=20) as client:
        pids = workers.pids
        call = client.submit(gate.held("hello"))
        workers.wait_for_lines("took 'hello'")
        lab.tap.cut("Shouter-0")
        workers.wait_for_lines("connecting again")
        gate.open()
        assert call.result(60) == "HELLO"
        assert client.call("again") == "AGAIN"
        assert workers.wait_for_lines("took 'hello'", 2)[1] == "took 'hello', redelivered=True"
        assert workers.pids == pids
        assert client.stats.duplicate == 0
        lab.wait_for(QUEUE, ready=0, unacked=0)


class Steady(Shouter):
    """Takes several requests at once, and says which it works on."""

    options = {"prefetch": 4}

    def handle(self, body: str) -> str:
        print(f"works on {body.partition(' until ')[0]}\n", end="")  # at one go: several threads print
        return super().handle(body)


def test_work_that_is_in_hand_when_the_connection_is_lost_is_done_once_and_answered_once(lab, gate, stranger):
    with Workers(Steady, count=1) as workers:
        sent = {stranger.send(QUEUE, gate.held(f"word {number}")) for number in range(3)}
        workers.wait_for_lines("works on", 3)
        for times in (1, 2):
            lab.tap.cut("Steady-0")
            workers.wait_for_lines("came again while this process has it in hand", 3 * times)
        gate.open()
        assert {properties.correlation_id for properties, _ in stranger.wait_for_replies(3)} == sent
        lab.wait_for(QUEUE, ready=0, unacked=0, consumers=1)
        assert len(workers.wait_for_lines("works on")) == 3
        stranger.send(QUEUE, "next")
        assert stranger.next_reply()[1] == b"NEXT"
        assert stranger.replies == []


def test_work_that_is_finished_while_there_is_no_connection_is_answered_by_the_next_one(lab, serve, stranger):
    worked = []

    def work(body: str) -> str:
        worked.append(body)
        until(lambda: server.channel is None)
        return body.upper()

    server = serve(RpcServer(QUEUE, work))
    stranger.send(QUEUE, "hello")
    until(lambda: worked)
    lab.tap.cut("notebook")
    assert stranger.next_reply()[1] == b"HELLO"
    lab.wait_for(QUEUE, ready=0, unacked=0, consumers=1)
    assert worked == ["hello"]
    assert stranger.replies == []


def test_two_requests_that_are_the_same_to_the_byte_stay_two_when_the_connection_is_lost(lab, gate, stranger):
    with Workers(Steady, count=1) as workers:
        for _ in range(2):
            stranger.send(QUEUE, gate.held("hello"), correlation_id=None)
        workers.wait_for_lines("works on", 2)
        lab.tap.cut("Steady-0")
        workers.wait_for_lines("came again while this process has it in hand", 2)
        gate.open()
        assert [body for _, body in stranger.wait_for_replies(2)] == [b"HELLO"] * 2
        lab.wait_for(QUEUE, ready=0, unacked=0, consumers=1)
        assert len(workers.wait_for_lines("works on")) == 2
        assert stranger.replies == []


def test_a_request_that_its_client_sends_again_meanwhile_is_done_once(lab, gate):
    with Workers(Steady, count=1) as workers, RpcClient(QUEUE, timeout=20, retry=0.2) as client:
        call = client.submit(gate.held("hello"))
        workers.wait_for_lines("came again while this process has it in hand")
        gate.open()
        assert call.result(60) == "HELLO"
        lab.wait_for(QUEUE, ready=0, unacked=0)
        assert len(workers.wait_for_lines("works on")) == 1
        assert client.stats.duplicate == 0


def test_a_broker_that_does_not_confirm_a_reply_is_sent_it_again_over_another_connection(
    lab, serve, stranger, monkeypatch
):
    monkeypatch.setattr(outbox, "CONFIRM_SECONDS", 0.2)
    monkeypatch.setattr(outbox, "CHECK_SECONDS", 0.1)
    worked = []
    serve(RpcServer(QUEUE, lambda body: worked.append(body) or body.upper()))
    lab.wait_for(QUEUE, consumers=1)
    lab.tap.drop_next("Basic.Ack", "notebook")
    stranger.send(QUEUE, "hello")
    assert [body for _, body in stranger.wait_for_replies(2)] == [b"HELLO"] * 2
    lab.wait_for(QUEUE, ready=0, unacked=0, consumers=1)
    assert worked == ["hello"]


def test_a_server_that_loses_its_connection_before_it_consumes_is_ready_with_the_next_one(lab):
    class Unlucky(RpcServer):
        def __init__(self):
            super().__init__(QUEUE, str.upper)
            self.connection.close()

    with Workers(Unlucky, count=1) as workers, RpcClient(QUEUE, timeout=20) as client:
        lost, started = workers.log.splitlines()
        assert lost == " [!] connection lost (ConnectionWrongStateError): connecting again"
        assert "started on queue" in started
        assert client.call("hello") == "HELLO"


# 15, 16: in one test, because each of them takes seconds, of waiting

def test_silence_is_noticed_and_long_work_is_not_mistaken_for_it(lab, gate):
    with (
        RpcClient(QUEUE, timeout=60, heartbeat=HEARTBEAT) as frozen_client,
        Workers(WatchfulShouter, count=1) as frozen_worker,
        Workers(NaiveShouter, "naive", count=2) as naive,
        Workers(ThreadedShouter, "threaded", count=1) as threaded,
        RpcClient(QUEUE, timeout=60) as watcher,
        RpcClient("naive", timeout=60) as losing,
        RpcClient("threaded", timeout=60) as keeping,
    ):
        lost, kept = losing.submit(str(WORK_SECONDS)), keeping.submit(str(WORK_SECONDS))
        held = watcher.submit(gate.held("held"))
        frozen_worker.wait_for_lines("took 'held'")
        unanswered = frozen_client.submit("never heard")
        lab.wait_for(QUEUE, ready=1)
        ends = []
        unanswered.add_done_callback(lambda _: ends.append(time.monotonic()))
        lab.tap.freeze("RpcClient")
        lab.tap.freeze("WatchfulShouter-0")
        began = time.monotonic()

        # 16: a server that works in the connection's thread loses the request, again and again; `RpcServer` does not.
        assert kept.result(60) == "DONE"
        assert len(threaded.wait_for_lines("took")) == len(threaded.wait_for_lines("started on queue")) == 1
        naive.wait_for_lines("connection lost", 2, timeout=30)
        lab.wait_for("naive", ready=1, unacked=0)
        taken = [f"took '{WORK_SECONDS}', redelivered={redelivered}" for redelivered in (False, True)]
        assert sorted(naive.wait_for_lines("took")) == taken
        assert not lost.done()
        lab.wait_for("threaded", ready=0, unacked=0)
        assert keeping.call("0") == "DONE"
        assert keeping.stats.duplicate == 0

        # 15: neither a client nor a server waits forever for a peer that vanished silently.
        assert isinstance(unanswered.exception(60), ConnectionLost)
        assert ends[0] - began < NOTICED_SECONDS
        frozen_worker.wait_for_lines("connecting again", timeout=30)
        assert time.monotonic() - began < NOTICED_SECONDS + 1
        gate.open()
        assert frozen_client.call("hello") == "HELLO"
        until(held.done)
        assert pending(frozen_client) == 0


# 14, seen from the server

def consumed_by_another(lab) -> pika.BlockingConnection:
    """Return a connection that has the queue's only consumer, an exclusive one."""
    connection = lab.connect("another")
    connection.channel().basic_consume(QUEUE, lambda *_: None, exclusive=True)
    return connection


def test_a_server_whose_queue_another_consumer_has_to_itself_waits_in_growing_pauses(lab, serve, stranger, capfd):
    stranger.channel.queue_declare(QUEUE, durable=True)
    another = consumed_by_another(lab)
    serve(RpcServer(QUEUE, str.upper))
    said = []
    until(lambda: said.append(capfd.readouterr().out) or "in 0.5 s" in "".join(said))
    another.close()
    stranger.send(QUEUE, "hello")
    assert stranger.next_reply()[1] == b"HELLO"
    (*lines, last) = ("".join(said) + capfd.readouterr().out).splitlines()
    assert "started on queue" in last
    assert all("A consumer has the queue to itself (exclusive=True)" in line for line in lines)
    pauses = [line.rpartition("a new channel")[2] for line in lines]
    assert pauses[:4] == [".", " in 0.1 s.", " in 0.2 s.", " in 0.5 s."]
    assert len(lines) < 7


def test_a_server_whose_queue_is_deleted_declares_it_again_and_serves(lab):
    with Workers(Shouter, count=1) as workers, RpcClient(QUEUE) as client:
        lab.delete(QUEUE)
        workers.wait_for_lines("was deleted: declaring it again")
        lab.wait_for(QUEUE, consumers=1)
        assert client.call("hello") == "HELLO"
