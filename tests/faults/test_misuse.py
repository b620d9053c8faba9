from __future__ import annotations

import pika
import pytest
from pika.exceptions import ChannelClosedByBroker
from shouting import QUEUE, Shouter
from waiting import until

from rpclab import InvalidOption, QueueArgumentsDiffer, RpcClient, RpcServer, WorkerFailed, Workers
from rpclab.broker import broker_errors

DIRECT_REPLY_TO = "amq.rabbitmq.reply-to"


def refusal_of(channel, action) -> str:
    """Return what the lab says about the broker's closing a channel because of something done on it."""

    def act_and_wait() -> None:
        action()
        channel.basic_qos()

    with pytest.raises(ChannelClosedByBroker) as raised:
        act_and_wait()
    return str(broker_errors.explained(raised.value))


# 17

class TwiceAcknowledging(Shouter):
    """Acknowledges what it takes at once, and once more when it has replied."""

    def on_request(self, ch, method, properties, body) -> None:
        super().on_request(ch, method, properties, body)
        ch.basic_ack(method.delivery_tag)


class ElsewhereAcknowledging(Shouter):
    """Acknowledges what it takes on a channel that it did not come by, and then again as it should."""

    def on_request(self, ch, method, properties, body) -> None:
        super().on_request(ch, method, properties, body)
        if body == b"elsewhere":
            ch.connection.channel(on_open_callback=lambda other: other.basic_ack(method.delivery_tag))


def test_a_server_that_acknowledges_twice_is_told_why_and_lives_on_a_new_channel(lab):
    with Workers(TwiceAcknowledging, count=1) as workers, RpcClient(QUEUE, timeout=20) as client:
        pids = workers.pids
        for number in (1, 2, 3):
            assert client.call(f"word {number}") == f"WORD {number}"
            (*_, said) = workers.wait_for_lines("406", number)
            assert "was acknowledged before" in said
            assert "Going on with a new channel" in said
            workers.wait_for_lines("started on queue", number + 1)
        assert workers.pids == pids
        lab.wait_for(QUEUE, ready=0, unacked=0)


def test_a_server_that_acknowledges_on_another_channel_lives(lab):
    with Workers(ElsewhereAcknowledging, count=1) as workers, RpcClient(QUEUE, timeout=20) as client:
        pids = workers.pids
        for word in ("hello", "elsewhere", "again"):
            assert client.call(word) == word.upper()
        assert workers.pids == pids
        lab.wait_for(QUEUE, ready=0, unacked=0)


def test_an_acknowledgement_on_another_channel_is_explained(lab):
    with lab.connect() as connection:
        channel, other = connection.channel(), connection.channel()
        channel.queue_declare(QUEUE, durable=True)
        channel.basic_publish("", QUEUE, b"hello")
        lab.wait_for(QUEUE, ready=1)
        method, _, _ = channel.basic_get(QUEUE)
        said = refusal_of(other, lambda: other.basic_ack(method.delivery_tag))
        assert "406" in said
        assert "another channel delivered it" in said
        assert "on the channel that the callback got" in said
        assert channel.is_open


# 20

@pytest.mark.parametrize(
    ("misuse", "advice"),
    [
        (
            lambda channel: channel.basic_consume(DIRECT_REPLY_TO, lambda *_: None, auto_ack=False),
            "consume with auto_ack=True",
        ),
        (
            lambda channel: channel.basic_publish("", QUEUE, b"hello", reply_to(DIRECT_REPLY_TO)),
            "consume from amq.rabbitmq.reply-to on this channel, then publish",
        ),
        (
            lambda channel: [
                channel.basic_consume(DIRECT_REPLY_TO, lambda *_: None, auto_ack=True) for _ in range(2)
            ],
            "A channel can have one direct reply-to consumer",
        ),
    ],
    ids=["manual acknowledgement", "publishing before consuming", "a second consumer"],
)
def test_misused_direct_reply_to_is_explained(lab, misuse, advice):
    with lab.connect() as connection:
        channel = connection.channel()
        channel.queue_declare(QUEUE, durable=True)
        said = refusal_of(channel, lambda: misuse(channel))
        assert "406" in said
        assert advice in said


def reply_to(queue: str) -> pika.BasicProperties:
    return pika.BasicProperties(reply_to=queue, correlation_id="1")


# 21

class Choosy(Shouter):
    """Answers only to queues whose names say what they are for."""

    options = {"callback_queues": r"amq\.gen-.*|.*callback.*"}


