"""Replies that are errors, come late, come twice, or belong to nobody."""

from __future__ import annotations

import gc
import json
import weakref

import pika
import pytest
from waiting import until

from rpclab import AddClient, RemoteError, RpcClient, RpcServer, RpcTimeout
from rpclab.rpc.server import BaseServer


class Scripted(BaseServer):
    """A server that answers each request with the replies it was given, word for word."""

    def __init__(self, queue: str, *replies: tuple[bytes, dict]):
        super().__init__(queue)
        self.replies = replies

    def on_request(self, ch, method, properties, body):
        for reply, others in self.replies:
            told = pika.BasicProperties(**{"correlation_id": properties.correlation_id, **others})
            ch.basic_publish("", properties.reply_to, reply, told)
        ch.basic_ack(method.delivery_tag)


def test_what_the_function_raises_is_raised_by_the_call(lab, serve):
    def fail(body: str):
        raise KeyError(body)

    serve(RpcServer("failing", fail))
    with RpcClient("failing") as client:
        with pytest.raises(RemoteError, match="'x'") as raised:
            client.call("x")
        assert raised.value.type == "KeyError"
        assert (client.stats.failed, client.stats.answered) == (1, 0)


def test_the_server_goes_on_after_an_error(lab, serve):
    serve(RpcServer("numbers", int))
    with RpcClient("numbers") as client:
        with pytest.raises(RemoteError, match="invalid literal"):
            client.call("x")
        assert client.call("7") == "7"


@pytest.mark.parametrize("body", [b"", b"no json", b"[]", b'"text"', b"{}", b"\xff", b"null"])
def test_an_error_reply_that_cannot_be_read_is_an_error_all_the_same(lab, serve, body):
    serve(Scripted("odd", (body, {"type": "error"})))
    with RpcClient("odd") as client, pytest.raises(RemoteError, match="UnreadableError"):
        client.call("x")


def test_an_error_reply_is_read(lab, serve):
    serve(Scripted("odd", (json.dumps({"type": "ValueError", "message": "no"}).encode(), {"type": "error"})))
    with RpcClient("odd") as client, pytest.raises(RemoteError, match=r"^ValueError: no$"):
        client.call("x")


@pytest.mark.parametrize("body", [b"eight", b"", b"\xff\xfe"])
def test_a_reply_that_is_no_answer_is_a_remote_error_and_the_client_goes_on(lab, serve, body):
    server = serve(Scripted("addition", (body, {})))
    with AddClient() as add:
        with pytest.raises(RemoteError, match="UnreadableReply"):
            add.call(3, 5)
        server.replies = ((b"8", {}),)
        assert add.call(3, 5) == 8


def test_a_decode_method_that_fails_spoils_its_own_call_only(lab, serve):
    class Careless(RpcClient):
        def decode(self, body: str):
            return {"good": 1}[body]

    server = serve(Scripted("odd", (b"bad", {})))
    with Careless("odd") as client:
        with pytest.raises(RemoteError, match="UnreadableReply"):
            client.call("x")
        server.replies = ((b"good", {}),)
        assert client.call("x") == 1


def test_headers_that_are_not_ours_do_no_harm(lab, serve):
    serve(Scripted("odd", (b"fine", {"headers": {"worker": 7, "x": None}})))
    with RpcClient("odd") as client:
        assert client.call("x") == "fine"


def test_a_second_reply_to_the_same_request_is_dropped_and_counted(lab, serve):
    serve(Scripted("odd", (b"first", {}), (b"second", {})))
    with RpcClient("odd") as client:
        assert client.call("x") == "first"
        until(lambda: client.stats.duplicate == 1)
        assert (client.stats.answered, client.stats.unknown, client.stats.late) == (1, 0, 0)


@pytest.mark.parametrize("identifier", ["00000000-0000-0000-0000-000000000000", None, ""])
def test_a_reply_to_no_request_of_ours_is_dropped_and_counted(lab, serve, identifier):
    serve(Scripted("odd", (b"planted", {"correlation_id": identifier}), (b"true", {})))
    with RpcClient("odd") as client:
        assert client.call("x") == "true"
        assert (client.stats.unknown, client.stats.answered) == (1, 1)


def test_anybody_may_publish_to_a_callback_queue_and_is_not_believed(lab, shout):
    with RpcClient("shout") as client:
        queue = lab.queues()["callback queue of RpcClient"]["queue"]
        forged = pika.BasicProperties(correlation_id="guessed")
        lab.connect().channel().basic_publish("", queue, "forged", forged)
        until(lambda: client.stats.unknown == 1)
        assert client.call("hello") == "HELLO"


def test_a_reply_after_the_deadline_is_dropped_and_counted(lab, serve, gate):
    serve(RpcServer("slow", lambda body: gate.wait() and body))
    with RpcClient("slow") as client:
        future = client.submit("x", timeout=0.2)
        with pytest.raises(RpcTimeout, match=r"0\.2 s"):
            future.result(60)
        gate.set()
        until(lambda: client.stats.late == 1)
        assert (client.stats.timed_out, client.stats.answered, client.stats.unknown) == (1, 0, 0)
        assert client.call("y") == "y"


def test_without_a_worker_a_call_times_out_and_is_forgotten(lab):
    lab.connect().channel().queue_declare("idle", durable=True)
    with RpcClient("idle") as client:
        with pytest.raises(RpcTimeout):
            client.call("x", timeout=0.1)
        future = client.submit("y", timeout=0.1)
        assert isinstance(future.exception(60), RpcTimeout)
        known = weakref.ref(future)
        del future
        until(lambda: gc.collect() is not None and known() is None)
        assert client.stats.timed_out == 2
    lab.wait_for("idle", ready=0)


def test_each_call_has_a_deadline_of_its_own(lab, serve, gate):
    serve(RpcServer("slow", lambda body: gate.wait() and body))
    with RpcClient("slow", timeout=30) as client:
        patient, hasty = client.submit("x"), client.submit("y", timeout=0.1)
        assert isinstance(hasty.exception(60), RpcTimeout)
        assert not patient.done()
        gate.set()
        assert patient.result(60) == "x"
