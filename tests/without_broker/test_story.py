from __future__ import annotations

import pytest
from conversation import Wire
from pika import spec
from recording import told


@pytest.fixture
def wire():
    return Wire()


@pytest.fixture
def client(wire):
    client = wire.peer("AddClient")
    client.declares_its_own("amq.gen-abc")
    client.consumes("amq.gen-abc", auto_ack=True)
    return client


@pytest.fixture(autouse=True)
def declared(wire):
    wire.peer("admin").declares("addition")


@pytest.fixture
def server(wire):
    server = wire.peer("AdditionServer-0")
    server.consumes("addition")
    return server


def asks(client, body: str = "3,5", **properties) -> None:
    client.publishes("addition", body, **{"reply_to": "amq.gen-abc", "correlation_id": "a"} | properties)


def takes(server, body: str = "3,5", **options) -> int:
    return server.gets("addition", body, **{"reply_to": "amq.gen-abc", "correlation_id": "a"} | options)


def states(wire) -> dict[str, str]:
    return {message.name: message.state(wire.story.now) for message in wire.story.messages}


def answer(wire, name: str = "request 1") -> str:
    return next(message.answer(wire.story.now) for message in wire.story.messages if message.name == name)


def test_a_call_is_told_from_the_request_to_its_reply(wire, client, server):
    asks(client)
    tag = takes(server)
    server.publishes("amq.gen-abc", "8", correlation_id="a")
    server.acks(tag)
    client.gets("amq.gen-abc", "8", correlation_id="a")
    request, reply = wire.story.messages
    assert (request.name, request.publisher, request.queue, request.text()) == (
        "request 1", "AddClient", "addition", "3,5")
    assert [(d.to, d.redelivered, d.outcome) for d in request.deliveries] == [("AdditionServer-0", False, "acked")]
    assert (reply.name, reply.request, request.replies) == ("reply to request 1", request, (reply,))
    assert (reply.queue, wire.story.shown(reply.queue)) == ("amq.gen-abc", "callback queue of AddClient")
    assert answer(wire) == "answered"
    assert [step.what for step in request.steps] == ["published", "delivered", "acked"]
    assert all(message.settled for message in wire.story.messages)


def test_a_message_that_nobody_takes_waits(wire, client):
    asks(client)
    assert states(wire) == {"request 1": "waiting"}
    assert answer(wire) == "pending"


def test_a_message_for_a_queue_that_there_is_not_has_no_queue(wire, server):
    sender = wire.peer("sender")
    sender.publishes("addition", "there")
    sender.publishes("Addition", "nowhere")
    sender.publishes("key", "perhaps", exchange="events")
    assert wire.story.messages[-1].queue == ""
    assert states(wire) == {"message 1": "waiting", "message 2": "no queue", "message 3": "published"}
    assert "(queue Addition: no such queue, message 2 was dropped)" in str(wire.story.sequence())


def test_an_exclusive_queue_is_gone_with_its_connection(wire, client, server):
    server.publishes("amq.gen-abc", "8")
    client.ends()
    server.publishes("amq.gen-abc", "8")
    assert list(states(wire).values()) == ["removed", "no queue"]


def test_a_message_that_expires_before_it_is_taken_has_expired_and_its_request_timed_out(wire, client):
    asks(client, expiration="300")
    assert states(wire) == {"request 1": "waiting"}
    wire.story.end += 0.31
    assert states(wire) == {"request 1": "expired"}
    assert answer(wire) == "timed out"


def test_what_is_unacked_is_held(wire, client, server):
    asks(client)
    takes(server)
    assert states(wire) == {"request 1": "held"}


def test_when_a_connection_ends_what_it_held_waits_again_and_is_redelivered(wire, client, server):
    asks(client)
    takes(server)
    server.ends()
    assert states(wire) == {"request 1": "waiting again"}
    heir = wire.peer("AdditionServer-1")
    heir.consumes("addition")
    tag = takes(heir, redelivered=True)
    heir.acks(tag)
    (request,) = wire.story.messages
    assert [(d.to, d.redelivered, d.outcome) for d in request.deliveries] == [
        ("AdditionServer-0", False, "lost"), ("AdditionServer-1", True, "acked")]


