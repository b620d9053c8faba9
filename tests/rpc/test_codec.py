"""Bodies in JSON with a version: what both sides read, and what each of them says to a body that it cannot read."""

from __future__ import annotations

import pika
import pytest
from waiting import until

import rpclab
from rpclab import InvalidOption, Json, RemoteError, RpcClient, RpcServer, UnreadableBody
from rpclab.rpc.server import BaseServer

VALUES = [{"x": 3, "y": [1.5, None, True]}, [], "text", "grün \udc80", 7, None, False, {"": {}}]


class Repeating(BaseServer):
    """A server that replies with a body and properties of the test's choice."""

    body = b"{}"
    properties: dict = {}

    def on_request(self, ch, method, properties, body):
        told = pika.BasicProperties(correlation_id=properties.correlation_id, **self.properties)
        ch.basic_publish("", properties.reply_to, self.body, told)
        ch.basic_ack(method.delivery_tag)


@pytest.fixture
def echo(serve) -> RpcServer:
    return serve(RpcServer("echo", lambda value: value, codec=Json(version=3)))


def test_values_go_there_and_come_back(lab, echo):
    with RpcClient("echo", codec=Json(version=3)) as client:
        assert [client.call(value) for value in VALUES] == VALUES


def test_content_type_and_version_travel_with_request_and_reply(lab, echo):
    with lab.record() as story, RpcClient("echo", codec=Json(version=3)) as client:
        client.call({"x": 3})
    request, reply = story.messages[:2]
    for message in (request, reply):
        assert message.properties.content_type == "application/json"
        assert message.properties.headers["version"] == 3
        assert message.text() == '{"x": 3}'


def test_without_a_codec_bodies_are_text_as_ever(lab, shout):
    with lab.record() as story, RpcClient("shout") as client:
        assert client.call("hello") == "HELLO"
    assert [message.properties.content_type for message in story.messages[:2]] == ["text/plain"] * 2
    assert story.messages[0].properties.headers is None


def test_a_request_sent_again_still_says_its_version(lab, serve, gate):
    serve(RpcServer("slow", lambda value: gate.wait() and value, codec=Json(), prefetch=5))
    with RpcClient("slow", codec=Json(), retry=0.1, timeout=30) as client:
        future = client.submit([1])
        until(lambda: future.times_sent > 1)
        gate.set()
        assert future.result() == [1]


BAD_REQUESTS = {
    "no JSON": (b"{", {"content_type": "application/json", "headers": {"version": 3}}, "no JSON.*must write JSON"),
    "no UTF-8": (b"\xff", {"content_type": "application/json", "headers": {"version": 3}}, "no JSON"),
    "no number": (b"NaN", {"content_type": "application/json", "headers": {"version": 3}}, "NaN is no number"),
    "too deep": (
        b"[" * 100_000, {"content_type": "application/json", "headers": {"version": 3}},
        "no JSON.*(recursion|Stack overflow)",
    ),
    "too many digits": (
        b"9" * 10_000, {"content_type": "application/json", "headers": {"version": 3}}, "no JSON.*digits",
    ),
    "another version": (
        b"{}", {"content_type": "application/json", "headers": {"version": 2}}, "version 2, and only version 3",
    ),
    "a version that is no number": (
        b"{}", {"content_type": "application/json", "headers": {"version": True}}, "version True, and only version 3",
    ),
    "no version": (b"{}", {"content_type": "application/json"}, "version None.*own queue"),
    "another content type": (
        b"{}", {"content_type": "text/plain", "headers": {"version": 3}}, "'text/plain', and only application/json",
    ),
    "no content type": (b"{}", {}, "content type None.*same codec"),
}


