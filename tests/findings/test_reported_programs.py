"""Programs of the shapes that people report in public trackers, written anew: what is found must name the cause.

Each is run as a program, in processes of its own.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from subprocess import TimeoutExpired

import pytest
from waiting import until

from rpclab.story import story

CONNECT = """
import os, sys, threading, time, uuid
import pika
def connect(**options):
    parameters = pika.URLParameters(os.environ["AMQP_URL"])
    for name, value in options.items():
        setattr(parameters, name, value)
    return pika.BlockingConnection(parameters)
Properties = pika.BasicProperties
"""
SERVER = CONNECT + """
channel = connect().channel()
channel.queue_declare("orders", durable=True)
def reply(properties, body):
    channel.basic_publish("", properties.reply_to, body, Properties(correlation_id=properties.correlation_id))
def serve(callback, prefetch=1, **options):
    channel.basic_qos(prefetch_count=prefetch)
    channel.basic_consume("orders", callback, **options)
    channel.start_consuming()
"""
CLIENT = CONNECT + """
connection = connect()
channel = connection.channel()
channel.queue_declare("orders", durable=True)
own = channel.queue_declare("", exclusive=True).method.queue
replies = []
def on_reply(channel, method, properties, body):
    replies.append(properties.correlation_id)
channel.basic_consume(own, on_reply, auto_ack=True)
def ask(body, id=None, key="orders", reply_to=None):
    id = id or str(uuid.uuid4())
    channel.basic_publish("", key, body, Properties(reply_to=reply_to or own, correlation_id=id))
    return id
def wait(id, seconds=60):
    end = time.monotonic() + seconds
    while id not in replies and time.monotonic() < end:
        connection.process_data_events(0.05)
"""
ASK_ONE = CLIENT + "wait(ask('one'))"
ASK_FIVE = CLIENT + "[wait(id) for id in [ask(f'order {n}') for n in range(5)]]"


@pytest.mark.parametrize(("rule", "consuming", "callback"), [
    # "406 PRECONDITION_FAILED - unknown delivery tag" of a consumer with noAck that acknowledges
    ("acked-with-auto-ack", "auto_ack=True", """
    reply(properties, body)
    channel.basic_ack(method.delivery_tag)
"""),
    # the same of one whose error handling acknowledges what is acknowledged already
    ("acked-twice", "", """
    try:
        reply(properties, body)
        channel.basic_ack(method.delivery_tag)
    finally:
        channel.basic_ack(method.delivery_tag)
"""),
    # the same of one that acknowledges by the wrapper's channel, and not by the one that it consumes on
    ("acked-on-another-channel", "", """
    reply(properties, body)
    other.basic_ack(method.delivery_tag)
    other.queue_declare("orders", passive=True)
"""),
    # a consumer that counts delivery tags itself
    ("acked-unknown-tag", "", """
    reply(properties, body)
    channel.basic_ack(method.delivery_tag + 7)
"""),
])
def test_unknown_delivery_tags(lab, run, rule, consuming, callback):
    process = run(SERVER + f"""
other = channel.connection.channel()
def work(channel, method, properties, body):{callback}
serve(work, {consuming})
""", "server")
    lab.wait_for("orders", consumers=1)
    run(ASK_ONE, "client")
    assert process.wait() != 0
    found = until(lambda: [finding for finding in lab.diagnose() if finding.rule == rule])
    assert any("unknown delivery tag" in one.text for one in found[0].evidence)
    # What could not be acknowledged waits for another server, since this one has died of the error.
    assert {one.rule for one in lab.diagnose()} <= {rule, "queue-without-consumer"}, str(lab.diagnose())


def test_a_consumer_that_stops_after_as_many_messages_as_its_prefetch(lab, run, told):
    run(SERVER + """
def work(channel, method, properties, body):
    reply(properties, body)
serve(work, prefetch=3)
""", "server")
    lab.wait_for("orders", consumers=1)
    run(ASK_FIVE, "client")
    lab.wait_for("orders", ready=2, unacked=3)
    (finding,) = told("never-acked")
    assert "prefetch limit of 3 is used up" in finding.meaning


def test_two_instances_of_a_service_that_read_the_same_reply_queue(lab, run, told):
    run(SERVER + """
def work(channel, method, properties, body):
    reply(properties, body)
    channel.basic_ack(method.delivery_tag)
serve(work)
""", "server")
    instance = CLIENT + """
channel.queue_declare("replies", durable=True)
channel.basic_consume("replies", on_reply, auto_ack=True)
ids = [ask(f"order {n}", reply_to="replies") for n in range(4)]
[wait(id, 0.5) for id in ids]
wait("forever")
"""
    lab.wait_for("orders", consumers=1)
    run(instance, "billing")
    run(instance, "billing")
    assert all("'replies'" in finding.title for finding in told("stolen-reply"))


def test_frames_of_two_threads(lab, run):
    program = CONNECT + """
