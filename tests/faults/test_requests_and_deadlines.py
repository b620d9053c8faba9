from __future__ import annotations

import signal
import threading
import time

import pytest
from shouting import QUEUE, Shouter, pending
from waiting import until

from rpclab import RpcClient, RpcTimeout, UnroutableError, Workers
from rpclab.bench.measure import seconds

TRIES = 8
REPLY_KINDS = ("exclusive", "direct", "callbacks")


# 1

def test_a_missing_request_queue_is_told_at_once_and_not_at_the_deadline(lab):
    def ask():
        with pytest.raises(UnroutableError, match=r"no queue 'nobody'.*lab\.queues\(\)"):
            client.call("hello", timeout=10)

    with RpcClient("nobody") as client:
        assert min(seconds(ask) for _ in range(TRIES)) < 0.1
        assert (client.stats.sent, client.stats.returned, client.stats.timed_out) == (TRIES, TRIES, 0)
        assert pending(client) == 0


def test_the_same_client_is_answered_once_the_request_queue_is_there(lab):
    with RpcClient(QUEUE) as client:
        with pytest.raises(UnroutableError):
            client.call("hello")
        with Workers(Shouter, count=1):
            assert client.call("hello") == "HELLO"


# 2

def test_without_a_worker_a_call_ends_at_its_deadline(lab, stranger):
    def ask():
        with pytest.raises(RpcTimeout, match=r"No reply within 0\.2 s"):
            client.call("hello", timeout=0.2)

    stranger.channel.queue_declare(QUEUE, durable=True)
    with RpcClient(QUEUE) as client:
        took = [seconds(ask) for _ in range(TRIES)]
        assert min(took) >= 0.19
        assert min(abs(each - 0.2) for each in took) < 0.05
        assert client.stats.timed_out == TRIES
        assert pending(client) == 0


def test_a_request_that_nobody_waits_for_any_more_never_reaches_a_worker(lab, stranger):
    stranger.channel.queue_declare(QUEUE, durable=True)
    with RpcClient(QUEUE) as client:
        stale = [client.submit(f"stale {number}", timeout=0.3) for number in range(5)]
        lab.wait_for(QUEUE, ready=0)
        assert all(isinstance(future.exception(60), RpcTimeout) for future in stale)
        with Workers(Shouter, count=1) as workers:
            assert client.call("fresh") == "FRESH"
            assert workers.wait_for_lines("took") == ["took 'fresh', redelivered=False"]


# 3

def test_a_reply_after_the_deadline_is_counted_late_and_never_answers_a_later_call(lab, gate):
    with Workers(Shouter, count=1) as workers:
        for number, kind in enumerate(REPLY_KINDS):
            gate.path.unlink(missing_ok=True)
            with RpcClient(QUEUE, reply=kind) as client:
                slow = client.submit(gate.held("slow"), timeout=2)
                workers.wait_for_lines("took 'slow'", number + 1)
                assert isinstance(slow.exception(60), RpcTimeout)
                later = client.submit("quick")
                assert client.stats.late == 0
                gate.open()
                assert later.result(60) == "QUICK"
                assert client.call("again") == "AGAIN"
                assert (client.stats.late, client.stats.answered, client.stats.timed_out) == (1, 2, 1)
                assert pending(client) == 0


# 23

def test_an_interrupt_ends_a_call_at_once_and_the_client_stays_usable(lab, gate):
    pressed = []

    def press_ctrl_c(number):
        workers.wait_for_lines("took 'slow'", number)
        pressed.append(time.monotonic())
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    delays = []
    with Workers(Shouter, count=1) as workers, RpcClient(QUEUE, timeout=20) as client:
        for number in (1, 2, 3):
            gate.path.unlink(missing_ok=True)
            presser = threading.Thread(target=press_ctrl_c, args=(number,))
            presser.start()
            with pytest.raises(KeyboardInterrupt):
                client.call(gate.held("slow"))
            delays.append(time.monotonic() - pressed[-1])
            presser.join()
            gate.open()
            assert client.call("quick") == "QUICK"
        assert min(delays) < 0.1
        until(lambda: pending(client) == 0)


