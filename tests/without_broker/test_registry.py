from __future__ import annotations

import pytest
from pika import BasicProperties, spec

from rpclab.wire.events import Event, Link
from rpclab.wire.registry import Registry


class Conversation:
    """A connection that one can make up, method by method."""

    def __init__(self, registry: Registry, number: int, name: str):
        self._registry, self._link = registry, Link(number, name)

    def says(self, method, channel: int = 1, *content) -> Event:
        return self._registry.take(Event(0.0, self._link, channel, True, method, *content))

    def hears(self, method, channel: int = 1) -> None:
        self._registry.take(Event(0.0, self._link, channel, False, method))

    def consumes(self, queue: str, tag: str, channel: int = 1) -> None:
        self.says(spec.Basic.Consume(queue=queue), channel)
        self.hears(spec.Basic.ConsumeOk(consumer_tag=tag), channel)

    def ends(self) -> None:
        self._registry.take(Event(0.0, self._link, 0, True, None))

    def source_of(self, tag: str, channel: int = 1) -> str | None:
        """Return the queue that a delivery to this consumer comes from."""
        return self._registry.take(Event(0.0, self._link, channel, False, spec.Basic.Deliver(consumer_tag=tag))).queue

    def gets(self, queue: str, *, auto_ack: bool, empty: bool = False) -> Event:
        self.says(spec.Basic.Get(queue=queue, no_ack=auto_ack))
        answer = spec.Basic.GetEmpty() if empty else spec.Basic.GetOk()
        return self._registry.take(Event(0.0, self._link, 1, False, answer))


@pytest.fixture
def registry():
    return Registry()


@pytest.fixture
def client(registry):
    return Conversation(registry, 1, "AddClient")


@pytest.fixture
def server(registry):
    return Conversation(registry, 2, "AdditionServer-0")


def test_a_queue_that_the_broker_named_is_shown_with_its_owner(registry, client):
    client.says(spec.Queue.Declare(queue="", exclusive=True))
    client.hears(spec.Queue.DeclareOk(queue="amq.gen-abc"))
    assert registry.shown("amq.gen-abc") == "callback queue of AddClient"


def test_a_queue_with_a_name_of_its_own_keeps_it(registry, server):
    server.says(spec.Queue.Declare(queue="addition", durable=True))
    server.hears(spec.Queue.DeclareOk(queue="addition"))
    assert registry.shown("addition") == "addition"


def test_a_queue_that_nobody_was_seen_to_declare_belongs_to_another_connection(registry):
    assert registry.shown("amq.gen-unseen") == "callback queue of another connection"


def test_declarations_that_are_sent_before_the_first_is_confirmed_are_not_mixed_up(registry, client):
    client.says(spec.Queue.Declare(queue="addition", durable=True))
    client.says(spec.Queue.Declare(queue="", exclusive=True))
    client.hears(spec.Queue.DeclareOk(queue="addition"))
    client.hears(spec.Queue.DeclareOk(queue="amq.gen-abc"))
    assert registry.shown("amq.gen-abc") == "callback queue of AddClient"


def test_consumers_of_several_connections_and_channels_are_counted(registry, client, server):
    server.consumes("addition", "a")
    server.consumes("addition", "b", channel=2)
    client.consumes("addition", "a")
    client.consumes("answers", "c")
    assert (registry.consumers("addition"), registry.consumers("answers"), registry.consumers("other")) == (3, 1, 0)


def test_a_consumer_counts_only_once_it_is_confirmed(registry, server):
    server.says(spec.Basic.Consume(queue="addition"))
    assert registry.consumers("addition") == 0
    server.hears(spec.Basic.ConsumeOk(consumer_tag="a"))
    assert registry.consumers("addition") == 1


def test_a_delivery_is_traced_to_its_queue(registry, client, server):
    server.consumes("addition", "same tag")
    client.consumes("answers", "same tag")
    assert server.source_of("same tag") == "addition"
    assert client.source_of("same tag") == "answers"
    assert server.source_of("other tag") is None
    assert server.source_of("same tag", channel=2) is None


@pytest.mark.parametrize("speaker", ["says", "hears"])
def test_a_cancelled_consumer_is_forgotten_whoever_cancels(registry, server, speaker):
    server.consumes("addition", "a")
    server.consumes("addition", "b")
    getattr(server, speaker)(spec.Basic.Cancel(consumer_tag="a"))
    assert registry.consumers("addition") == 1
    assert server.source_of("a") is None


@pytest.mark.parametrize("speaker", ["says", "hears"])
def test_a_closed_channel_takes_its_consumers_and_no_others(registry, client, server, speaker):
    server.consumes("addition", "a", channel=1)
    server.consumes("addition", "b", channel=2)
    client.consumes("addition", "c", channel=1)
    getattr(server, speaker)(spec.Channel.Close(404, "NOT_FOUND", 0, 0), channel=1)
    assert registry.consumers("addition") == 2
    assert server.source_of("a", channel=1) is None


def test_a_command_that_asks_for_no_answer_is_not_taken_for_one_that_waits_for_its_own(client):
    client.says(spec.Queue.Declare(queue="", exclusive=True))
    client.says(spec.Queue.Bind(queue="", exchange="amq.fanout", nowait=True))
    client.hears(spec.Queue.DeclareOk(queue="amq.gen-abc"))
    published = client.says(spec.Basic.Publish(exchange="amq.fanout"), 1, BasicProperties(), b"")
    assert published.queues == ("amq.gen-abc",)


def test_a_refused_declaration_does_not_shift_those_after_it(registry, client):
    client.says(spec.Queue.Declare(queue="addition", durable=True))
    client.hears(spec.Channel.Close(406, "PRECONDITION_FAILED", 50, 10))
    client.says(spec.Queue.Declare(queue="", exclusive=True))
    client.hears(spec.Queue.DeclareOk(queue="amq.gen-abc"))
    assert registry.shown("amq.gen-abc") == "callback queue of AddClient"


def test_a_connection_that_ended_has_no_consumers_and_its_queue_keeps_its_name(registry, client, server):
    client.says(spec.Queue.Declare(queue="", exclusive=True))
    client.hears(spec.Queue.DeclareOk(queue="amq.gen-abc"))
    client.consumes("amq.gen-abc", "a")
    server.consumes("addition", "a")
    client.ends()
    assert (registry.consumers("amq.gen-abc"), registry.consumers("addition")) == (0, 1)
    assert registry.shown("amq.gen-abc") == "callback queue of AddClient"


def test_a_connection_whose_number_starts_alike_is_left_alone(registry):
    first, eleventh = Conversation(registry, 1, "first"), Conversation(registry, 11, "eleventh")
    first.consumes("addition", "a")
    eleventh.consumes("addition", "a")
    first.ends()
    assert registry.consumers("addition") == 1


def test_what_is_fetched_comes_from_the_queue_that_was_asked(client):
    assert client.gets("empty", auto_ack=False, empty=True).queue == "empty"
    fetched = client.gets("addition", auto_ack=True)
    assert (fetched.queue, fetched.auto_ack) == ("addition", True)


def test_the_connections_that_consume_from_a_queue_are_named(registry, client, server):
    for connection, name in ((server, "AdditionServer-0"), (client, "AddClient")):
        connection.says(spec.Connection.StartOk(client_properties={"connection_name": name}), 0)
        connection.consumes("addition", "a")
    assert registry.consuming("addition") == ["AddClient", "AdditionServer-0"]
    assert registry.consuming("other") == []
