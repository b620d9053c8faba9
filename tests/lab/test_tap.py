from __future__ import annotations

import os
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pika
import pytest
from pika.exceptions import AMQPError
from waiting import until

from rpclab import BrokerUnavailable, Lab, LabError
from rpclab.broker.address import Broker
from rpclab.broker.connect import connect
from rpclab.broker.node_files import free_ports
from rpclab.wire import loop_thread
from rpclab.wire.events import Event
from rpclab.wire.gate import Frame
from rpclab.wire.tap import Tap

SOON = 10.0


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


def test_whatever_a_client_was_told_the_lab_has_read(lab):
    seen = []
    lab.tap.subscribe(lambda event: seen.append(event.name))
    channel = lab.connect("sender").channel()
    channel.confirm_delivery()
    for _ in range(50):
        queue = channel.queue_declare("", exclusive=True).method.queue
        assert seen[-1] == "Queue.DeclareOk"
        assert lab.tap.registry.shown(queue) == "callback queue of sender"
        channel.basic_publish("", queue, "3,5")
        assert seen[-2:] == ["Basic.Publish", "Basic.Ack"]
        channel.basic_get(queue, auto_ack=True)
        assert lab.story.messages[-1].deliveries


def test_what_the_broker_was_told_the_lab_has_read_also_of_a_connection_that_was_cut(lab):
    worker, heir = lab.connect("worker"), lab.connect("heir")
    incoming, channel = worker.channel(), heir.channel()
    channel.confirm_delivery()
    channel.queue_declare("addition", durable=True)
    for _ in range(20):
        channel.basic_publish("", "addition", "3,5")
        incoming.basic_get("addition")
        lab.tap.cut("worker")
        found = until(lambda: (again := channel.basic_get("addition", auto_ack=True))[0] and again)
        assert found[0].redelivered
        assert [step.what for step in lab.story.messages[-1].steps] == ["published", "delivered", "lost", "delivered"]
        worker = lab.connect("worker")
        incoming = worker.channel()


def test_a_subscriber_that_raises_is_reported_once_and_harms_nobody(lab, monkeypatch):
    reported, seen, listened = [], [], []
    monkeypatch.setattr(threading, "excepthook", lambda what: reported.append(str(what.exc_value)))

    def fails(_) -> None:
        raise LookupError("its own fault")

    def fails_too(_) -> None:
        raise LookupError("a listener's fault")

    lab.tap.subscribe(fails)
    lab.tap.subscribe(seen.append)
    lab.story.listen(fails_too)
    lab.story.listen(listened.append)
    with lab.connect("sender") as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        channel.queue_declare("addition", durable=True)
        channel.basic_publish("", "addition", "3,5")
        assert channel.basic_get("addition", auto_ack=True)[2] == b"3,5"
    assert [event.name for event in seen].count("Basic.GetOk") == 1
    assert [step.what for step in listened] == ["published", "delivered"]
    assert all(link.readable for link in lab.tap.links())
    assert reported == ["its own fault", "a listener's fault"]


def test_a_subscriber_that_waits_for_the_lab_is_named_as_the_one_that_holds_it_up(lab, monkeypatch):
    waits, goes_on = threading.Event(), threading.Event()

    def holds_up(event: Event) -> None:
        if event.name == "Connection.StartOk":
            waits.set()
            goes_on.wait()

    with lab.tap.subscription(holds_up):
        connecting = threading.Thread(target=lambda: lab.connect("client"))
        connecting.start()
        waits.wait()
        with monkeypatch.context() as impatient:
            impatient.setattr(loop_thread, "MOST_SECONDS", 0.2)
            with pytest.raises(LabError, match=r"rpclab tap has been busy for 0\.2 s.* must not use the lab"):
                lab.diagnose()
        goes_on.set()
        connecting.join()


def published_while(lab: Lab, ask: Callable[[Frame], bool], *bodies: str, confirmed: bool = False) -> None:
    """Publish messages by a connection whose every frame is asked about."""
    with lab.tap.gatekeeper(ask), lab.connect("sender") as connection:
        channel = connection.channel()
        if confirmed:
            channel.confirm_delivery()
        channel.queue_declare("addition", durable=True)
        for body in bodies:
            channel.basic_publish("", "addition", body)


def bodies_in(lab: Lab, queue: str) -> list[bytes]:
    with connect(lab.direct_parameters) as connection:
        channel = connection.channel()
        return [body for _, _, body in iter(lambda: channel.basic_get(queue, auto_ack=True), (None, None, None))]