def test_a_redelivery_that_overtakes_the_news_of_the_lost_connection_is_the_same_message(wire, client, server):
    asks(client)
    takes(server)
    heir = wire.peer("AdditionServer-1")
    heir.consumes("addition")
    takes(heir, redelivered=True)
    server.ends()
    (request,) = wire.story.messages
    assert [delivery.outcome for delivery in request.deliveries] == ["lost", "held"]


@pytest.mark.parametrize(("method", "state"), [
    (spec.Basic.Nack(delivery_tag=1, requeue=True), "waiting again"),
    (spec.Basic.Reject(delivery_tag=1, requeue=True), "waiting again"),
    (spec.Basic.Nack(delivery_tag=1, requeue=False), "rejected"),
    (spec.Basic.Reject(delivery_tag=1, requeue=False), "rejected"),
    (spec.Basic.Recover(requeue=True), "waiting again"),
    (spec.Channel.Close(), "waiting again"),
], ids=["nack, requeue", "reject, requeue", "nack", "reject", "recover", "channel closed"])
def test_other_ends_of_a_delivery_are_told_apart(wire, client, server, method, state):
    asks(client)
    takes(server)
    server.says(method)
    assert states(wire) == {"request 1": state}


def test_one_acknowledgement_may_settle_several(wire, client, server):
    for number in range(3):
        asks(client, str(number), correlation_id=str(number))
        last = takes(server, str(number), correlation_id=str(number))
    server.acks(last - 1, multiple=True)
    assert list(states(wire).values()) == ["acked", "acked", "held"]
    server.acks(0, multiple=True)
    assert list(states(wire).values()) == ["acked", "acked", "acked"]


def test_an_acknowledgement_on_another_channel_settles_nothing(wire, client, server):
    asks(client)
    server.acks(takes(server), channel=2)
    assert states(wire) == {"request 1": "held"}


def test_equal_messages_are_told_apart_by_their_order(wire, server):
    sender = wire.peer("sender")
    for _ in range(3):
        sender.publishes("addition", "same")
    first, second = server.gets("addition", "same"), server.gets("addition", "same")
    server.acks(second)
    assert list(states(wire).values()) == ["held", "acked", "waiting"]
    server.acks(first)
    assert list(states(wire).values()) == ["acked", "acked", "waiting"]


def test_a_message_waits_in_each_queue_that_an_exchange_has_put_it_into(wire):
    sender, receiver = wire.peer("sender"), wire.peer("receiver")
    sender.says(spec.Exchange.Declare(exchange="events", type="topic"))
    sender.hears(spec.Exchange.DeclareOk())
    for queue, pattern in (("mail", "sum.*"), ("log", "#")):
        sender.declares(queue)
        sender.says(spec.Queue.Bind(queue=queue, exchange="events", routing_key=pattern))
        sender.hears(spec.Queue.BindOk())
    sender.publishes("sum.done", "8", exchange="events")
    sender.publishes("failed", "no", exchange="events")
    assert [message.queue for message in wire.story.messages] == ["mail, log", "log"]
    receiver.consumes("log")
    receiver.acks(receiver.gets("log", "8", exchange="events", key="sum.done"))
    assert states(wire) == {"message 1": "waiting", "message 2": "waiting"}


def test_a_copy_in_each_queue_is_one_message_with_a_delivery_from_each(wire):
    sender, receiver = wire.peer("sender"), wire.peer("receiver")
    for queue in ("mail", "log"):
        receiver.consumes(queue)
    sender.publishes("", "news", exchange="events")
    receiver.gets("mail", "news", exchange="events", key="")
    receiver.acks(receiver.gets("log", "news", exchange="events", key=""))
    (message,) = wire.story.messages
    assert message.queue == "mail, log"
    assert states(wire) == {"message 1": "held"}


def test_a_message_that_was_published_before_the_story_begins_has_no_publisher(wire, server):
    server.gets("addition", "old")
    (message,) = wire.story.messages
    assert (message.publisher, message.name, message.text()) == (None, "message 1", "old")
    server.ends()
    heir = wire.peer("AdditionServer-1")
    heir.consumes("addition")
    heir.gets("addition", "old", redelivered=True)
    assert len(wire.story) == 1


def test_a_second_reply_is_counted(wire, client, server):
    asks(client)
    takes(server)
    for _ in range(2):
        server.publishes("amq.gen-abc", "8", correlation_id="a")
    assert answer(wire) == "answered twice"
    assert [message.name for message in wire.story.messages][1:] == ["reply to request 1", "reply 2 to request 1"]


