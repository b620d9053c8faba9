"""What an `RpcClient` does as long as all goes well."""

from __future__ import annotations

import asyncio
import itertools
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from waiting import awaited, until

from rpclab import AddClient, AdditionServer, ClientClosed, RpcClient, RpcServer


@pytest.fixture
def client(shout):
    with RpcClient("shout") as client:
        yield client


def test_a_call_returns_the_answer(client):
    assert client.call("hello") == "HELLO"
    assert (client.stats.sent, client.stats.answered) == (1, 1)


def test_a_client_of_a_service_takes_arguments_and_returns_values(lab, serve):
    serve(AdditionServer())
    with AddClient() as add:
        assert add.call(3, 5) == 8
        assert add.add(-3, 2) == -1
        assert repr(add) == "AddClient(queue 'addition')"


def test_text_beyond_ascii_and_empty_text_arrive_whole(client):
    assert client.call("grüße ☃") == "GRÜSSE ☃"
    assert client.call("") == ""
    assert client.call("x" * 300_000) == "X" * 300_000


def test_a_future_tells_who_answered_and_how_long_it_took(client):
    future = client.submit("hello")
    assert future.result(60) == "HELLO"
    assert future.worker == "MainProcess"
    assert 0 < future.seconds < 10
    assert len(future.correlation_id) == 36
    assert future.body == "hello"


def test_many_requests_in_flight_get_the_answers_that_belong_to_them(client):
    words = [f"word {number}" for number in range(1000)]
    futures = [client.submit(word) for word in words]
    assert [future.result(60) for future in futures] == [word.upper() for word in words]
    assert len({future.correlation_id for future in futures}) == 1000
    assert client.stats.answered == 1000


def test_answers_that_come_in_another_order_find_their_requests(lab, serve, gate):
    def answer(body: str) -> str:
        if body == "slow":
            gate.wait()
        return body

    serve(RpcServer("mixed", answer, prefetch=2))
    with RpcClient("mixed") as client:
        slow, quick = client.submit("slow"), client.submit("quick")
        assert quick.result(60) == "quick"
        assert not slow.done()
        gate.set()
        assert slow.result(60) == "slow"


def test_many_threads_may_share_a_client(client):
    words = [f"word {number}" for number in range(400)]
    with ThreadPoolExecutor(16) as threads:
        assert list(threads.map(client.call, words)) == [word.upper() for word in words]


def test_answers_can_be_awaited(client):
    async def several():
        return await asyncio.gather(*(client.ask(f"word {number}") for number in range(50)))

    assert awaited(several()) == [f"WORD {number}" for number in range(50)]


def test_a_done_callback_is_called(client):
    told = threading.Event()
    client.submit("hello").add_done_callback(lambda future: told.set())
    assert told.wait(10)


def test_a_request_that_was_cancelled_stays_so_when_its_answer_comes(lab, serve, gate):
    serve(RpcServer("slow", lambda body: gate.wait() and body))
    with RpcClient("slow") as client:
        future = client.submit("first")
        assert future.cancel()
        gate.set()
        assert client.call("second") == "second"
        assert future.cancelled()


def test_each_request_has_an_expiration_so_that_no_worker_does_it_in_vain(lab, client):
    client.call("hello", timeout=5)
    published = until(lambda: [e for e in list(lab.tap.events) if e.name == "Basic.Publish" and e.body == b"hello"])
    assert published[0].properties.expiration == "5000"
    assert published[0].method.mandatory


def test_requests_sent_for_somebody_else_are_answered_to_the_named_queue(lab, shout):
    channel = lab.connect().channel()
    channel.queue_declare("shout_callback", durable=True)
    with RpcClient("shout") as client:
        identifier = client.send("hello", reply_to="shout_callback")
        lab.wait_for("shout_callback", ready=1)
        _, properties, body = channel.basic_get("shout_callback", auto_ack=True)
    assert (body, properties.correlation_id) == (b"HELLO", identifier)


def test_with_direct_reply_to_there_is_no_callback_queue(lab, shout):
    with RpcClient("shout", reply="direct") as client:
        assert client.call("hello") == "HELLO"
        assert lab.queues().column("name") == ["shout"]


def test_with_a_queue_of_ones_own_it_goes_with_the_client(lab, shout):
    with RpcClient("shout") as client:
        assert client.call("hello") == "HELLO"
        assert lab.queues().column("name") == ["callback queue of RpcClient", "shout"]
    until(lambda: lab.queues().column("name") == ["shout"])


def test_a_named_callback_queue_stays_and_what_it_held_was_acknowledged(lab, shout):
    with RpcClient("shout", reply="shout_callback") as client:
        assert client.call("hello") == "HELLO"
    row = lab.wait_for("shout_callback", ready=0, unacked=0, consumers=0)["shout_callback"]
    assert row["durable"]


REPLIES = ("exclusive", "direct", "shout_callback")


@pytest.mark.parametrize("reply", REPLIES)
def test_a_client_is_closed_without_a_trace(lab, shout, reply):
    with RpcClient("shout") as first:
        first.call("have the server start its thread")
    before = set(threading.enumerate())
    with RpcClient("shout", reply=reply) as client:
        client.call("hello")
    client.close()
    assert set(threading.enumerate()) <= before
    with pytest.raises(ClientClosed, match="RpcClient"):
        client.call("hello")


def test_a_connection_shows_the_name_of_the_clients_class(lab, serve):
    serve(AdditionServer())
    with AddClient() as add:
        add.call(1, 1)
    assert "AddClient" in {event.link.name for event in list(lab.tap.events)}


def test_given_parameters_are_left_as_they_were(lab, shout):
    parameters = lab.parameters
    before = dict(parameters.client_properties), parameters.heartbeat
    with RpcClient("shout", parameters=parameters) as client:
        client.call("hello")
    assert (parameters.client_properties, parameters.heartbeat) == before


def test_two_clients_do_not_get_each_others_answers(shout):
    with RpcClient("shout") as one, RpcClient("shout") as two:
        pairs = [(one.submit(f"one {n}"), two.submit(f"two {n}")) for n in range(100)]
        for n, pair in enumerate(pairs):
            assert [future.result(60) for future in pair] == [f"ONE {n}", f"TWO {n}"]
        strays = itertools.chain(*((c.stats.unknown, c.stats.late, c.stats.duplicate) for c in (one, two)))
        assert sum(strays) == 0


def test_a_call_that_is_cancelled_before_its_turn_is_not_sent(lab, shout, client):
    sent = client.stats.sent
    waiting = threading.Event()
    client._session._loop.add_callback_threadsafe(waiting.wait)
    call = client.submit("never mind")
    call.cancel()
    waiting.set()
    assert client.call("hello") == "HELLO"
    assert client.stats.sent == sent + 1
