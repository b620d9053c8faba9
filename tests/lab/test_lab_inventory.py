from __future__ import annotations

import pytest

from rpclab import InvalidOption, LabError
from rpclab.broker.connect import connect


@pytest.fixture
def channel(lab):
    channel = lab.connect("asker").channel()
    channel.confirm_delivery()
    return channel


def publish(channel, queue: str, count: int) -> None:
    for number in range(count):
        channel.basic_publish("", queue, str(number))


def counts(row) -> tuple:
    return row["ready"], row["unacked"], row["consumers"]


def test_a_message_is_counted_as_soon_as_it_is_confirmed(lab, channel):
    channel.queue_declare("addition", durable=True)
    for number in range(1, 6):
        publish(channel, "addition", 1)
        assert counts(lab.queues()["addition"]) == (number, 0, 0)


def test_a_message_that_was_taken_and_not_acknowledged_is_counted_as_unacked(lab, channel):
    channel.queue_declare("addition", durable=True)
    publish(channel, "addition", 3)
    method, _, _ = channel.basic_get("addition")
    assert counts(lab.queues()["addition"]) == (2, 1, 0)
    channel.basic_ack(method.delivery_tag)
    assert counts(lab.wait_for("addition", unacked=0)["addition"]) == (2, 0, 0)


def test_a_consumer_is_counted_at_once_and_no_more_when_it_is_cancelled(lab, channel):
    channel.queue_declare("addition", durable=True)
    tag = channel.basic_consume("addition", lambda *_: None)
    assert lab.queues()["addition"]["consumers"] == 1
    channel.basic_consume("addition", lambda *_: None)
    assert lab.queues()["addition"]["consumers"] == 2
    channel.basic_cancel(tag)
    assert lab.queues()["addition"]["consumers"] == 1


def test_a_consumer_that_does_not_pass_the_tap_is_counted_as_well(lab, channel):
    channel.queue_declare("addition", durable=True)
    with connect(lab.direct_parameters) as direct:
        direct.channel().basic_consume("addition", lambda *_: None)
        assert lab.queues()["addition"]["consumers"] == 1


def test_a_queue_that_the_broker_named_is_shown_as_its_owners_callback_queue(lab, channel):
    name = channel.queue_declare("", exclusive=True).method.queue
    channel.basic_consume(name, lambda *_: None)
    row = lab.queues()["callback queue of asker"]
    assert (row["queue"], row["exclusive"], row["durable"], row["consumers"]) == (name, True, False, 1)
    assert name not in repr(lab.queues())


def test_an_exclusive_queue_goes_with_its_connection(lab, channel):
    channel.queue_declare("", exclusive=True)
    assert len(lab.queues()) == 1
    channel.connection.close()
    assert len(lab.queues()) == 0


def test_queues_are_listed_by_name_with_type_and_arguments(lab, channel):
    channel.queue_declare("zeta", durable=True)
    channel.queue_declare("alpha", durable=True, arguments={"x-queue-type": "quorum", "x-max-length": 5})
    assert lab.queues().column("name") == ["alpha", "zeta"]
    assert lab.queues().column("type") == ["quorum", "classic"]
    assert lab.queues()["alpha"]["arguments"]["x-max-length"] == 5


def test_messages_in_a_quorum_queue_are_counted_as_soon_as_they_are_confirmed(lab, channel):
    channel.queue_declare("votes", durable=True, arguments={"x-queue-type": "quorum"})
    publish(channel, "votes", 3)
    assert lab.queues()["votes"]["ready"] == 3


def test_names_with_odd_characters_are_listed(lab, channel):
    odd = "a/b %41 <img> ü"
    channel.queue_declare(odd, durable=True)
    publish(channel, odd, 2)
    assert counts(lab.queues()[odd]) == (2, 0, 0)
    assert lab.purge(odd) == 2


def test_exchanges_are_listed_with_their_types(lab, channel):
    channel.exchange_declare("requests", "topic", durable=True)
    exchanges = lab.exchanges()
    assert exchanges["requests"]["type"] == "topic"
    assert exchanges["(default)"]["type"] == "direct"
    assert exchanges.column("name") == sorted(exchanges.column("name"))


def test_bindings_are_listed_with_exchange_key_and_queue(lab, channel):
    channel.exchange_declare("requests", "direct", durable=True)
    channel.queue_declare("addition", durable=True)
    channel.queue_bind("addition", "requests", "add")
    bindings = lab.bindings()
    assert bindings.columns == ("exchange", "routing key", "destination")
    assert [tuple(row[column] for column in bindings.columns) for row in bindings] == [
        ("(default)", "addition", "addition"),
        ("requests", "add", "addition"),
    ]


def test_the_binding_of_a_headers_exchange_shows_its_arguments(lab, channel):
    arguments = {"x-match": "all", "format": "pdf"}
    channel.exchange_declare("by_format", "headers", durable=True)
    channel.queue_declare("pdf", durable=True)
    channel.queue_bind("pdf", "by_format", arguments=arguments)
    (row,) = lab.bindings().where(exchange="by_format")
    assert row["arguments"] == arguments
    assert "arguments" in lab.bindings().columns


def test_the_binding_of_a_callback_queue_is_shown_under_its_owners_name(lab, channel):
    name = channel.queue_declare("", exclusive=True).method.queue
    (row,) = lab.bindings()
    assert row["destination"] == row["routing key"] == "callback queue of asker"
    assert name not in repr(lab.bindings())


def test_waiting_for_counts_returns_when_they_are_there(lab, channel):
    channel.queue_declare("addition", durable=True)
    publish(channel, "addition", 2)
    assert lab.wait_for("addition", ready=2, unacked=0, consumers=0)["addition"]["ready"] == 2


@pytest.mark.parametrize(("queue", "found"), [("addition", "'ready': 0"), ("nowhere", "has not been declared")])
def test_waiting_in_vain_tells_what_there_is_instead(lab, channel, queue, found):
    channel.queue_declare("addition", durable=True)
    with pytest.raises(LabError, match=found):
        lab.wait_for(queue, ready=1, timeout=0.1)


@pytest.mark.parametrize("wanted", [{}, {"messages": 1}, {"ready": 1, "raedy": 1}])
def test_waiting_for_a_count_that_does_not_exist_is_refused(lab, wanted):
    with pytest.raises(InvalidOption, match="ready=1"):
        lab.wait_for("addition", **wanted)
