"""The callback feed without a browser: what it sees of a queue, and what it would show."""

from __future__ import annotations

import threading

import pika
import pytest
from showing import rows, shown
from waiting import until

from rpclab import ADDITION_CALLBACK_QUEUE, AddClient, AdditionServer, CallbackFeed, CallbackWorker, LabError

QUEUE = "watched_callback"


@pytest.fixture
def channel(lab):
    channel = lab.connect("tester").channel()
    channel.confirm_delivery()
    channel.queue_declare(QUEUE, durable=True)
    return channel


@pytest.fixture
def feed(lab, channel):
    feed = CallbackFeed(QUEUE)
    yield feed
    feed.close()


def publish(channel, body: str | bytes, **properties) -> None:
    channel.basic_publish("", QUEUE, body, pika.BasicProperties(**properties))


@pytest.fixture
def receiver(lab, channel):
    """A second connection; call it to have one delivery brought and dealt with by a method of the channel."""
    connection = lab.connect("receiver")
    incoming = connection.channel()
    brought = []
    incoming.basic_consume(QUEUE, lambda ch, method, *_: brought.append(method.delivery_tag))

    def take(how: str, **options) -> None:
        until(lambda: connection.process_data_events(0) or brought)
        getattr(incoming, how)(brought.pop(0), **options)
        connection.process_data_events(0)

    take.connection = connection
    take.brought = brought
    return take


def test_an_answer_is_seen_with_its_sender_its_receiver_and_its_end(lab, serve):
    feed = CallbackFeed(ADDITION_CALLBACK_QUEUE)
    serve(AdditionServer())
    serve(CallbackWorker(ADDITION_CALLBACK_QUEUE))
    with AddClient() as add:
        identifier = add.send(3, 5, reply_to=ADDITION_CALLBACK_QUEUE)
    (arrival,) = feed.wait(1).arrivals
    assert (arrival.number, arrival.body, arrival.state) == (1, "8", "acknowledged")
    assert arrival.correlation_id == identifier
    names = [event.link.name for event in list(lab.tap.events) if event.name in ("Basic.Publish", "Basic.Ack")]
    assert {arrival.sender, arrival.receiver} <= set(names)
    assert arrival.sender != arrival.receiver
    feed.close()


def test_a_message_goes_from_waiting_to_delivered_to_acknowledged(feed, channel, lab):
    publish(channel, "8", correlation_id="abc")
    until(lambda: feed.results == ["8"])
    (arrival,) = feed.arrivals
    assert (arrival.sender, arrival.receiver, arrival.state) == ("tester", None, "waiting")
    connection = lab.connect("receiver")
    incoming = connection.channel()
    brought = []
    incoming.basic_consume(QUEUE, lambda ch, method, *_: brought.append(method.delivery_tag))
    until(lambda: connection.process_data_events(0) or brought)
    until(lambda: (arrival.receiver, arrival.state) == ("receiver", "delivered"))
    incoming.basic_ack(brought[0])
    connection.process_data_events(0)
    assert feed.wait(1).arrivals == [arrival]
    assert arrival.state == "acknowledged"


@pytest.mark.parametrize("how", ["basic_nack", "basic_reject"])
def test_a_message_that_is_given_back_waits_again_and_is_no_new_one(feed, channel, receiver, how):
    publish(channel, "8")
    receiver(how, requeue=True)
    receiver("basic_ack")
    assert len(feed.wait(1).arrivals) == 1


def test_a_message_that_is_rejected_is_neither_waiting_nor_acknowledged(feed, channel, receiver):
    publish(channel, "8")
    receiver("basic_reject", requeue=False)
    until(lambda: [arrival.state for arrival in feed.arrivals] == ["rejected"])
    until(lambda: "rejected" in shown(feed))
    with pytest.raises(LabError, match="0 of 1"):
        feed.wait(1, timeout=0)


def test_a_message_that_nobody_took_in_time_is_expired(feed, channel):
    publish(channel, "8", expiration="20")
    until(lambda: [arrival.state for arrival in feed.arrivals] == ["expired"])


def test_a_message_for_a_queue_that_is_not_there_did_not_arrive_anywhere(lab, channel):
    feed = CallbackFeed("misspelled")
    channel.basic_publish("", "misspelled", "8")
    until(lambda: [arrival.state for arrival in feed.arrivals] == ["no queue"])
    until(lambda: "no queue" in shown(feed))
    feed.close()


def test_what_was_delivered_before_the_feed_and_acknowledged_after_did_not_arrive_in_it(lab, channel, receiver):
    publish(channel, "early")
    until(lambda: receiver.connection.process_data_events(0) or receiver.brought)
    feed = CallbackFeed(QUEUE)
    receiver("basic_ack")
    publish(channel, "late")
    until(lambda: feed.results == ["late"])
    feed.close()


