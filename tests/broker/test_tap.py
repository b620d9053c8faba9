from __future__ import annotations

import os
import random
import socket
import time

import pika
import pytest
from pika.exceptions import AMQPError
from waiting import until

from rpclab import BrokerUnavailable
from rpclab.broker.address import Broker
from rpclab.broker.connect import connect
from rpclab.wire.tap import Tap


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


@pytest.mark.parametrize("size", [0, 1, 4096, 4097, 1024 * 1024])
def test_a_body_passes_unchanged_both_ways(lab, size):
    body = random.Random(size).randbytes(size)
    with lab.connect("tapped") as tapped, connect(lab.direct_parameters) as direct:
        inside, outside = tapped.channel(), direct.channel()
        for channel in (inside, outside):
            channel.confirm_delivery()
        outside.queue_declare("there", durable=True)
        inside.basic_publish("", "there", body)
        assert outside.basic_get("there", auto_ack=True)[2] == body
        outside.basic_publish("", "there", body)
        assert inside.basic_get("there", auto_ack=True)[2] == body


def test_everything_is_seen_in_the_order_in_which_it_happened(lab):
    seen = []
    sender, receiver = lab.connect("sender"), lab.connect("receiver")
    outgoing, incoming = sender.channel(), receiver.channel()
    outgoing.queue_declare("addition", durable=True)
    lab.tap.subscribe(lambda event: seen.append((event.link.name, event.name, event.from_client)))
    incoming.basic_consume("addition", lambda ch, method, *_: ch.basic_ack(method.delivery_tag))
    outgoing.confirm_delivery()
    outgoing.basic_publish("", "addition", "3,5")
    until(lambda: receiver.process_data_events(0) or ("receiver", "Basic.Ack", True) in seen)
    expected = [
        ("sender", "Basic.Publish", True),
        ("receiver", "Basic.Deliver", False),
        ("receiver", "Basic.Ack", True),
    ]
    assert [event for event in seen if event in expected] == expected


def test_an_event_knows_the_message_and_the_process_it_came_from(lab):
    with lab.connect("sender") as connection:
        properties = pika.BasicProperties(correlation_id="abc", reply_to="answers")
        connection.channel().basic_publish("", "nowhere", "3,5", properties)
    event = until(lambda: next((e for e in list(lab.tap.events) if e.name == "Basic.Publish"), None))
    assert (event.body, event.size, event.method.routing_key) == (b"3,5", 3, "nowhere")
    assert (event.properties.correlation_id, event.properties.reply_to) == ("abc", "answers")
    assert (event.link.name, event.link.pid) == ("sender", os.getpid())


def test_the_end_of_a_connection_is_seen_once(lab):
    lab.connect("sender").close()
    link = until(lambda: next((e.link for e in list(lab.tap.events) if e.name == "Closed"), None))
    assert link.closed
    lab.connect("later").close()
    until(lambda: len([e for e in list(lab.tap.events) if e.name == "Closed"]) == 2)
    assert [e.link.name for e in lab.tap.events if e.name == "Closed"] == ["sender", "later"]


@pytest.mark.parametrize("garbage", [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"AMQP\0\0\x09\x01" + b"\xff" * 5000, b"\0"])
def test_garbage_on_the_port_disturbs_no_other_connection(lab, garbage):
    with lab.connect("well-behaved") as connection:
        channel = connection.channel()
        with socket.create_connection(("127.0.0.1", lab.tap.port), timeout=10) as link:
            link.sendall(garbage)
            link.shutdown(socket.SHUT_WR)
            while link.recv(4096):
                pass
        channel.queue_declare("addition", durable=True)
        with lab.connect("newcomer") as newcomer:
            newcomer.channel().basic_publish("", "addition", "3,5")
        lab.wait_for("addition", ready=1)
    assert "newcomer" in {event.link.name for event in list(lab.tap.events)}


def test_a_client_that_says_nothing_and_leaves_is_forgotten(lab):
    socket.create_connection(("127.0.0.1", lab.tap.port)).close()
    until(lambda: any(event.name == "Closed" for event in list(lab.tap.events)))
    lab.connect().close()


def test_only_so_many_events_are_kept(lab):
    with Tap(lab.broker, keep=3) as tap:
        parameters = lab.parameters
        parameters.port = tap.port
        connect(parameters).close()
        until(lambda: any(event.name == "Closed" for event in list(tap.events)))
        assert len(tap.events) == 3


def test_a_subscriber_is_told_nothing_after_it_has_left(lab):
    seen, also_seen = [], []
    unsubscribe = lab.tap.subscribe(seen.append)
    with lab.tap.subscription(also_seen.append):
        lab.connect("first").close()
        until(lambda: any(event.name == "Closed" for event in also_seen))
    unsubscribe()
    unsubscribe()
    before = len(seen), len(also_seen)
    assert min(before) > 0
    lab.connect("second").close()
    until(lambda: any(e.name == "Closed" and e.link.name == "second" for e in list(lab.tap.events)))
    assert (len(seen), len(also_seen)) == before


def test_closing_ends_the_connections_and_frees_the_port(lab):
    connection = lab.connect("left alone")
    lab.tap.close()
    lab.tap.close()
    with pytest.raises(AMQPError):
        until(lambda: connection.process_data_events(0.1))
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", lab.tap.port)).close()


def test_a_client_learns_soon_that_there_is_no_broker_behind_the_tap(lab):
    nobody = Broker(f"amqp://me:pw@127.0.0.1:{free_port()}", lab.management_url, "nowhere")
    with Tap(nobody) as tap:
        parameters = nobody.parameters()
        parameters.port = tap.port
        began = time.monotonic()
        with pytest.raises(BrokerUnavailable, match=str(tap.port)):
            connect(parameters)
        assert time.monotonic() - began < parameters.socket_timeout


def test_a_reader_that_stops_reading_holds_back_the_sender_and_nobody_else(lab):
    body = bytes(1024 * 1024)
    slow, sender = lab.connect("slow"), lab.connect("sender")
    incoming, outgoing = slow.channel(), sender.channel()
    outgoing.confirm_delivery()
    outgoing.queue_declare("big", durable=True)
    incoming.basic_consume("big", lambda *_: None, auto_ack=True)
    for _ in range(20):
        outgoing.basic_publish("", "big", body)
    outgoing.queue_declare("after", durable=True)
    assert "after" in lab.queues().column("name")
    sizes = []
    while len(sizes) < 20:
        slow.process_data_events(1)
        sizes = [event.size for event in list(lab.tap.events) if event.name == "Basic.Deliver"]
    assert sizes == [len(body)] * 20