def test_a_reply_after_the_deadline_is_late(wire, client, server):
    asks(client, expiration="50")
    takes(server)
    wire.time += 1
    server.publishes("amq.gen-abc", "8", correlation_id="a")
    assert answer(wire) == "answered late"


def test_an_error_reply_is_told_as_such(wire, client, server):
    asks(client)
    takes(server)
    server.publishes("amq.gen-abc", "{}", correlation_id="a", type="error")
    assert answer(wire) == "answered with an error"


def test_a_reply_with_an_id_that_no_client_sent_is_unmatched(wire, client, server):
    asks(client)
    takes(server)
    server.publishes("amq.gen-abc", "8", correlation_id="b")
    assert wire.story.messages[-1].name == "unmatched reply 1"
    assert answer(wire) == "pending"


def test_a_reply_without_an_id_answers_the_one_request_that_its_sender_has_in_hand(wire, client, server):
    asks(client, correlation_id=None)
    takes(server, correlation_id=None)
    server.publishes("amq.gen-abc", "8")
    assert wire.story.messages[-1].request is wire.story.messages[0]


def test_a_reply_without_an_id_whose_sender_has_several_requests_in_hand_answers_none(wire, client, server):
    for body in ("3,5", "20,22"):
        asks(client, body, correlation_id=None)
        takes(server, body, correlation_id=None)
    server.publishes("amq.gen-abc", "8")
    assert wire.story.messages[-1].name == "unmatched reply 1"


def test_a_request_that_is_published_again_is_told_as_such(wire, client, server):
    asks(client)
    takes(server)
    asks(server)
    request, again = wire.story.messages
    assert (again.name, again.repeats) == ("request 1 again", request)


def test_direct_reply_to_is_followed_though_the_broker_renames_it(wire, server):
    client = wire.peer("client")
    client.consumes("amq.rabbitmq.reply-to", auto_ack=True)
    asks(client, reply_to="amq.rabbitmq.reply-to")
    takes(server, reply_to="amq.rabbitmq.reply-to.g1h2.xyz")
    server.publishes("amq.rabbitmq.reply-to.g1h2.xyz", "8", correlation_id="a")
    client.gets("amq.rabbitmq.reply-to", "8", key="amq.rabbitmq.reply-to.g1h2.xyz", correlation_id="a")
    request, reply = wire.story.messages
    assert (reply.request, reply.state(wire.time)) == (request, "auto-acked")
    assert (reply.queue, wire.story.shown(reply.queue)) == ("amq.rabbitmq.reply-to.g1h2.xyz", "direct reply-to")


def test_a_message_that_comes_back_is_returned(wire):
    sender = wire.peer("sender")
    for mandatory in (False, True, True):
        sender.publishes("nowhere", "lost", mandatory=mandatory)
    for _ in range(2):
        sender.hears(
            spec.Basic.Return(reply_code=312, reply_text="NO_ROUTE", exchange="", routing_key="nowhere"),
            *((message := wire.story.messages[0]).properties, message.body, message.size),
        )
    assert list(states(wire).values()) == ["no queue", "returned", "returned"]


def test_publisher_confirms_are_noted(wire):
    sender = wire.peer("sender")
    sender.says(spec.Confirm.Select())
    for body in "abc":
        sender.publishes("addition", body)
    sender.hears(spec.Basic.Ack(delivery_tag=2, multiple=True))
    assert [message.confirmed for message in wire.story.messages] == [True, True, False]


def test_confirms_are_counted_again_from_the_beginning_on_a_channel_number_that_is_used_again(wire):
    sender = wire.peer("sender")
    for _ in range(2):
        sender.says(spec.Confirm.Select())
        sender.publishes("addition", "a")
        sender.says(spec.Confirm.Select())
        sender.publishes("addition", "b")
        sender.says(spec.Channel.Close(200, "", 0, 0))
        # The broker may confirm as long as it has not closed the channel itself.
        sender.hears(spec.Basic.Ack(delivery_tag=2))
        sender.hears(spec.Channel.CloseOk())
    assert [message.confirmed for message in wire.story.messages] == [False, True, False, True]


