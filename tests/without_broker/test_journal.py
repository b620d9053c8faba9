from __future__ import annotations

import pytest
from conversation import Wire
from pika import spec

from rpclab.story.story import Story
from rpclab.wire import records
from rpclab.wire.registry import Registry


@pytest.fixture
def wire() -> Wire:
    return Wire()


@pytest.fixture
def written(wire):
    return wire.registry.journal


def test_a_consumer_has_the_limit_that_its_channel_had_when_it_began(wire, written):
    worker = wire.peer("worker")
    worker.limits(3)
    worker.consumes("first")
    worker.limits(5)
    worker.consumes("second", auto_ack=True)
    worker.consumes("third", channel=2)
    assert [(one.queue, one.prefetch, one.prefetch_after, one.auto_ack) for one in written.consumers] == [
        ("first", 3, 5, False), ("second", 5, 0, True), ("third", 0, 0, False),
    ]


def test_a_limit_for_a_whole_channel_counts_for_consumers_that_have_begun(wire, written):
    worker = wire.peer("worker")
    worker.consumes("first")
    worker.says(spec.Basic.Qos(prefetch_count=7, global_qos=True))
    assert [(one.prefetch, one.prefetch_after) for one in written.consumers] == [(7, 0)]


def test_a_consumer_ends_when_it_is_cancelled_or_with_its_channel_or_connection(wire, written):
    worker = wire.peer("worker")
    worker.consumes("cancelled")
    worker.says(spec.Basic.Cancel(consumer_tag="cancelled"))
    worker.consumes("deleted")
    worker.hears(spec.Basic.Cancel(consumer_tag="deleted"))
    worker.consumes("closed", channel=2)
    worker.says(spec.Channel.Close(), channel=2)
    worker.consumes("gone", channel=3)
    worker.ends()
    assert [
        (one.queue, one.ended is None, one.cancelled, one.cancelled_by_broker) for one in written.consumers
    ] == [
        ("cancelled", False, True, False), ("deleted", False, False, True), ("closed", False, False, False),
        ("gone", False, False, False),
    ]


def test_a_queue_is_read_by_getting_from_it_too(wire, written):
    worker = wire.peer("worker")
    for _ in range(3):
        worker.says(spec.Basic.Get(queue="work"))
        worker.hears(spec.Basic.GetEmpty())
    assert [(one.queue, one.gets, one.ended) for one in written.consumers] == [("work", True, None)]


@pytest.mark.parametrize(("end", "how"), [
    (lambda peer: peer.closes(), records.BY_CLIENT),
    (lambda peer: peer.ends(), records.CLIENT_GONE),
    (lambda peer: peer.is_refused(spec.Queue.Declare, 541, "INTERNAL_ERROR", channel=0), records.BY_BROKER),
    (lambda peer: peer.is_given_up(heartbeat=3, silence=8.0), records.BROKER_GONE),
])
def test_how_a_connection_ended(wire, written, end, how):
    end(wire.peer("client"))
    (connection,) = written.connections
    assert (connection.name, connection.end) == ("client", how)
    if how == records.BROKER_GONE:
        assert (connection.heartbeat, round(connection.silence)) == (3, 8)


def test_a_refusal_has_the_command_that_the_broker_refused(wire, written):
    client = wire.peer("client")
    client.declares("work")
    client.is_refused(spec.Basic.Ack, 406, "PRECONDITION_FAILED - unknown delivery tag 3")
    (refusal,) = written.refusals
    assert (refusal.code, refusal.command, refusal.channel, refusal.queue) == (406, "Basic.Ack", 1, "work")


def test_declarations_channels_and_bindings(wire, written):
    client = wire.peer("client")
    client.says(spec.Channel.Open())
    client.declares("work")
    client.declares_its_own("amq.gen-1")
    client.says(spec.Queue.Bind(queue="work", exchange="logs", routing_key="error"))
    client.says(spec.Queue.Declare(queue="work", passive=True))
    client.hears(spec.Queue.DeclareOk(queue="work"))
    assert [(one.queue, one.durable, one.exclusive) for one in written.declared] == [
        ("work", True, False), ("amq.gen-1", False, True),
    ]
    assert [link for link, _ in written.opened] == [1]
    assert list(written.bound) == [("logs", "error", "work")]


def test_of_consumers_that_are_not_seen_a_declaration_tells(wire, written):
    client = wire.peer("client")
    client.consumes("work")
    for count, elsewhere in ((3, {"work": 2}), (1, {})):
        client.says(spec.Queue.Declare(queue="work", passive=True))
        client.hears(spec.Queue.DeclareOk(queue="work", consumer_count=count, message_count=0))
        assert written.elsewhere == elsewhere


def test_a_saved_story_has_it(wire, written):
    worker = wire.peer("worker")
    worker.says(spec.Channel.Open())
    worker.limits(3)
    worker.declares("work")
    worker.consumes("work")
    worker.publishes("work", "one")
    worker.gets("work", "one")
    worker.is_refused(spec.Basic.Ack, 406, "PRECONDITION_FAILED - unknown delivery tag 3")
    text = wire.story.to_json()
    read = Story.from_json(text)
    assert read.to_json() == text
    assert [vars(one).keys() for one in read.journal.consumers] == [vars(one).keys() for one in written.consumers]
    assert [(one.link.number, one.channel, one.tag) for one in read.messages[0].deliveries] == [(1, 1, 1)]


def test_a_story_of_an_earlier_version_of_rpclab_is_read_without_it(wire):
    import json

    wire.peer("client").publishes("work", "one")
    data = json.loads(wire.story.to_json())
    del data["journal"], data["begun"]
    assert not Story.from_json(json.dumps(data)).journal.connections


def test_of_a_queue_that_was_not_seen_nothing_is_known_until_the_broker_says_that_there_is_none():
    wire = Wire()
    wire.registry = Registry(complete=False)
    client = wire.peer("client")
    client.publishes("unseen")
    client.is_refused(spec.Basic.Consume, 404, "NOT_FOUND - no queue 'unseen' in vhost '/'")
    client.publishes("unseen")
    client.declares("unseen")
    client.publishes("unseen")
    assert [message.queues for message in wire.story.messages] == [None, (), ("unseen",)]
