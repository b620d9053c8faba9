from __future__ import annotations

import pika
import pytest
from pika import spec

from rpclab.findings import diagnose
from rpclab.story.story import Story
from rpclab.wire.registry import Registry


def test_nothing_wrong_is_said_so(wire):
    client, server = wire.peer("client"), wire.peer("server")
    server.declares("addition")
    server.consumes("addition")
    client.declares_its_own("amq.gen-1")
    client.consumes("amq.gen-1", auto_ack=True)
    client.publishes("addition", "3,5", reply_to="amq.gen-1", correlation_id="a")
    tag = server.gets("addition", "3,5", reply_to="amq.gen-1", correlation_id="a")
    server.publishes("amq.gen-1", "8", correlation_id="a")
    server.acks(tag)
    client.gets("amq.gen-1", "8", correlation_id="a")
    assert str(diagnose(wire.story)) == "Nothing wrong seen in 2 messages."


def test_a_message_to_no_queue_names_the_nearest_queue(wire):
    client = wire.peer("client")
    client.declares("addition")
    client.publishes("aditon", "3,5")
    (finding,) = diagnose(wire.story).findings
    assert (finding.rule, finding.gravity) == ("unroutable", "error")
    assert "'addition'" in finding.meaning
    assert finding.evidence[0].message == 1
    assert "'3,5' from client to queue aditon" in finding.evidence[0].text


def test_a_queue_that_nobody_reads_is_a_warning(wire):
    client = wire.peer("client")
    client.declares("addition")
    client.publishes("addition", "3,5", delivery_mode=2)
    (finding,) = diagnose(wire.story).findings
    assert (finding.rule, finding.gravity) == ("queue-without-consumer", "warning")


def test_a_story_that_was_saved_has_the_same_findings(wire, found):
    client = wire.peer("client")
    client.declares("addition")
    client.publishes("aditon", "3,5")
    client.publishes("addition", "3,5")
    assert str(diagnose(Story.from_json(wire.story.to_json()))) == str(diagnose(wire.story))
    assert found() == ["unroutable", "queue-without-consumer", "transient-in-durable-queue"]


def test_a_message_that_the_publisher_gets_back_is_a_warning(wire):
    client = wire.peer("client")
    client.publishes("nowhere", "3,5", mandatory=True)
    client.hears(spec.Basic.Return(reply_code=312, reply_text="NO_ROUTE", exchange="", routing_key="nowhere"),
                 *wire_content("3,5"))
    (finding,) = diagnose(wire.story)
    assert (finding.rule, finding.gravity) == ("unroutable", "warning")
    assert "returned" in finding.meaning


def wire_content(body: str) -> tuple:
    return pika.BasicProperties(), body.encode(), len(body)


@pytest.mark.parametrize(("reply_to", "rules"), [("amq.gen-1", ["unroutable-request"]), (None, [])])
def test_a_key_that_no_binding_takes_is_a_mistake_of_a_request_and_else_how_an_exchange_filters(
    wire, found, reply_to, rules,
):
    client = wire.peer("client")
    client.says(spec.Exchange.Declare(exchange="services", type="direct"))
    client.hears(spec.Exchange.DeclareOk())
    client.declares("addition")
    client.says(spec.Queue.Bind(queue="addition", exchange="services", routing_key="add"))
    client.hears(spec.Queue.BindOk())
    client.publishes("ad", "3,5", exchange="services", reply_to=reply_to, correlation_id="a")
    assert found() == rules
    if rules:
        assert "'add'" in diagnose(wire.story).findings[0].meaning


def test_a_queue_that_is_read_by_getting_from_it_has_a_reader(wire, found):
    client = wire.peer("client")
    client.declares("work")
    client.says(spec.Basic.Get(queue="work"))
    client.hears(spec.Basic.GetEmpty())
    client.publishes("work", "one", delivery_mode=2)
    assert found() == []


@pytest.mark.parametrize("arguments", [
    {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "work", "x-message-ttl": 60_000},
    {"x-queue-type": "stream"},
])
def test_where_messages_wait_on_purpose_no_consumer_is_missed(wire, found, arguments):
    client = wire.peer("client")
    client.says(spec.Queue.Declare(queue="later", durable=True, arguments=arguments))
    client.hears(spec.Queue.DeclareOk(queue="later"))
    client.publishes("later", "one", delivery_mode=2)
    assert found() == []


@pytest.mark.parametrize(("durable", "delivery_mode", "rules"), [
    (True, 1, ["transient-in-durable-queue"]), (True, 2, []), (False, 2, ["persistent-in-transient-queue"]),
    (False, 1, []),
])
def test_what_survives_a_restart_and_what_does_not(wire, found, durable, delivery_mode, rules):
    client = wire.peer("client")
    client.says(spec.Queue.Declare(queue="work", durable=durable))
    client.hears(spec.Queue.DeclareOk(queue="work"))
    client.consumes("work", auto_ack=True)
    client.publishes("work", "one", delivery_mode=delivery_mode)
    wire.time += 2
    client.gets("work", "one", delivery_mode=delivery_mode)
    assert found() == rules


def test_a_message_that_is_taken_at_once_needs_not_survive_a_restart(wire, found):
    client = wire.peer("client")
    client.declares("work")
    client.consumes("work", auto_ack=True)
    client.publishes("work", "one")
    client.gets("work", "one")
    assert found() == []


def test_dead_letters_need_no_consumer(wire, found):
    client = wire.peer("client")
    client.declares("addition.dead")
    client.publishes("addition.dead", "three,five", delivery_mode=2)
    assert found() == []


def test_a_queue_may_be_read_by_what_does_not_go_through_the_tap(wire, found):
    client = wire.peer("client")
    client.says(spec.Queue.Declare(queue="work", durable=True))
    client.hears(spec.Queue.DeclareOk(queue="work", consumer_count=1, message_count=0))
    client.publishes("work", "one", delivery_mode=2)
    assert found() == []


def test_of_a_broker_that_others_use_too_what_was_not_seen_is_not_missed(found, wire):
    wire.registry = Registry(complete=False)
    wire.story.journal = wire.registry.journal
    client = wire.peer("client")
    client.declares_its_own("amq.gen-1")
    client.consumes("amq.gen-1", auto_ack=True)
    client.publishes("addition", "3,5", reply_to="amq.gen-1", correlation_id="a")
    client.publishes("addition", "3,5", delivery_mode=2)
    assert found() == []
