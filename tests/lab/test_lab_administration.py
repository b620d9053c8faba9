from __future__ import annotations

import pytest

from rpclab import QueueInUse, QueueNotFound

BOTH = pytest.mark.parametrize("operation", ["purge", "delete"])


@pytest.fixture
def channel(lab):
    channel = lab.connect("owner").channel()
    channel.confirm_delivery()
    channel.queue_declare("addition", durable=True)
    for number in range(3):
        channel.basic_publish("", "addition", str(number))
    return channel


def test_purging_returns_how_many_messages_there_were_and_keeps_the_queue(lab, channel):
    assert lab.purge("addition") == 3
    assert lab.purge("addition") == 0
    assert lab.queues()["addition"]["ready"] == 0


def test_purging_leaves_unacknowledged_messages_alone(lab, channel):
    channel.basic_get("addition")
    assert lab.purge("addition") == 2
    assert lab.queues()["addition"]["unacked"] == 1


def test_deleting_returns_how_many_messages_went_with_the_queue(lab, channel):
    assert lab.delete("addition") == 3
    assert len(lab.queues()) == 0


@BOTH
def test_a_missing_queue_is_named_together_with_those_there_are(lab, channel, operation):
    channel.queue_declare("fibonacci", durable=True)
    with pytest.raises(QueueNotFound, match=r"'adition'.*Its queues: addition, fibonacci"):
        getattr(lab, operation)("adition")


@BOTH
def test_in_an_empty_lab_a_missing_queue_is_told_so(lab, operation):
    with pytest.raises(QueueNotFound, match="Its queues: none"):
        getattr(lab, operation)("addition")


@BOTH
def test_a_queue_of_another_connection_alone_is_in_use(lab, channel, operation):
    name = channel.queue_declare("", exclusive=True).method.queue
    with pytest.raises(QueueInUse, match="declared this exclusive queue"):
        getattr(lab, operation)(name)
    assert len(lab.queues()) == 2


@BOTH
def test_a_callback_queue_can_be_named_as_the_lab_shows_it(lab, channel, operation):
    channel.queue_declare("", exclusive=True)
    with pytest.raises(QueueInUse):
        getattr(lab, operation)("callback queue of owner")
