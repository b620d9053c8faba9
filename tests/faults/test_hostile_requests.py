"""Requests with properties that no client of this course sends: none ends a server, or keeps it from the next one."""

from __future__ import annotations

import re
import struct

import pika
import pika.data
import pytest
from pika.exceptions import ConnectionClosedByBroker
from shouting import QUEUE
from waiting import until

from rpclab import RpcServer
from rpclab.rpc.reliability.retry_limit import COUNT


def redelivered(lab, stranger, body: str = "hello", **properties) -> None:
    """Leave a request in the queue that another worker has had before."""
    stranger.channel.queue_declare(QUEUE, durable=True)
    stranger.send(QUEUE, body, **properties)
    lab.wait_for(QUEUE, ready=1)
    with lab.connect() as connection:
        connection.channel().basic_get(QUEUE)
    lab.wait_for(QUEUE, ready=1, unacked=0)


def assert_serves(lab, stranger, capfd) -> None:
    """Check that nothing is left, that the next request is answered, and that it took one connection and channel."""
    lab.wait_for(QUEUE, ready=0, unacked=0, consumers=1)
    stranger.send(QUEUE, "next")
    assert stranger.next_reply()[1] == b"NEXT"
    assert capfd.readouterr().out.count("started on queue") == 1


@pytest.mark.parametrize("said", ["many", -5, True, None, ["1"], {"1": 1}], ids=repr)
def test_a_count_of_deliveries_that_is_none_counts_as_no_delivery(lab, serve, stranger, capfd, said):
    redelivered(lab, stranger, headers={COUNT: said})
    serve(RpcServer(QUEUE, str.upper, max_deliveries=3))
    assert stranger.next_reply()[1] == b"HELLO"
    assert_serves(lab, stranger, capfd)


def test_a_count_of_deliveries_beyond_the_limit_dead_letters_the_request(lab, serve, stranger, capfd):
    redelivered(lab, stranger, headers={COUNT: 2**62})
    serve(RpcServer(QUEUE, str.upper, max_deliveries=3))
    assert stranger.next_reply()[0].type == "error"
    lab.wait_for(f"{QUEUE}.dead", ready=1)
    assert_serves(lab, stranger, capfd)


@pytest.mark.parametrize("name", [b"\xff\xfe", "amq.rabbitmq.reply-to.x", "amq.rabbitmq.reply-to.", "a\0b", "x" * 255])
def test_a_reply_to_that_is_no_queue_costs_nothing(lab, serve, stranger, capfd, name):
    serve(RpcServer(QUEUE, str.upper))
    stranger.send(QUEUE, "hello", reply_to=name)
    assert_serves(lab, stranger, capfd)


def ends_a_connection(lab, name: str) -> bool:
    """Return whether the broker fails over a message to such a name; RabbitMQ 4.3 has no queue for it, and goes on."""
    channel = lab.connect("trial").channel()
    channel.confirm_delivery()
    try:
        channel.basic_publish("", name, b"")
    except ConnectionClosedByBroker:
        return True
    return False


def test_a_reply_to_that_ends_the_servers_connection_does_so_once(lab, serve, stranger, capfd):
    name = "amq.rabbitmq.reply-to.g1h==.x"
    ends = ends_a_connection(lab, name)
    serve(RpcServer(QUEUE, str.upper, prefetch=10))
    sent = [stranger.send(QUEUE, "before"), stranger.send(QUEUE, "after")]
    stranger.send(QUEUE, "hello", reply_to=name)
    sent += [stranger.send(QUEUE, "after")]
    # Of a reply that was on its way when the connection ended, nobody knows whether it has arrived: it is sent again.
    answered = set()
    until(lambda: answered.add(stranger.next_reply()[0].correlation_id) or answered == set(sent))
    lab.wait_for(QUEUE, ready=0, unacked=0, consumers=1)
    said = capfd.readouterr().out
    assert said.count(f"its message for queue '{name}' is given up: ") == ends
    assert ends <= said.count("connection lost") <= 2 * ends


