"""A correlation id is its client's own: whose request is repeated, and whose is answered."""

from __future__ import annotations

import pytest
from conversation import Wire
from pika import spec

from rpclab.rpc.protocol import RESENT

DIRECT = "amq.rabbitmq.reply-to"


@pytest.fixture
def wire():
    wire = Wire()
    wire.peer("admin").declares("work")
    return wire


@pytest.fixture
def server(wire):
    server = wire.peer("server")
    server.consumes("work")
    return server


def named(wire) -> list[str]:
    return [message.name for message in wire.story.messages]


def test_two_clients_that_both_count_are_two_clients(wire, server):
    clients = [wire.peer(name) for name in ("A", "B")]
    for number, client in enumerate(clients):
        client.declares_its_own(f"amq.gen-{number}")
        client.publishes("work", "x", reply_to=f"amq.gen-{number}", correlation_id="1")
    assert named(wire) == ["request 1", "request 2"]
    for number in (1, 0):
        server.gets("work", "x", reply_to=f"amq.gen-{number}", correlation_id="1")
        server.publishes(f"amq.gen-{number}", "y", correlation_id="1")
    assert named(wire)[2:] == ["reply to request 2", "reply to request 1"]
    assert [message.deliveries[0].to for message in wire.story.requests] == ["server", "server"]


def test_two_clients_of_direct_reply_to_that_both_count_are_two_clients(wire, server):
    clients = [wire.peer(name) for name in ("A", "B")]
    for client in clients:
        client.consumes(DIRECT, auto_ack=True)
        client.publishes("work", "x", reply_to=DIRECT, correlation_id="1")
    for number in range(2):
        server.gets("work", "x", reply_to=f"{DIRECT}.{number}", correlation_id="1")
    for number in (1, 0):
        server.publishes(f"{DIRECT}.{number}", "y", correlation_id="1")
        clients[number].gets(DIRECT, "y", key=f"{DIRECT}.{number}", correlation_id="1")
    assert named(wire) == ["request 1", "request 2", "reply to request 2", "reply to request 1"]
    assert {message.state(wire.time) for message in wire.story.messages[2:]} == {"auto-acked"}
    assert "direct reply-to -> B: reply to request 2" in str(wire.story.sequence())


def test_a_channel_number_that_is_used_again_begins_to_count_again(wire, server):
    client = wire.peer("client")
    for _ in range(2):
        client.consumes(DIRECT, auto_ack=True)
        client.publishes("work", "x", reply_to=DIRECT, correlation_id="1")
        client.says(spec.Channel.Close(200, "", 0, 0))
        client.hears(spec.Channel.CloseOk())
    assert named(wire) == ["request 1", "request 2"]


def test_a_client_that_was_connected_again_says_that_it_asks_again(wire, server):
    wire.peer("client").publishes("work", "x", reply_to="amq.gen-1", correlation_id="id")
    wire.peer("client").publishes("work", "x", reply_to="amq.gen-2", correlation_id="id", headers={RESENT: 1})
    server.publishes("amq.gen-2", "y", correlation_id="id")
    assert named(wire) == ["request 1", "request 1 again", "reply to request 1"]
    assert wire.story.request("id") is wire.story.messages[0]


def test_without_that_sign_the_same_id_for_another_queue_is_another_request(wire, server):
    for queue in ("amq.gen-1", "amq.gen-2"):
        wire.peer("client").publishes("work", "x", reply_to=queue, correlation_id="1")
    assert named(wire) == ["request 1", "request 2"]


def test_two_callback_queues_that_are_shown_alike_are_not_mixed(wire, server):
    """A process that opens one connection after the other gives each the same name."""
    for number in range(2):
        client = wire.peer("client")
        client.declares_its_own(f"amq.gen-{number}")
        client.consumes(f"amq.gen-{number}", auto_ack=True)
        server.publishes(f"amq.gen-{number}", "same")
        if number == 0:
            client.ends()
    client.gets("amq.gen-1", "same")
    gone, taken = wire.story.messages
    assert gone.name == "message 1"
    assert (gone.state(wire.time), taken.state(wire.time)) == ("removed", "auto-acked")
    assert {wire.story.shown(message.queue) for message in (gone, taken)} == {"callback queue of client"}