sys.setswitchinterval(1e-6)
channel = connect().channel()
channel.queue_declare("orders", durable=True)
def publish():
    while channel.is_open:
        channel.basic_publish("", "orders", b"x" * 300_000, Properties(delivery_mode=2))
for _ in range(6):
    threading.Thread(target=publish).start()
"""

    def mixed() -> bool:
        shop = run(program, "shop")
        with suppress(TimeoutExpired):
            shop.wait(20)
        shop.kill()
        return "mixed-frames" in {finding.rule for finding in lab.diagnose()}

    # Sometimes pika itself fails, or its threads wait for each other, before the frames of two threads are mixed.
    until(mixed, timeout=120)


def test_a_connection_that_is_opened_before_the_fork(lab, run, told):
    run(CONNECT + """
connection = connect()
opened, opens = os.pipe()
# One after the other, as at the same time pika itself may fail in both before the broker sees what is wrong.
if os.fork():
    connection.channel().queue_declare("orders", durable=True)
    os.write(opens, b"x")
    os.wait()
else:
    os.read(opened, 1)
    connection.channel().queue_declare("orders", durable=True)
""", "prefork")
    told("mixed-frames")


def test_a_job_that_takes_longer_than_the_heartbeat(lab, run):
    run(CONNECT + """
channel = connect(heartbeat=1).channel()
channel.queue_declare("jobs", durable=True)
def work(channel, method, properties, body):
    time.sleep(600)
channel.basic_consume("jobs", work)
channel.basic_publish("", "jobs", "long", Properties(delivery_mode=2))
channel.start_consuming()
""", "worker")
    finding = until(lambda: [one for one in lab.diagnose() if one.rule == "missed-heartbeats"])[0]
    assert finding.title.startswith("The broker gave up worker")
    assert finding.title.endswith("while it held 1 message")


@pytest.mark.parametrize("asking", [
    # "fast reply consumer does not exist": separate channels for consuming and publishing
    "channel.basic_consume(direct, print, auto_ack=True); other.basic_publish('', 'orders', 'one', asked)",
    # "reply consumer already set": a consumer for each request
    "channel.basic_consume(direct, print, auto_ack=True); channel.basic_consume(direct, print, auto_ack=True)",
    # "reply consumer cannot acknowledge"
    "channel.basic_consume(direct, print)",
])
def test_direct_reply_to(lab, run, asking):
    run(CONNECT + f"""
connection = connect()
channel, other = connection.channel(), connection.channel()
channel.queue_declare("orders", durable=True)
direct = "amq.rabbitmq.reply-to"
asked = Properties(reply_to=direct, correlation_id="1")
{asking}
other.queue_declare("orders", passive=True)
""", "client")
    until(lambda: "direct-reply-to-misused" in {finding.rule for finding in lab.diagnose()})


SERVES = SERVER + """
def work(channel, method, properties, body):
    reply(properties, body)
    channel.basic_ack(method.delivery_tag)
serve(work)
"""


@pytest.mark.parametrize(("rule", "client"), [
    ("connection-per-request", CONNECT + """
for number in range(6):
    connection = connect()
    channel, replies = connection.channel(), []
    own = channel.queue_declare("", exclusive=True).method.queue
    channel.basic_consume(own, lambda *message: replies.append(message), auto_ack=True)
    channel.basic_publish("", "orders", str(number), Properties(reply_to=own, correlation_id=str(uuid.uuid4())))
    while not replies:
        connection.process_data_events(1)
    connection.close()
"""),
    ("channel-per-request", CLIENT + """
for number in range(6):
    channel = connection.channel()
    wait(ask(str(number)))
"""),
    ("callback-queue-per-request", CLIENT + """
for number in range(6):
    own = channel.queue_declare("", exclusive=True).method.queue
    tag = channel.basic_consume(own, on_reply, auto_ack=True)
    wait(ask(str(number)))
    channel.basic_cancel(tag)
"""),
])
def test_something_new_for_each_request(lab, run, told, rule, client):
    run(SERVES, "server")
    lab.wait_for("orders", consumers=1)
    assert run(client, "client").wait() == 0
    told(rule)


def test_a_queue_that_is_deleted_under_its_consumer(lab, run, told):
    process = run(SERVES, "server")
    lab.wait_for("orders", consumers=1)
    lab.delete("orders")
    # start_consuming() returns, and the program with it.
    assert process.wait() == 0
    (finding,) = told("consumer-cancelled")
    assert finding.title == "The broker cancelled the consumer of server on queue 'orders'"


def test_a_server_that_acknowledges_first_and_raises(lab, run, told):
    run(SERVER + """
def work(channel, method, properties, body):
    channel.basic_ack(method.delivery_tag)
    raise ValueError(body)
