"""Publisher confirms: what the broker does not take ends with its own error, and `send` waits for the confirm."""

from __future__ import annotations

import time

import pika
import pytest
from waiting import until

from rpclab import RequestRejected, RpcClient, RpcTimeout, UnroutableError

LONG = 60


@pytest.fixture
def full(lab):
    """A queue that holds one message, is full, and rejects."""
    channel = lab.connect().channel()
    channel.queue_declare("full", durable=True, arguments={"x-max-length": 1, "x-overflow": "reject-publish"})
    channel.basic_publish("", "full", "first")
    lab.wait_for("full", ready=1)
    return "full"


def test_every_request_is_published_on_a_channel_that_confirms(lab, shout):
    with RpcClient("shout") as client:
        client.call("hello")
    published = next(e for e in list(lab.tap.events) if e.name == "Basic.Publish" and e.body == b"hello")
    on_it = [e for e in list(lab.tap.events) if (e.link, e.channel) == (published.link, published.channel)]
    assert "Confirm.Select" in {e.name for e in on_it}
    confirmed = until(lambda: lab.story.requests and lab.story.requests[0].confirmed)
    assert confirmed


@pytest.mark.parametrize("kind", ["exclusive", "direct", "replies"])
def test_a_full_queue_that_rejects_is_an_error_at_once(lab, full, kind):
    with RpcClient(full, timeout=LONG, reply=kind) as client:
        began = time.monotonic()
        with pytest.raises(RequestRejected, match=r"basic\.nack.*'full'.*x-overflow=reject-publish"):
            client.call("x")
        with pytest.raises(RequestRejected):
            client.send("x", reply_to="replies")
        assert time.monotonic() - began < LONG / 2
        assert (client.stats.returned, client.stats.timed_out, len(client._session.calls)) == (2, 0, 0)
        session = client._session
        lab.purge(full)
        assert client.send("y", reply_to="replies")
        assert client._session is session
    assert lab.wait_for(full, ready=1)


def test_of_many_requests_to_a_queue_that_fills_up_each_learns_its_own_end(lab):
    limits = {"x-max-length": 10, "x-overflow": "reject-publish"}
    lab.connect().channel().queue_declare("small", durable=True, arguments=limits)
    with RpcClient("small", timeout=LONG) as client:
        calls = [client.submit(f"word {number}") for number in range(100)]
        until(lambda: client.stats.returned == 90)
        assert [call.done() for call in calls] == [False] * 10 + [True] * 90
        assert all(isinstance(call.exception(), RequestRejected) for call in calls[10:])


def test_with_retry_a_full_queue_is_tried_again_until_there_is_room(lab, full):
    with RpcClient(full, timeout=LONG, retry=0.1) as client:
        call, session = client.submit("second"), client._session
        until(lambda: call.times_sent > 2)
        lab.purge(full)
        lab.wait_for(full, ready=1)
        channel = lab.connect().channel()
        _, properties, body = channel.basic_get(full, auto_ack=True)
        channel.basic_publish("", properties.reply_to, body.upper(), properties)
        assert call.result(60) == "SECOND"
        assert client._session is session


def test_with_retry_a_queue_that_stays_full_is_told_at_the_deadline(lab, full):
    with RpcClient(full, timeout=1.5, retry=0.1) as client:
        with pytest.raises(RequestRejected, match=r"'full'.*each of the [3-5] times it was sent within 1\.5 s"):
            client.call("x")
        assert sum(event.name == "Connection.OpenOk" for event in list(lab.tap.events)) == 2
    lab.wait_for(full, ready=1)


def test_send_to_a_missing_queue_is_an_error_at_once(lab):
    with RpcClient("nowhere", timeout=LONG) as client:
        with pytest.raises(UnroutableError, match="no queue 'nowhere'"):
            client.send("x", reply_to="replies")
        assert client.stats.returned == 1


def test_send_returns_when_the_broker_has_taken_the_message(lab):
    lab.connect().channel().queue_declare("later", durable=True)
    with RpcClient("later") as client:
        for number in range(1, 21):
            client.send("x", reply_to="replies")
            assert lab.queues()["later"]["ready"] == number


def test_send_gives_up_at_its_timeout_when_the_broker_does_not_confirm(lab):
    lab.connect().channel().queue_declare("later", durable=True)
    with RpcClient("later", timeout=LONG) as client:
        lab.tap.freeze("RpcClient")
        began = time.monotonic()
        with pytest.raises(RpcTimeout, match=r"not confirmed the request within 0\.3 s\. .*may still take it"):
            client.send("x", reply_to="replies", timeout=0.3)
        assert 0.3 <= time.monotonic() - began < 8
        lab.tap.thaw("RpcClient")


def test_a_reply_to_a_message_that_was_sent_for_another_consumer_answers_no_call(lab):
    channel = lab.connect().channel()
    channel.queue_declare("later", durable=True)
    with RpcClient("later") as client:
        identifier = client.send("x", reply_to="replies")
        queue = lab.queues()["callback queue of RpcClient"]["queue"]
        channel.basic_publish("", queue, "forged", pika.BasicProperties(correlation_id=identifier))
        until(lambda: client.stats.duplicate == 1)