def test_a_gatekeeper_sees_each_frame_and_a_method_that_does_not_pass_takes_its_message_along(lab):
    asked = []

    def all_but_the_second(frame: Frame) -> bool:
        asked.append((frame.from_client, frame.name))
        return asked.count((True, "Basic.Publish")) != 2 or frame.name != "Basic.Publish"

    published_while(lab, all_but_the_second, "first", "second", "third")
    assert bodies_in(lab, "addition") == [b"first", b"third"]
    assert [message.body for message in lab.story.messages] == [b"first", b"third"]
    assert asked[:3] == [(True, "greeting"), (False, "Connection.Start"), (True, "Connection.StartOk")]
    before = len(asked)
    lab.connect("later").close()
    assert len(asked) == before


def test_where_a_gatekeeper_ends_a_connection_exactly_that_has_passed_which_came_before(lab):
    numbers = {"Basic.Publish": 0}

    def end_at_the_third(frame: Frame) -> bool:
        numbers["Basic.Publish"] += frame.name == "Basic.Publish"
        if numbers["Basic.Publish"] == 3 and frame.name == "body":
            lab.tap.hang_up("sender")
        return True

    with pytest.raises(AMQPError):
        # When a connection ends, the broker may drop messages that it has received and not yet confirmed.
        published_while(lab, end_at_the_third, *"abcdef", confirmed=True)
    assert bodies_in(lab, "addition") == [b"a", b"b"]


def test_where_a_gatekeeper_freezes_a_connection_the_frame_waits_for_the_thaw(lab):
    frozen = threading.Event()

    def freeze_at_the_second(frame: Frame) -> bool:
        if frame.name == "body" and frame.raw.endswith(b"second\xce") and not frozen.is_set():
            lab.tap.freeze("sender")
            frozen.set()
        return True

    sending = threading.Thread(target=published_while, args=(lab, freeze_at_the_second, "first", "second", "third"))
    sending.start()
    assert frozen.wait(10)
    lab.wait_for("addition", ready=1)
    lab.tap.thaw("sender")
    sending.join()
    assert bodies_in(lab, "addition") == [b"first", b"second", b"third"]


def test_the_end_of_a_delayed_connection_comes_after_what_was_on_its_way(lab):
    connection = lab.connect("slow")
    channel = connection.channel()
    channel.queue_declare("addition", durable=True)
    lab.tap.delay(0.2, "slow")
    channel.basic_publish("", "addition", "3,5")
    seen = []
    lab.tap.subscribe(lambda event: seen.append(event.name))
    # As a process that is killed: without a word of AMQP.
    connection._impl._transport._sock.shutdown(socket.SHUT_RDWR)
    until(lambda: "Closed" in seen)
    assert seen == ["Basic.Publish", "Closed"]


def test_a_lab_with_a_frozen_connection_closes(worker_id):
    with Lab(f"{worker_id}-frozen") as lab:
        lab.connect("frozen").channel().basic_consume("amq.rabbitmq.reply-to", lambda *_: None, auto_ack=True)
        lab.tap.freeze("frozen")


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
    (port,) = free_ports(1)
    nobody = Broker(f"amqp://me:pw@127.0.0.1:{port}", lab.management_url, "nowhere")
    with Tap(nobody) as tap:
        parameters = nobody.parameters()
        parameters.port = tap.port
        began = time.monotonic()
        with pytest.raises(BrokerUnavailable, match=str(tap.port)):
            connect(parameters)
        assert time.monotonic() - began < parameters.socket_timeout


@pytest.fixture
def opening(lab) -> Iterator[tuple[Tap, socket.socket, Callable[[], socket.socket]]]:
    """A tap with a client whose connection the broker's machine has not taken yet, the client, and how to take it."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as busy, socket.create_connection(busy.getsockname()):
        broker = Broker(f"amqp://me:pw@127.0.0.1:{busy.getsockname()[1]}", lab.management_url, "busy")

        def take() -> socket.socket:
            busy.accept()[0].close()  # the one that has kept the tap's waiting
            taken = busy.accept()[0]
            taken.settimeout(SOON)
            return taken

        with Tap(broker) as tap, socket.create_connection(("127.0.0.1", tap.port)) as client:
            until(tap.links)
            client.settimeout(SOON)
            busy.settimeout(SOON)
            yield tap, client, take


@pytest.mark.parametrize("end", [Tap.hang_up, Tap.cut])
def test_a_connection_can_be_ended_before_the_broker_has_taken_it(opening, end):
    tap, client, take = opening
    assert end(tap) == 1
    try:
        assert client.recv(1) == b""
    except ConnectionResetError:
        assert end is Tap.cut
    with take() as taken:
        assert taken.recv(1) == b""


def test_what_a_client_says_before_the_broker_has_taken_its_connection_arrives_also_after_a_thaw(opening):
    tap, client, take = opening
    client.sendall(b"AMQP\x00\x00\x09\x01")
    assert tap.thaw() == 1
    tap.catch_up()
    with take() as taken:
        assert taken.recv(8, socket.MSG_WAITALL) == b"AMQP\x00\x00\x09\x01"


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