# A timeout says what is known

def test_a_timeout_says_that_the_request_waits_without_a_consumer(lab, stranger):
    stranger.channel.queue_declare(QUEUE, durable=True)
    with RpcClient(QUEUE) as client:
        calls = [client.submit("hello", timeout=0.3) for _ in range(2)]
        for call in calls:
            assert str(call.exception(60)) == (
                "No reply within 0.3 s. The broker took the request. Queue 'shout' has 2 ready messages and no "
                "consumer: start its server."
            )
        declared = [event for event in list(lab.tap.events) if event.name == "Queue.Declare" and event.method.passive]
        assert len(declared) == 1


def test_a_timeout_says_that_a_server_has_probably_taken_the_request(lab, gate):
    with Workers(Shouter, count=1) as workers, RpcClient(QUEUE) as client:
        call = client.submit(gate.held("slow"), timeout=2)
        workers.wait_for_lines("took 'slow'")
        waiting = client.submit("next", timeout=2)
        assert "The broker took the request. Queue 'shout' has 1 ready message and 1 consumer: the request may still " \
            "be waiting for its turn." in str(waiting.exception(60))
        assert "1 ready message" in str(call.exception(60)) or "no ready message" in str(call.exception(60))
        gate.open()
        assert client.call("again") == "AGAIN"
        gate.path.unlink()
        call = client.submit(gate.held("slow"), timeout=2)
        assert str(call.exception(60)) == (
            "No reply within 2 s. The broker took the request. Queue 'shout' has no ready message and 1 consumer: a "
            "server has probably taken the request."
        )
        gate.open()


def test_a_timeout_says_that_the_queue_was_deleted(lab, stranger):
    stranger.channel.queue_declare(QUEUE, durable=True)
    with RpcClient(QUEUE) as client:
        for _ in range(2):  # a refusal closes the channel on which the queue is looked up
            stranger.channel.queue_declare(QUEUE, durable=True)
            call = client.submit("hello", timeout=2)
            lab.wait_for(QUEUE, ready=1)
            lab.delete(QUEUE)
            assert str(call.exception(60)) == (
                "No reply within 2 s. The broker took the request. There is no queue 'shout' any more: it was "
                "deleted, or expired."
            )


def test_a_timeout_says_that_replies_came_which_match_no_request(lab, stranger):
    stranger.channel.queue_declare(QUEUE, durable=True)
    with RpcClient(QUEUE) as client:
        stranger.send(lab.queues()["callback queue of RpcClient"]["queue"], "before the call", correlation_id=None)
        until(lambda: client.stats.unknown == 1)
        call = client.submit("hello", timeout=3)
        lab.wait_for(QUEUE, ready=1)
        _, properties, _ = stranger.channel.basic_get(QUEUE, auto_ack=True)
        stranger.send(properties.reply_to, "HELLO", correlation_id=None)
        stranger.send(properties.reply_to, "HELLO", correlation_id="another")
        assert str(call.exception(60)) == (
            "No reply within 3 s. The broker took the request. Queue 'shout' has no ready message and no consumer: no "
            "server is running now. 1 reply without a correlation id came during the call: a server must copy it from "
            "the request. 1 reply with an unknown correlation id came during the call."
        )


def test_a_timeout_says_that_the_broker_has_not_confirmed_and_how_often_the_request_was_sent(lab, stranger):
    stranger.channel.queue_declare(QUEUE, durable=True)
    with RpcClient(QUEUE, retry=0.2) as client:
        with pytest.raises(RpcTimeout, match=r"The request was sent 2 times\. The broker took the request\."):
            client.call("hello", timeout=0.5)
        lab.tap.freeze("RpcClient")
        with pytest.raises(RpcTimeout, match=r"0\.15 s\. The broker has not confirmed that it took the request\.$"):
            client.call("hello", timeout=0.15)
        lab.tap.thaw("RpcClient")
