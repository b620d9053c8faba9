from __future__ import annotations

import pytest


@pytest.fixture
def server(wire):
    server = wire.peer("server")
    server.declares("addition")
    server.limits(1)
    server.consumes("addition")
    return server


@pytest.fixture
def client(wire):
    client = wire.peer("client")
    client.declares_its_own("amq.gen-1")
    client.consumes("amq.gen-1", auto_ack=True)
    return client


def ask(client, body="3,5", *, to="amq.gen-1", queue="addition", **properties):
    """Publish a request and return what its delivery needs."""
    client.publishes(queue, body, reply_to=to, **properties)
    return {"queue": queue, "body": body, "reply_to": to, **properties}


def test_a_request_without_an_id_for_a_queue_of_its_own_is_no_mistake(found, client, server):
    for _ in range(3):
        tag = server.gets(**ask(client))
        server.publishes("amq.gen-1", "8")
        server.acks(tag)
    assert found() == []


def test_requests_without_an_id_at_the_same_time(found, client, server, wire):
    asked = [ask(client, body) for body in ("3,5", "1,2")]
    for each in asked:
        server.acks(server.gets(**each))
        server.publishes("amq.gen-1", "8")
    assert "missing-correlation-id" in found()


def test_a_request_without_an_id_where_others_have_one(found, client, server):
    for properties in ({"correlation_id": "a"}, {}):
        tag = server.gets(**ask(client, **properties))
        server.publishes("amq.gen-1", "8", **properties)
        server.acks(tag)
    assert found() == ["missing-correlation-id"]


def test_a_reply_may_name_the_request_by_its_message_id(found, client, server):
    for id in ("a", "b"):
        tag = server.gets(**ask(client, message_id=id))
        server.publishes("amq.gen-1", "8", correlation_id=id)
        server.acks(tag)
    assert found() == []


def test_a_message_without_reply_to_where_others_have_it(found, client, server):
    tag = server.gets(**ask(client, correlation_id="a"))
    server.publishes("amq.gen-1", "8", correlation_id="a")
    server.acks(tag)
    client.publishes("addition", "3,5")
    server.acks(server.gets("addition", "3,5"))
    assert found() == ["missing-reply-to"]


def test_replies_that_another_program_takes_are_no_mistake_if_they_have_ids(found, wire, server):
    asker, reader = wire.peer("asker"), wire.peer("reader")
    reader.declares("answers")
    reader.consumes("answers")
    for properties in ({"correlation_id": "a"}, {"correlation_id": "b"}):
        tag = server.gets(**ask(asker, to="answers", **properties))
        server.publishes("answers", "8", **properties)
        server.acks(tag)
        reader.acks(reader.gets("answers", "8", **properties))
    assert found() == []


def test_a_reply_without_the_id(found, client, server):
    tag = server.gets(**ask(client, correlation_id="a"))
    server.publishes("amq.gen-1", "8")
    server.acks(tag)
    assert found() == ["reply-without-correlation-id"]


def test_a_reply_with_all_properties_of_the_request_is_a_reply(found, client, server, wire):
    asked = ask(client, correlation_id="a")
    tag = server.gets(**asked)
    server.publishes("amq.gen-1", "8", reply_to="amq.gen-1", correlation_id="a")
    server.acks(tag)
    client.gets("amq.gen-1", "8", reply_to="amq.gen-1", correlation_id="a")
    assert [message.name for message in wire.story.messages] == ["request 1", "reply to request 1"]
    assert found() == []


def test_a_reply_with_the_id_of_the_request_before(found, client, server):
    for id, answered in (("a", "a"), ("b", "a")):
        tag = server.gets(**ask(client, correlation_id=id))
        server.publishes("amq.gen-1", "8", correlation_id=answered)
        server.acks(tag)
    assert found() == ["wrong-correlation-id"]


def test_a_stranger_in_a_callback_queue_is_no_servers_mistake(found, client, server, wire):
    wire.peer("stranger").publishes("amq.gen-1", "8", correlation_id="x")
    tag = server.gets(**ask(client, correlation_id="a"))
    server.publishes("amq.gen-1", "8", correlation_id="a")
    server.acks(tag)
    assert found() == []


def test_a_reply_to_another_queue(found, client, server, wire):
    tag = server.gets(**ask(client, correlation_id="a"))
    server.declares("results")
    server.consumes("results", auto_ack=True)
    server.publishes("results", "8", correlation_id="a")
    server.acks(tag)
    assert found() == ["reply-elsewhere"]


def test_what_a_server_publishes_besides_its_reply_is_no_mistake(found, client, server):
    server.declares("events")
    server.consumes("events", auto_ack=True)
    tag = server.gets(**ask(client, correlation_id="a"))
    server.publishes("events", "added", correlation_id="a")
    server.publishes("amq.gen-1", "8", correlation_id="a")
    server.acks(tag)
    assert found() == []


@pytest.mark.parametrize(("second", "gravity"), [("8", "error"), ("9", "hint")])
def test_two_replies(wire, client, server, second, gravity):
    from rpclab.findings import diagnose

    tag = server.gets(**ask(client, correlation_id="a"))
    for body in ("8", second):
        server.publishes("amq.gen-1", body, correlation_id="a")
    server.acks(tag)
    assert [(one.rule, one.gravity) for one in diagnose(wire.story)] == [("two-replies", gravity)]