@pytest.mark.parametrize("bad", BAD_REQUESTS)
def test_a_bad_request_gets_an_error_reply_and_the_worker_goes_on(lab, echo, bad):
    body, properties, words = BAD_REQUESTS[bad]
    channel = lab.connect("by hand").channel()
    queue = channel.queue_declare("", exclusive=True).method.queue
    channel.basic_publish("", "echo", body, pika.BasicProperties(reply_to=queue, correlation_id="1", **properties))
    with RpcClient("echo", codec=Json(version=3)) as client:
        assert client.call("after it") == "after it"
        _, *reply = channel.basic_get(queue, auto_ack=True)
        assert reply[0].type == "error"
        with pytest.raises(RemoteError, match=f"(?s)UnreadableBody.*{words}") as raised:
            client._read(*reply)
    assert raised.value.type == "UnreadableBody"


BAD_REPLIES = {
    "no JSON": (b"8,", "application/json", 1, "no JSON"),
    "another version": (b"8", "application/json", 2, "version 2, and only version 1"),
    "another content type": (b"8", "text/plain", 1, "content type 'text/plain'.*same codec"),
}


@pytest.mark.parametrize("bad", BAD_REPLIES)
def test_a_bad_reply_is_a_named_error_and_the_client_goes_on(lab, serve, bad):
    server = serve(Repeating("odd"))
    server.body, content_type, version, words = BAD_REPLIES[bad]
    server.properties = {"content_type": content_type, "headers": {"version": version}}
    with RpcClient("odd", codec=Json()) as client:
        with pytest.raises(UnreadableBody, match=words):
            client.call("x")
        server.body, server.properties = b"8", {"content_type": "application/json", "headers": {"version": 1}}
        assert client.call("x") == 8
        assert (client.stats.failed, client.stats.answered) == (1, 1)


def test_a_text_client_of_a_json_server_is_told(lab, echo):
    with RpcClient("echo") as client, pytest.raises(RemoteError, match=r"UnreadableBody.*'text/plain'"):
        client.call("3,5")


def test_a_json_client_of_a_text_server_is_told(lab, shout):
    with RpcClient("shout", codec=Json()) as client, pytest.raises(UnreadableBody, match="'text/plain'"):
        client.call("hello")


def test_what_the_function_raises_is_told_as_ever(lab, serve):
    serve(RpcServer("failing", lambda value: value["x"], codec=Json()))
    with RpcClient("failing", codec=Json()) as client, pytest.raises(RemoteError, match="KeyError: 'x'"):
        client.call({})


def test_an_answer_that_is_no_json_is_an_error_reply(lab, serve):
    serve(RpcServer("odd", lambda value: object(), codec=Json()))
    with RpcClient("odd", codec=Json()) as client, pytest.raises(RemoteError, match="cannot be written as JSON"):
        client.call("x")


@pytest.mark.parametrize("value", [object(), {1, 2}, b"bytes", float("nan"), {(1, 2): 3}])
def test_what_json_cannot_say_is_refused_before_anything_is_sent(lab, echo, value):
    with RpcClient("echo", codec=Json(version=3)) as client:
        with pytest.raises(InvalidOption, match=r"cannot be written as JSON .* use dict, list"):
            client.call(value)
        assert client.stats.sent == 0


def test_a_client_of_a_service_encodes_for_the_codec(lab, serve):
    class Adder(RpcClient):
        def __init__(self):
            super().__init__("sums", codec=Json())

        def encode(self, x, y):
            return {"x": x, "y": y}

        def decode(self, value):
            return value["sum"]

    serve(RpcServer("sums", lambda value: {"sum": value["x"] + value["y"]}, codec=Json()))
    with Adder() as client:
        assert client.call(3, 5) == 8


@pytest.mark.parametrize("codec", [Json, "json", {"version": 1}, 1])
def test_what_is_no_codec_is_refused_at_once(lab, codec):
    for make in (lambda: RpcClient("echo", codec=codec), lambda: RpcServer("echo", str, codec=codec)):
        with pytest.raises(InvalidOption, match=r"it is a codec, such as rpclab\.Json\(version=1\)"):
            make()


@pytest.mark.parametrize("version", [True, "1", 1.0, None, -1, 2**31])
def test_a_version_is_a_whole_number(version):
    with pytest.raises(InvalidOption, match="version="):
        rpclab.Json(version=version)
