from __future__ import annotations

import time

import pytest
from shouting import QUEUE, NaiveShouter, Shouter, ThreadedShouter, WatchfulShouter, pending
from waiting import until

from rpclab import ConnectionLost, RpcClient, RpcServer, Workers

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
                    call.result(5)
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
        assert call.result(10) == "HELLO"
        assert client.call("again") == "AGAIN"
        assert workers.wait_for_lines("took 'hello'", 2)[1] == "took 'hello', redelivered=True"
        assert workers.pids == pids
        assert client.stats.duplicate == 0
        lab.wait_for(QUEUE, ready=0, unacked=0)


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
        assert kept.result(30) == "DONE"
        assert len(threaded.wait_for_lines("took")) == len(threaded.wait_for_lines("started on queue")) == 1
        naive.wait_for_lines("connection lost", 2, timeout=30)
        lab.wait_for("naive", ready=1, unacked=0)
        taken = [f"took '{WORK_SECONDS}', redelivered={redelivered}" for redelivered in (False, True)]
        assert sorted(naive.wait_for_lines("took")) == taken
        assert not lost.done()
        lab.wait_for("threaded", ready=0, unacked=0)
        assert keeping.call("0") == "DONE"
        assert keeping.stats.duplicate == 0

        # 15: neither a client nor a server waits for ever for somebody who has vanished without a word.
        assert isinstance(unanswered.exception(30), ConnectionLost)
        assert ends[0] - began < NOTICED_SECONDS
        frozen_worker.wait_for_lines("connecting again", timeout=30)
        assert time.monotonic() - began < NOTICED_SECONDS + 1
        gate.open()
        assert frozen_client.call("hello") == "HELLO"
        until(held.done)
        assert pending(frozen_client) == 0


# 14, seen from the server

def test_a_server_whose_queue_is_deleted_declares_it_again_and_serves(lab):
    with Workers(Shouter, count=1) as workers, RpcClient(QUEUE) as client:
        lab.delete(QUEUE)
        workers.wait_for_lines("was deleted: declaring it again")
        lab.wait_for(QUEUE, consumers=1)
        assert client.call("hello") == "HELLO"