serve(work)
""", "server-1")
    lab.wait_for("orders", consumers=1)
    run(SERVES, "server-2")
    lab.wait_for("orders", consumers=2)
    run(ASK_ONE, "client")
    told("died-after-ack", "acked-before-reply")


def test_a_message_that_ends_one_worker_after_the_other(lab, run, told):
    crashing = SERVER + """
def work(channel, method, properties, body):
    reply(properties, str(int(body)))
    channel.basic_ack(method.delivery_tag)
serve(work)
"""
    run(crashing, "server-1")
    run(crashing, "server-2")
    lab.wait_for("orders", consumers=2)
    run(CLIENT + "wait(ask('not a number'))", "client")
    poison, waiting = told("poison", "queue-without-consumer")
    assert "server-1" in poison.title
    assert "server-2" in poison.title
    assert waiting.rule == "queue-without-consumer"


def test_a_message_that_is_requeued_again_and_again(lab, run, told, monkeypatch):
    monkeypatch.setattr(story, "LONGEST_SECONDS", 60.0)
    run(SERVER + """
def work(channel, method, properties, body):
    channel.basic_nack(method.delivery_tag, requeue=True)
serve(work)
""", "server")
    lab.wait_for("orders", consumers=1)
    run(ASK_ONE, "client")
    until(lambda: any(len(message.deliveries) > 100 for message in lab.story.messages))
    # The lab waits until all is quiet, but not for a loop to end.
    with ThreadPoolExecutor(1) as asking:
        asking.submit(lab.diagnose).result(timeout=30)
    (finding,) = told("requeue-loop")
    assert "server" in finding.title


def test_a_client_that_gives_all_requests_the_same_id(lab, run, told):
    run(SERVES, "server")
    lab.wait_for("orders", consumers=1)
    run(CLIENT + "[ask(f'order {n}', id='1') for n in range(3)]\nwait('forever')", "client")
    told("correlation-id-reused")


@pytest.mark.parametrize(("rule", "callback"), [
    # the client's library waits for an id that the server of another language does not copy
    ("reply-without-correlation-id", "channel.basic_publish('', properties.reply_to, body)"),
    ("wrong-correlation-id", "channel.basic_publish('', properties.reply_to, body, Properties(correlation_id='0'))"),
    ("reply-elsewhere",
     "channel.basic_publish('', 'results', body, Properties(correlation_id=properties.correlation_id))"),
    ("two-replies", "reply(properties, body); reply(properties, body)"),
])
def test_replies_that_the_client_cannot_use(lab, run, told, rule, callback):
    run(SERVER + f"""
channel.queue_declare("results", durable=True)
channel.basic_consume("results", lambda *message: None, auto_ack=True)
def work(channel, method, properties, body):
    {callback}
    channel.basic_ack(method.delivery_tag)
serve(work)
""", "server")
    lab.wait_for("orders", consumers=1)
    run(CLIENT + "wait(ask('one'), 1)\nwait('forever')", "client")
    (finding,) = told(rule)
    assert "server" in finding.title


def test_a_prefetch_that_is_set_after_consuming(lab, run, told):
    late = CONNECT + """
channel = connect().channel()
channel.queue_declare("orders", durable=True)
def work(channel, method, properties, body):
    channel.connection.sleep(float(body))
    channel.basic_publish("", properties.reply_to, body, Properties(correlation_id=properties.correlation_id))
    channel.basic_ack(method.delivery_tag)
channel.basic_consume("orders", work)
channel.basic_qos(prefetch_count=1)
channel.start_consuming()
"""
    run(late, "server-1")
    lab.wait_for("orders", consumers=1)
    run(late, "server-2")
    lab.wait_for("orders", consumers=2)
    run(CLIENT + "[wait(id) for id in [ask(str(n % 2)) for n in range(6)]]", "client")
    (finding,) = told("unlimited-prefetch")
    assert "basic_qos(1) after basic_consume" in finding.meaning


def test_a_server_with_auto_ack_that_is_killed(lab, run, told):
    server = run(SERVER + """
def work(channel, method, properties, body):
    time.sleep(600)
serve(work, auto_ack=True)
""", "server")
    lab.wait_for("orders", consumers=1)
    run(ASK_FIVE, "client")
    until(lambda: len([one for one in lab.story.requests if one.deliveries]) == 5)
    server.kill()
    (finding,) = told("auto-ack-loss")
    assert "5 requests" in finding.title


def test_a_queue_that_two_programs_declare_differently(lab, run, told):
    run(CONNECT + """
channel = connect().channel()
channel.queue_declare("orders", durable=True)
channel.queue_declare("orders", durable=True, arguments={"x-message-ttl": 60_000})
""", "shop")
    (finding,) = told("different-declaration")
    assert "'orders'" in finding.title