def test_a_message_in_several_queues_has_a_state_in_each(lab, feed, channel, receiver):
    channel.queue_declare("other", durable=True)
    for queue in (QUEUE, "other"):
        channel.queue_bind(queue, "amq.fanout")
    other = CallbackFeed("other")
    channel.basic_publish("amq.fanout", "", "8")
    receiver("basic_ack")
    assert feed.wait(1).results == ["8"]
    assert [arrival.state for arrival in feed.arrivals] == ["acknowledged"]
    assert [arrival.state for arrival in other.arrivals] == ["waiting"]
    other.close()


def test_a_queue_that_the_broker_named_is_watched_under_either_of_its_names(lab):
    lab.connect("tester").channel().queue_declare("", exclusive=True)
    row = lab.queues()["callback queue of tester"]
    feeds = [CallbackFeed(row["queue"]), CallbackFeed(row["name"])]
    lab.connect("sender").channel().basic_publish("", row["queue"], "8")
    for feed in feeds:
        until(lambda feed=feed: feed.results == ["8"])
        feed.close()


def test_several_are_acknowledged_together(feed, channel, receiver):
    for number in range(3):
        publish(channel, str(number))
    until(lambda: receiver.connection.process_data_events(0) or len(receiver.brought) == 3)
    receiver.brought[:] = receiver.brought[-1:]
    receiver("basic_ack", multiple=True)
    assert feed.wait(3).results == ["0", "1", "2"]


def test_what_a_lost_connection_held_waits_again(feed, channel, receiver):
    publish(channel, "8")
    until(lambda: receiver.connection.process_data_events(0) or receiver.brought)
    until(lambda: [arrival.state for arrival in feed.arrivals] == ["delivered"])
    receiver.connection.close()
    until(lambda: [arrival.state for arrival in feed.arrivals] == ["waiting"])


def test_what_was_there_before_the_feed_is_seen_when_it_is_taken(lab, channel):
    publish(channel, "early")
    feed = CallbackFeed(QUEUE)
    assert feed.results == []
    connection = lab.connect("receiver")
    incoming = connection.channel()
    incoming.basic_consume(QUEUE, lambda ch, method, *_: ch.basic_ack(method.delivery_tag))
    until(lambda: connection.process_data_events(0) or feed.results)
    (arrival,) = feed.wait(1).arrivals
    assert (arrival.body, arrival.sender, arrival.receiver) == ("early", "tester", "receiver")
    feed.close()


def test_messages_on_other_queues_are_not_its_business(feed, channel):
    channel.queue_declare("other", durable=True)
    channel.basic_publish("", "other", "not for here")
    publish(channel, "for here")
    until(lambda: feed.results)
    assert feed.results == ["for here"]


@pytest.mark.parametrize("value", ["<img src=x onerror=alert(1)>", "\"'><script>alert(1)</script>"])
def test_a_body_and_an_id_are_handed_to_the_front_end_as_they_are(feed, channel, value):
    publish(channel, value, correlation_id=value)
    until(lambda: "1 arrived" in shown(feed))
    (cells,) = rows(feed)
    assert (cells[1], cells[5]) == (value, value[:8])


def test_a_connections_name_is_handed_over_as_it_is_too(lab, feed, channel):
    with lab.connect("<b>bold</b>") as connection:
        connection.channel().basic_publish("", QUEUE, "8")
    until(lambda: "1 arrived" in shown(feed))
    assert rows(feed)[0][2] == "<b>bold</b>"


def test_its_text_twin_shows_the_same(feed, channel):
    assert str(feed) == "(nothing arrived yet)"
    publish(channel, b"\xff\n")
    until(lambda: feed.results)
    assert str(feed).splitlines() == [
        "message  body    from    to  state",
        r"      1  \xff\n  tester   -  waiting",
    ]
    assert repr(feed) == f"CallbackFeed('{QUEUE}')"


def test_waiting_in_vain_says_what_came_and_what_to_look_at(feed, channel):
    publish(channel, "8")
    with pytest.raises(LabError, match=rf"0 of 1 messages on '{QUEUE}'.*lab\.queues\(\)"):
        feed.wait(1, timeout=0.2)


def test_it_takes_nothing_from_the_queue(lab, feed, channel):
    publish(channel, "8")
    until(lambda: feed.results)
    row = lab.queues()[QUEUE]
    assert (row["ready"], row["unacked"], row["consumers"]) == (1, 0, 0)


def test_closing_twice_leaves_no_thread_and_no_subscription(lab, channel):
    feed = CallbackFeed(QUEUE)
    publish(channel, "before")
    until(lambda: feed.results)
    feed.close()
    feed.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "rpclab widget"]
    publish(channel, "after")
    until(lambda: any(event.body == b"after" for event in list(lab.tap.events)))
    assert feed.results == ["before"]


def test_without_a_lab_it_says_what_is_missing(lab):
    lab.close()
    with pytest.raises(LabError, match="No lab is open"):
        CallbackFeed(QUEUE)
