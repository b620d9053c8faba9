from __future__ import annotations

import pytest
from pika import spec

from rpclab.findings import diagnose


@pytest.fixture
def client(wire):
    return wire.peer("client")


@pytest.mark.parametrize(("method", "code", "text", "rule"), [
    (spec.Basic.Consume, 404, "NOT_FOUND - no queue 'aditon' in vhost '/'", "missing-queue"),
    (spec.Queue.Declare, 406, "PRECONDITION_FAILED - inequivalent arg 'durable' for queue 'addition' in vhost '/': "
                              "received 'false' but current is 'true'", "different-declaration"),
    (spec.Basic.Publish, 406, "PRECONDITION_FAILED - fast reply consumer does not exist", "direct-reply-to-misused"),
    (spec.Basic.Publish, 404, "NOT_FOUND - no exchange 'logs' in vhost '/'", "missing-exchange"),
    (spec.Basic.Get, 405, "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue 'mine' in vhost '/'",
     "exclusive-to-another"),
    (spec.Queue.Declare, 403, "ACCESS_REFUSED - access to queue 'plans' in vhost '/' refused for user 'visitor'",
     "access-refused"),
    (spec.Basic.Publish, 406, "PRECONDITION_FAILED - invalid expiration 'soon'", "closed-by-broker"),
])
def test_a_channel_that_the_broker_closes(wire, client, method, code, text, rule):
    client.declares("addition")
    client.is_refused(method, code, text)
    (finding,) = diagnose(wire.story)
    assert finding.rule == rule
    assert method.NAME in finding.meaning + finding.evidence[0].text
    assert text in finding.evidence[0].text


def test_a_channel_that_the_client_closes_because_of_an_error(wire, client):
    client.says(spec.Channel.Close(200, "Normal shutdown", 0, 0), channel=1)
    client.says(spec.Channel.Close(541, "Error while processing message", 0, 0), channel=2)
    (finding,) = diagnose(wire.story)
    assert finding.rule == "closed-by-client"
    assert finding.evidence[0].text == "client closed channel 2 of client: 541 Error while processing message"


def test_a_missing_queue_is_told_with_the_nearest_name(wire, client):
    client.declares("addition")
    client.is_refused(spec.Basic.Consume, 404, "NOT_FOUND - no queue 'aditon' in vhost '/'")
    assert "'addition'" in diagnose(wire.story).findings[0].meaning


def test_asking_whether_a_queue_exists_is_no_mistake(found, client):
    client.says(spec.Queue.Declare(queue="maybe", passive=True))
    client.is_refused(spec.Queue.Declare, 404, "NOT_FOUND - no queue 'maybe' in vhost '/'")
    assert found() == []


@pytest.mark.parametrize(("deleting", "rules"), [("client", []), ("other", ["consumer-cancelled"])])
def test_a_consumer_is_cancelled_if_another_program_deletes_its_queue(wire, client, found, deleting, rules):
    other = wire.peer("other")
    client.declares("addition")
    client.consumes("addition")
    {"client": client, "other": other}[deleting].says(spec.Queue.Delete(queue="addition"))
    client.hears(spec.Basic.Cancel(consumer_tag="addition"))
    assert found() == rules
    client.declares("addition")
    client.consumes("addition")
    assert found() == []


def test_the_end_of_the_broker_is_no_mistake_of_a_program(found, client):
    client.is_refused(spec.Basic.Publish, 320, "CONNECTION_FORCED - broker forced connection closure", channel=0)
    assert found() == []


def test_a_kind_of_queue_that_the_broker_refuses(wire, client):
    client.says(spec.Queue.Declare(queue="hello"))
    client.is_refused(spec.Queue.Declare, 541, "INTERNAL_ERROR - Feature `transient_nonexcl_queues` is deprecated.",
                      channel=0)
    (finding,) = diagnose(wire.story)
    assert finding.rule == "transient-queue"
    assert "'hello'" in finding.title


@pytest.mark.parametrize(("code", "text"), [
    (505, "UNEXPECTED_FRAME - expected content header for class 60, got non content header frame instead"),
    (501, "FRAME_ERROR - cannot decode"), (504, "CHANNEL_ERROR - second 'channel.open' seen"),
])
def test_two_threads_on_one_connection(found, client, code, text):
    client.is_refused(spec.Basic.Publish, code, text, channel=0)
    assert found() == ["mixed-frames"]


def test_frames_in_an_order_that_cannot_be_read(found, client):
    client._link.disorder = "a message's header without its method"
    client.ends()
    assert found() == ["mixed-frames"]


@pytest.mark.parametrize(("heartbeat", "silence", "rules"), [
    (1, 2.0, ["missed-heartbeats"]), (60, 2.0, []), (0, 200.0, []),
])
def test_a_connection_that_the_broker_gives_up(found, client, heartbeat, silence, rules):
    client.is_given_up(heartbeat=heartbeat, silence=silence)
    assert found() == rules


@pytest.fixture
def server(wire):
    server = wire.peer("server")
    server.declares("addition")
    server.consumes("addition")
    return server


def call(client, server, own, id, *, channel=1):
    properties = {"reply_to": own, "correlation_id": id}
    client.publishes("addition", "3,5", channel=channel, **properties)
    tag = server.gets("addition", "3,5", **properties)
    server.publishes(own, "8", correlation_id=id)
    server.acks(tag)
    client.gets(own, "8", correlation_id=id)


@pytest.mark.parametrize(("count", "pid", "gravity"), [(4, None, None), (6, None, "hint"), (6, 77, "warning")])
def test_a_connection_for_each_request(wire, server, count, pid, gravity):
    for number in range(count):
        client = wire.peer("client", pid)
        client.declares_its_own(f"amq.gen-{number}")
        client.consumes(f"amq.gen-{number}", auto_ack=True)
        call(client, server, f"amq.gen-{number}", "a")
        client.closes()
    found = [(one.rule, one.gravity) for one in diagnose(wire.story)]
    assert found == ([("connection-per-request", gravity)] if gravity else [])


def test_clients_that_stay_are_not_said_to_come_for_one_request(found, wire, server):
    for number in range(6):
        client = wire.peer("client")
        client.declares_its_own(f"amq.gen-{number}")
        client.consumes(f"amq.gen-{number}", auto_ack=True)
        call(client, server, f"amq.gen-{number}", "a")
    assert found() == []


def test_a_callback_queue_for_each_request(found, client, server):
    for number in range(6):
        client.declares_its_own(f"amq.gen-{number}")
        client.consumes(f"amq.gen-{number}", auto_ack=True)
        call(client, server, f"amq.gen-{number}", "a")
    assert found() == ["callback-queue-per-request"]


@pytest.mark.parametrize(("for_each", "rules"), [(True, ["channel-per-request"]), (False, [])])
def test_a_channel_for_each_request(found, client, server, for_each, rules):
    client.declares_its_own("amq.gen-1")
    client.consumes("amq.gen-1", auto_ack=True)
    for number in range(2, 8):
        if for_each:
            client.says(spec.Channel.Open(), channel=number)
        call(client, server, "amq.gen-1", str(number), channel=number)
    assert found() == rules