def refuses(lab, stranger, server: type[Shouter], victim: str) -> str:
    """Check that a request is not worked on whose reply would go to a queue, and return what the server says of it."""
    with Workers(server, count=1) as workers:
        stranger.channel.queue_declare(victim, durable=True)
        stranger.send(QUEUE, "transfer everything", reply_to=victim)
        (said,) = workers.wait_for_lines("request refused")
        assert repr(victim) in said
        stranger.send(QUEUE, "hello")
        assert stranger.next_reply()[1] == b"HELLO"
        lab.wait_for(QUEUE, ready=0, unacked=0)
        lab.wait_for(victim, ready=0)
        assert "TRANSFER" not in workers.log
        return said


@pytest.mark.parametrize("victim", [QUEUE, f"{QUEUE}.dead", f"{QUEUE}.answered"])
def test_a_reply_that_would_go_to_one_of_the_servers_own_queues_is_refused(lab, stranger, victim):
    said = refuses(lab, stranger, Shouter, victim)
    reason = "a queue that this process takes requests from" if victim == QUEUE else "keeps for itself"
    assert reason in said


def test_a_server_that_answers_only_to_some_queues_refuses_the_others_and_says_to_which(lab, stranger):
    assert "not among the callback_queues that this server replies to" in refuses(lab, stranger, Choosy, "payments")


def test_a_reply_to_a_service_of_the_same_process_is_refused_until_that_service_has_stopped(lab, serve, stranger):
    other = serve(RpcServer("other", str.upper))
    serve(RpcServer(QUEUE, str.upper))
    lab.wait_for("other", consumers=1)
    stranger.send(QUEUE, "transfer everything", reply_to="other")
    lab.wait_for(QUEUE, ready=0, unacked=0, consumers=1)
    other.stop()
    lab.wait_for("other", ready=0, consumers=0)

    def gets_a_reply() -> bool:
        stranger.send(QUEUE, "now it is a queue like others", reply_to="other")
        return lab.queues()["other"]["ready"] > 0

    until(gets_a_reply)


def test_a_regular_expression_that_is_none_is_named(lab):
    with pytest.raises(InvalidOption, match=r"callback_queues='\(' is no regular expression"):
        RpcServer(QUEUE, str.upper, callback_queues="(")
    assert not lab.tap.links()


def test_a_request_that_is_refused_is_dead_lettered_where_the_queue_says_so(lab, stranger):
    lab._api.put("policies", lab.vhost, "refused", json={
        "pattern": f"^{QUEUE}$", "apply-to": "queues",
        "definition": {"dead-letter-exchange": "", "dead-letter-routing-key": "refused"},
    })
    stranger.channel.queue_declare("refused", durable=True)
    refuses(lab, stranger, Shouter, f"{QUEUE}.dead")
    lab.wait_for("refused", ready=1)


def test_a_request_without_reply_to_is_done_and_nobody_is_told(lab, stranger):
    with Workers(Shouter, count=1) as workers:
        stranger.send(QUEUE, "just do it", reply_to=None)
        workers.wait_for_lines("no reply_to: the reply is dropped")
        stranger.send(QUEUE, "hello")
        assert stranger.next_reply()[1] == b"HELLO"
        lab.wait_for(QUEUE, ready=0, unacked=0)


# 24

BOTH_REMEDIES = r"Declare it with the same value, or delete it first .*lab\.delete\(name\)"


def test_a_server_whose_queue_has_other_arguments_names_the_one_that_differs_and_both_remedies(lab, stranger):
    stranger.channel.queue_declare(QUEUE, durable=True, arguments={"x-max-length": 10})
    with pytest.raises(QueueArgumentsDiffer, match=rf"(?s)'{QUEUE}'.*'x-max-length'.*{BOTH_REMEDIES}"):
        RpcServer(QUEUE, str.upper)
    until(lambda: [link.name for link in lab.tap.links()] == ["stranger"])
    with pytest.raises(WorkerFailed, match=rf"(?s)QueueArgumentsDiffer.*'x-max-length'.*{BOTH_REMEDIES}"):
        Workers(Shouter, count=1)
    lab.delete(QUEUE)
    with Workers(Shouter, count=1), RpcClient(QUEUE) as client:
        assert client.call("hello") == "HELLO"


def test_a_client_whose_callback_queue_has_other_arguments_names_the_one_that_differs(lab, stranger):
    stranger.channel.queue_declare("callbacks", durable=True, arguments={"x-message-ttl": 1000})
    with pytest.raises(QueueArgumentsDiffer, match=rf"(?s)'x-message-ttl'.*{BOTH_REMEDIES}"):
        RpcClient(QUEUE, reply="callbacks")


def test_a_change_of_queue_type_is_named_as_well(lab, stranger):
    stranger.channel.queue_declare(QUEUE, durable=True)
    with pytest.raises(QueueArgumentsDiffer, match=rf"(?s)'{QUEUE}'.*'x-queue-type'.*{BOTH_REMEDIES}"):
        RpcServer(QUEUE, str.upper, queue_type="quorum")
