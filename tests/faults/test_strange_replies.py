from __future__ import annotations

import pytest
from shouting import QUEUE, Shouter, note, pending, reply
from waiting import until

from rpclab import BaseServer, ClientClosed, ConnectionLost, RpcClient, Workers

REPLY_KINDS = ("exclusive", "direct", "callbacks")


class Confused(BaseServer):
    """Answers wrongly twice, then rightly, then once more."""

    def __init__(self):
        super().__init__(QUEUE)

    def on_request(self, ch, method, properties, body) -> None:
        note(method, body)
        reply(ch, properties, "without an id", correlation_id=None)
        reply(ch, properties, "with another's id", correlation_id="no-call-of-yours")
        reply(ch, properties, body.decode().upper())
        reply(ch, properties, "something else")
        ch.basic_ack(method.delivery_tag)


# 4, 5

@pytest.fixture(scope="module")
def confused_workers(shared_lab):
    with Workers(Confused, count=1) as workers:
        yield workers


@pytest.mark.usefixtures("confused_workers")
@pytest.mark.parametrize("kind", REPLY_KINDS)
def test_a_reply_with_an_unknown_id_or_none_is_dropped_and_the_call_goes_on(kind):
    with RpcClient(QUEUE, reply=kind) as client:
        assert client.call("hello") == "HELLO"
        assert client.stats.unknown == 2
        assert client.call("again") == "AGAIN"
        assert (client.stats.unknown, client.stats.answered) == (4, 2)


@pytest.mark.usefixtures("confused_workers")
@pytest.mark.parametrize("kind", REPLY_KINDS)
def test_of_two_replies_to_one_request_the_first_wins_and_the_second_is_counted(kind):
    with RpcClient(QUEUE, reply=kind) as client:
        futures = [client.submit(f"word {number}") for number in range(20)]
        assert [future.result(60) for future in futures] == [f"WORD {number}" for number in range(20)]
        until(lambda: client.stats.duplicate == 20)
        assert (client.stats.answered, client.stats.late, pending(client)) == (20, 0, 0)


# 12

@pytest.mark.parametrize("kind", ["exclusive", "direct"])
def test_a_worker_whose_client_is_gone_acknowledges_says_so_and_goes_on(lab, gate, kind):
    with Workers(Shouter, count=1) as workers:
        with RpcClient(QUEUE, reply=kind) as leaving:
            call = leaving.submit(gate.held("slow"))
            workers.wait_for_lines("took 'slow'")
        assert isinstance(call.exception(60), ClientClosed)
        gate.open()
        if kind == "exclusive":  # of direct reply-to the broker does not tell a server whether anybody listens
            workers.wait_for_lines(f"request {call.correlation_id}: its callback queue was deleted")
        with RpcClient(QUEUE, reply=kind) as client:
            assert client.call("hello") == "HELLO"
        lab.wait_for(QUEUE, ready=0, unacked=0)
        assert len(workers.wait_for_lines("took")) == 2


@pytest.mark.usefixtures("lab")
@pytest.mark.parametrize("kind", REPLY_KINDS)
def test_of_a_client_that_is_there_nobody_says_that_it_is_gone(kind):
    with Workers(Shouter, count=1) as workers, RpcClient(QUEUE, reply=kind) as client:
        for word in ("hello", "hello again"):
            assert client.call(word) == word.upper()
        workers.stop()
        assert "callback queue was deleted" not in workers.log


# 14

def test_when_the_callback_queue_is_deleted_calls_end_and_the_client_declares_a_new_one(lab, gate):
    with Workers(Shouter, count=1) as workers, RpcClient(QUEUE, reply="callbacks", timeout=20) as client:
        calls = [client.submit(gate.held(f"slow {number}")) for number in range(5)]
        workers.wait_for_lines("took 'slow 0'")
        lab.delete("callbacks")
        for call in calls:
            with pytest.raises(ConnectionLost, match=r"'callbacks' was deleted"):
                call.result(60)
        gate.open()
        assert client.call("hello") == "HELLO"
        lab.wait_for("callbacks", consumers=1)


def test_when_the_callback_queue_has_expired_meanwhile_the_client_declares_a_new_one(lab, stranger):
    expires = {"pattern": "^callbacks$", "definition": {"expires": 500}, "apply-to": "queues"}
    lab._api.put("policies", lab.vhost, "short-lived", json=expires)
    stranger.channel.queue_declare(QUEUE, durable=True)
    with RpcClient(QUEUE, reply="callbacks", timeout=20) as client:
        call = client.submit("hello")
        lab.tap.cut("RpcClient")
        with pytest.raises(ConnectionLost):
            call.result(60)
        # Not lab.queues(): its passive declare counts as a use of the queue, and would keep it forever.
        until(lambda: lab._api.get("queues", lab.vhost, "callbacks") is None)
        with Workers(Shouter, count=1):
            assert client.call("hello") == "HELLO"
            lab.wait_for("callbacks", consumers=1)