def test_a_confirm_of_several_leaves_alone_what_was_published_after_them(wire):
    sender = wire.peer("sender")
    sender.says(spec.Confirm.Select())
    for body in "abcd":
        sender.publishes("addition", body)
    sender.hears(spec.Basic.Ack(delivery_tag=3))
    sender.hears(spec.Basic.Nack(delivery_tag=2, multiple=True))
    assert [message.confirmed for message in wire.story.messages] == [False, False, True, False]
    sender.hears(spec.Basic.Ack(delivery_tag=0, multiple=True))
    assert [message.confirmed for message in wire.story.messages] == [False, False, True, True]


def test_only_the_last_messages_are_kept():
    wire = Wire(keep=10)
    sender, server = wire.peer("sender"), wire.peer("AdditionServer-0")
    server.consumes("addition")
    for number in range(50):
        sender.publishes("addition", "same", correlation_id=str(number % 3), reply_to="answers")
        server.acks(server.gets("addition", "same", correlation_id=str(number % 3), reply_to="answers"))
    assert [message.number for message in wire.story.messages] == list(range(41, 51))
    assert {message.state(wire.time) for message in wire.story.messages} == {"acked"}


def test_what_is_known_of_a_request_can_be_asked_for(wire, client):
    asks(client)
    assert wire.story.request("a") is wire.story.messages[0]
    assert wire.story.request("b") is None


def test_a_listener_hears_of_the_past_if_it_wants_and_of_nothing_after_its_end(wire, client, server):
    asks(client)
    heard = []
    end = wire.story.listen(lambda step: heard.append((step.what, step.message.name)), past=True)
    takes(server)
    end()
    server.acks(1)
    assert heard == [("published", "request 1"), ("delivered", "request 1")]


def test_a_part_of_a_story_holds_requests_and_replies_together(wire, client, server):
    for name in "ab":
        asks(client, correlation_id=name)
        server.acks(takes(server, correlation_id=name))
    server.publishes("amq.gen-abc", "8", correlation_id="a")
    assert [message.name for message in wire.story.last(1).messages] == ["request 1", "reply to request 1"]
    assert [message.name for message in wire.story.of("request 2").messages] == ["request 2"]


def test_the_table_says_where_each_message_went():
    assert str(told("a_call")) == """\
message             body  from              queue                        to                state       answer
request 1           3,5   AddClient         addition                     AdditionServer-0  acked       answered
reply to request 1  8     AdditionServer-0  callback queue of AddClient  AddClient         auto-acked  -"""


def test_of_a_killed_worker_the_recorded_frames_tell_both_deliveries():
    request, reply = told("a_killed_worker").messages
    assert [(d.to, d.outcome, d.redelivered) for d in request.deliveries] == [
        ("Napper-0", "lost", False), ("Napper-1", "acked", True)]
    assert (reply.publisher, reply.request) == ("Napper-1", request)


def test_dead_letters_and_returns_are_told_apart_in_the_recorded_frames():
    to_both, lost = told("dead_letters_and_returns").messages
    assert (to_both.queue, to_both.dead_lettered, to_both.confirmed) == ("work, copies, dead", "rejected", True)
    assert [delivery.outcome for delivery in to_both.deliveries] == ["acked", "rejected", "auto-acked"]
    assert (lost.returned, lost.state(0)) == ("NO_ROUTE", "returned")


def test_what_is_purged_or_goes_with_its_queue_is_removed_and_not_taken_for_what_comes_later(wire, server):
    sender = wire.peer("sender")
    sender.publishes("addition", "same")
    sender.says(spec.Queue.Purge(queue="addition"))
    sender.hears(spec.Queue.PurgeOk(message_count=1))
    sender.publishes("addition", "same")
    server.acks(server.gets("addition", "same"))
    sender.publishes("addition", "gone with its queue")
    sender.says(spec.Queue.Delete(queue="addition"))
    sender.hears(spec.Queue.DeleteOk(message_count=1))
    assert list(states(wire).values()) == ["removed", "acked", "removed"]
    assert all(message.settled for message in wire.story.messages)


def test_what_is_held_when_its_queue_is_purged_stays(wire, server):
    sender = wire.peer("sender")
    sender.publishes("addition", "held")
    tag = server.gets("addition", "held")
    sender.says(spec.Queue.Purge(queue="addition"))
    sender.hears(spec.Queue.PurgeOk(message_count=0))
    server.acks(tag)
    assert states(wire) == {"message 1": "acked"}