def test_a_second_reply_of_another_worker_after_the_death_of_the_first_is_no_mistake(found, client, server, wire):
    asked = ask(client, correlation_id="a")
    server.gets(**asked)
    server.publishes("amq.gen-1", "8", correlation_id="a")
    server.ends()
    other = wire.peer("other")
    other.consumes("addition")
    tag = other.gets(redelivered=True, **asked)
    other.publishes("amq.gen-1", "8", correlation_id="a")
    other.acks(tag)
    assert found() == []


def test_a_reply_after_the_expiration(found, client, server, wire):
    asked = ask(client, correlation_id="a", expiration="1000")
    tag = server.gets(**asked)
    wire.time += 2
    server.publishes("amq.gen-1", "8", correlation_id="a")
    server.acks(tag)
    assert found() == ["late-reply"]


@pytest.mark.parametrize(("end", "rules"), [("closes", ["late-reply"]), ("ends", [])])
def test_a_reply_to_a_client_that_has_closed_is_late_and_to_one_that_was_killed_is_not(
    found, client, server, end, rules,
):
    tag = server.gets(**ask(client, correlation_id="a"))
    getattr(client, end)()
    server.publishes("amq.gen-1", "8", correlation_id="a")
    server.acks(tag)
    assert found() == rules


def test_a_reply_that_another_client_takes(found, server, wire):
    clients = [wire.peer(name) for name in ("one", "two")]
    clients[0].declares("answers")
    for client in clients:
        client.consumes("answers", auto_ack=True)
    for client, taker, id in zip(clients, reversed(clients), "ab", strict=True):
        tag = server.gets(**ask(client, to="answers", correlation_id=id))
        server.publishes("answers", "8", correlation_id=id)
        server.acks(tag)
        taker.gets("answers", "8", correlation_id=id)
    assert found() == ["stolen-reply", "stolen-reply"]


def test_two_requests_with_one_id(found, client, server):
    for body in ("3,5", "1,2"):
        tag = server.gets(**ask(client, body, correlation_id="1"))
        server.publishes("amq.gen-1", "8", correlation_id="1")
        server.acks(tag)
    assert found() == ["correlation-id-reused"]


def test_a_request_that_is_sent_again_is_no_mistake(found, client, server):
    for _ in range(2):
        tag = server.gets(**ask(client, correlation_id="1"))
        server.publishes("amq.gen-1", "8", correlation_id="1")
        server.acks(tag)
    assert found() == []


def test_an_acknowledgement_before_the_reply(found, client, server):
    tag = server.gets(**ask(client, correlation_id="a"))
    server.acks(tag)
    server.publishes("amq.gen-1", "8", correlation_id="a")
    assert found() == ["acked-before-reply"]


def test_an_acknowledgement_and_then_a_death(found, client, server, wire):
    server.acks(server.gets(**ask(client, correlation_id="a")))
    server.ends()
    assert found() == ["died-after-ack", "acked-before-reply"]


def test_an_acknowledgement_and_then_the_end_of_the_channel(found, client, server, wire):
    from pika import spec

    server.acks(server.gets(**ask(client, correlation_id="a")))
    server.says(spec.Channel.Close(200, "Normal shutdown", 0, 0))
    assert found() == ["acked-before-reply"]


def test_a_callback_queue_that_does_not_exist(found, server, wire):
    client = wire.peer("client")
    tag = server.gets(**ask(client, to="anwsers", correlation_id="a"))
    server.declares("answers")
    server.publishes("anwsers", "8", correlation_id="a")
    server.acks(tag)
    assert found() == ["reply-queue-missing"]


def test_a_callback_queue_that_no_client_reads(found, server, wire):
    client = wire.peer("client")
    client.declares("answers")
    tag = server.gets(**ask(client, to="answers", correlation_id="a"))
    server.publishes("answers", "8", correlation_id="a")
    server.acks(tag)
    assert found() == ["reply-queue-without-consumer"]


def test_a_request_that_is_published_again_for_another_attempt_is_no_mistake(found, client, server):
    asked = ask(client, correlation_id="a")
    tag = server.gets(**asked)
    server.publishes("addition", "3,5", reply_to="amq.gen-1", correlation_id="a", headers={"attempt": 2})
    server.acks(tag)
    tag = server.gets(**asked)
    server.publishes("amq.gen-1", "8", correlation_id="a")
    server.acks(tag)
    assert found() == []


def test_a_reply_by_direct_reply_to_to_a_client_that_is_gone_is_no_mistake_of_the_server(found, server, wire):
    client, direct = wire.peer("client"), "amq.rabbitmq.reply-to"
    client.consumes(direct, auto_ack=True)
    client.publishes("addition", "3,5", reply_to=direct, correlation_id="a")
    tag = server.gets("addition", "3,5", reply_to=f"{direct}.key", correlation_id="a")
    client.closes()
    server.publishes(f"{direct}.key", "8", correlation_id="a")
    server.acks(tag)
    server.closes()
    assert found() == []


def test_a_client_that_has_connected_again_steals_no_reply_from_itself(found, server, wire):
    before = wire.peer("client")
    before.declares("answers")
    before.consumes("answers", auto_ack=True)
    asked = ask(before, to="answers", correlation_id="a")
    tag = server.gets(**asked)
    before.ends()
    after = wire.peer("client")
    after.consumes("answers", auto_ack=True)
    server.publishes("answers", "8", correlation_id="a")
    server.acks(tag)
    after.gets("answers", "8", correlation_id="a")
    tag = server.gets(**ask(after, "1,2", to="answers", correlation_id="b"))
    server.publishes("answers", "3", correlation_id="b")
    server.acks(tag)
    after.gets("answers", "3", correlation_id="b")
    assert found() == []