def test_an_id_that_is_no_text_comes_back_as_it_was(lab, serve, stranger, capfd):
    serve(RpcServer(QUEUE, str.upper))
    stranger.send(QUEUE, "hello", correlation_id=b"\xff\x00")
    assert stranger.next_reply()[0].correlation_id == b"\xff\x00"
    assert_serves(lab, stranger, capfd)


class Milliseconds(int):
    """A header that counts milliseconds where AMQP counts seconds, as some clients write it."""


def test_a_message_that_pika_cannot_read_ends_no_server_and_is_named(lab, serve, stranger, capfd, monkeypatch):
    encode = pika.data.encode_value

    def encode_all(pieces, value):
        if not isinstance(value, Milliseconds):
            return encode(pieces, value)
        pieces.append(struct.pack(">cQ", b"T", value))
        return 9

    monkeypatch.setattr(pika.data, "encode_value", encode_all)
    serve(RpcServer(QUEUE, str.upper))
    stranger.send(QUEUE, "hello", headers={"when": Milliseconds(1_700_000_000_000)})
    said = []
    until(lambda: said.append(capfd.readouterr().out) or "".join(said).count("started on queue") > 3)
    assert re.search(r"pika cannot read what was sent, ValueError\('year .*55840", "".join(said))
    until(lambda: lab.purge(QUEUE))
    stranger.send(QUEUE, "hello")
    assert stranger.next_reply()[1] == b"HELLO"


KEPT = {
    "priority": 3, "message_id": "m", "timestamp": 1_700_000_000, "type": "t", "app_id": "a", "cluster_id": "c",
    "content_type": "text/plain", "content_encoding": "utf-8", "correlation_id": "1",
}


def test_a_dead_letter_keeps_the_requests_properties_and_is_routed_nowhere_else(lab, serve, stranger, capfd):
    stranger.channel.queue_declare("payments", durable=True)
    user = stranger.channel.connection._impl.params.credentials.username
    redelivered(
        lab, stranger, **KEPT, expiration="60000", delivery_mode=2, user_id=user, headers={"CC": ["payments"], "x": 1},
    )
    lab.wait_for("payments", ready=1)
    lab.purge("payments")
    serve(RpcServer(QUEUE, str.upper, max_deliveries=1))
    assert stranger.next_reply()[0].type == "error"
    lab.wait_for(f"{QUEUE}.dead", ready=1)
    _, properties, body = stranger.channel.basic_get(f"{QUEUE}.dead", auto_ack=True)
    assert body == b"hello"
    assert {name: getattr(properties, name) for name in KEPT} == KEPT
    assert (properties.expiration, properties.user_id, properties.delivery_mode) == (None, user, 2)
    assert properties.headers == {"x": 1, COUNT: 1}
    lab.wait_for("payments", ready=0)
    assert_serves(lab, stranger, capfd)


def test_a_request_of_another_user_can_be_dead_lettered_too(lab, serve, stranger, capfd, worker_id):
    name = f"another-{worker_id}"
    lab._api.put("users", name, json={"password": "secret", "tags": ""})
    lab._api.put("permissions", lab.vhost, name, json={"configure": ".*", "write": ".*", "read": ".*"})
    try:
        parameters = lab.parameters
        parameters.credentials = pika.PlainCredentials(name, "secret")
        redelivered_by = pika.BlockingConnection(parameters)
        channel = redelivered_by.channel()
        channel.queue_declare(QUEUE, durable=True)
        properties = pika.BasicProperties(user_id=name, reply_to=stranger.queue, correlation_id="1")
        channel.basic_publish("", QUEUE, b"hello", properties)
        lab.wait_for(QUEUE, ready=1)
        channel.basic_get(QUEUE)
        redelivered_by.close()
        serve(RpcServer(QUEUE, str.upper, max_deliveries=1))
        assert stranger.next_reply()[0].type == "error"
        lab.wait_for(f"{QUEUE}.dead", ready=1)
        assert_serves(lab, stranger, capfd)
    finally:
        lab._api.delete("users", name)
