"""Programs with nothing wrong: a finding here is a false alarm. Hints that are true are listed, with why."""

from __future__ import annotations

import asyncio
import time

import aio_pika
import denied
import pytest
from aio_pika.patterns import RPC
from faststream.rabbit import RabbitBroker
from waiting import awaited, until

import rpclab


def nothing_wrong(lab: rpclab.Lab, messages: int) -> None:
    diagnosis = lab.diagnose()
    assert not diagnosis.findings, str(diagnosis)
    assert diagnosis.seen >= messages


class Napper(rpclab.RpcServer):
    """Sleeps as long as it is told."""

    def __init__(self):
        super().__init__("naps")

    def handle(self, body: str) -> str:
        time.sleep(float(body))
        return "awake"


def test_the_courses_clients_servers_and_callback_workers(lab):
    callback = rpclab.ADDITION_CALLBACK_QUEUE
    with (
        rpclab.Workers(rpclab.AdditionServer, count=2), rpclab.Workers(rpclab.CallbackWorker, callback, count=2),
        rpclab.AddClient() as add,
    ):
        for number in range(6):
            add.call(number, 5)
        for future in [add.submit(number, 5) for number in range(30)]:
            future.result()
        add.send(3, 4, reply_to=callback)
        add.send(5, 6, reply_to=callback)
        until(lambda: len(lab.story.requests) == 38)
        lab.wait_for(callback, ready=0, unacked=0)
        nothing_wrong(lab, 76)
    nothing_wrong(lab, 76)


def test_workers_that_are_killed_and_their_requests_delivered_again(lab):
    with rpclab.Workers(Napper, count=1) as workers, rpclab.RpcClient("naps") as naps:
        future = naps.submit("1", timeout=20)
        lab.wait_for("naps", unacked=1)
        workers.kill(0)
        lab.wait_for("naps", ready=1)
        workers.scale(1)
        assert future.result() == "awake"
        lab.wait_for("naps", ready=0, unacked=0)
        nothing_wrong(lab, 2)


@pytest.mark.parametrize("reply", ["direct", "answers"])
def test_the_courses_other_ways_to_reply(lab, reply):
    with rpclab.Workers(rpclab.AdditionServer, count=1), rpclab.AddClient(reply=reply) as add:
        assert [future.result() for future in [add.submit(n, 1) for n in range(20)]] == list(range(1, 21))
        nothing_wrong(lab, 40)


def test_an_error_as_a_reply(lab):
    with rpclab.Workers(rpclab.AdditionServer, count=1), rpclab.RpcClient("addition") as add:
        with pytest.raises(rpclab.RemoteError):
            add.call("three")
        nothing_wrong(lab, 2)


@pytest.mark.parametrize("fault", ["kill", "cut", "freeze"])
def test_what_the_control_room_breaks_is_no_mistake_of_its_programs(lab, fault):
    room = rpclab.ControlRoom(lab, count=2)
    room.start()
    room.wait()
    room.fire("AddClient", 3, 5)
    room.break_it(fault)
    room.wait()
    nothing_wrong(lab, 3)
    room.close()


CONNECT = """
import os, sys, time, uuid
import pika
connection = pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"]))
channel = connection.channel()
"""
WORK_QUEUE = CONNECT + """
channel.queue_declare("tasks", durable=True)
channel.basic_qos(prefetch_count=1)
def work(channel, method, properties, body):
    time.sleep(body.count(b".") / 100)
    channel.basic_ack(method.delivery_tag)
channel.basic_consume("tasks", work)
channel.start_consuming()
"""
NEW_TASKS = CONNECT + """
channel.queue_declare("tasks", durable=True)
for number in range(12):
    channel.basic_publish("", "tasks", f"task {number}" + "." * number, pika.BasicProperties(delivery_mode=2))
connection.close()
"""
HELLO = CONNECT + """
channel.queue_declare("hello", durable=True, arguments={"x-queue-type": "quorum"})
channel.basic_publish("", "hello", "Hello")
connection.close()
"""
HEAR_HELLO = CONNECT + """
channel.queue_declare("hello", durable=True, arguments={"x-queue-type": "quorum"})
channel.basic_consume("hello", lambda *message: None, auto_ack=True)
channel.start_consuming()
"""
SUBSCRIBE = CONNECT + """
exchange, kind, *keys = sys.argv[1:]
channel.exchange_declare(exchange, kind)
queue = channel.queue_declare("", exclusive=True).method.queue
for key in keys:
    channel.queue_bind(queue, exchange, key)
channel.basic_consume(queue, lambda *message: None, auto_ack=True)
channel.start_consuming()
"""
EMIT = CONNECT + """
exchange, kind, *keys = sys.argv[1:]
channel.exchange_declare(exchange, kind)
for key in keys:
    channel.basic_publish(exchange, key, "something happened")
connection.close()
"""
FIBONACCI_SERVER = CONNECT + """
channel.queue_declare("rpc_queue", durable=True)
def fibonacci(n):
    return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)
def on_request(channel, method, properties, body):
    answer = pika.BasicProperties(correlation_id=properties.correlation_id)
    channel.basic_publish("", properties.reply_to, str(fibonacci(int(body))), answer)
    channel.basic_ack(method.delivery_tag)
channel.basic_qos(prefetch_count=1)
channel.basic_consume("rpc_queue", on_request)
channel.start_consuming()
"""
FIBONACCI_CLIENT = CONNECT + """
class Client:
    def __init__(self):
        self.queue = channel.queue_declare("", exclusive=True).method.queue
        channel.basic_consume(self.queue, self.on_response, auto_ack=True)
    def on_response(self, channel, method, properties, body):
        if properties.correlation_id == self.id:
            self.response = body
    def call(self, n):
        self.response, self.id = None, str(uuid.uuid4())
        asked = pika.BasicProperties(reply_to=self.queue, correlation_id=self.id)
        channel.basic_publish("", "rpc_queue", str(n), asked)
        while self.response is None:
            connection.process_data_events(time_limit=None)
        return int(self.response)
client = Client()
assert [client.call(n) for n in range(10)][-1] == 34
connection.close()
"""


def test_the_official_tutorials_1_and_2(lab, run):
    assert run(HELLO, "send").wait() == 0
    run(HEAR_HELLO, "receive")
    lab.wait_for("hello", ready=0, unacked=0, consumers=1)
    for name in ("worker-1", "worker-2"):
        run(WORK_QUEUE, name)
    lab.wait_for("tasks", consumers=2)
    assert run(NEW_TASKS, "new-task").wait() == 0
    lab.wait_for("tasks", ready=0, unacked=0)
    nothing_wrong(lab, 13)


@pytest.mark.parametrize(("kind", "bound", "keys"), [
    ("fanout", [""], ["", ""]), ("direct", ["warning", "error"], ["info", "warning", "error"]),
    ("topic", ["kern.*", "*.critical"], ["kern.info", "cron.info", "cron.critical"]),
])
def test_the_official_tutorials_3_to_5(lab, run, kind, bound, keys):
    # Before anybody listens, and with keys that nobody has bound: that is how an exchange filters.
    assert run(EMIT, "emit", "logs", kind, *keys).wait() == 0
    run(SUBSCRIBE, "receive", "logs", kind, *bound)
    until(lambda: len(lab.bindings().where(exchange="logs")) == len(bound))
    assert run(EMIT, "emit", "logs", kind, *keys).wait() == 0
    nothing_wrong(lab, 2 * len(keys))


def test_the_official_tutorial_6(lab, run):
    for name in ("server-1", "server-2"):
        run(FIBONACCI_SERVER, name)
    lab.wait_for("rpc_queue", consumers=2)
    assert [client.wait() for client in [run(FIBONACCI_CLIENT, f"client-{n}") for n in range(3)]] == [0, 0, 0]
    nothing_wrong(lab, 60)


async def _aio_pika(url: str) -> None:
    async with await aio_pika.connect_robust(url) as server, await aio_pika.connect_robust(url) as client:
        serving = await RPC.create(await server.channel())
        asking = await RPC.create(await client.channel())

        async def multiply(*, x: int, y: int) -> int:
            return x * y

        await serving.register("multiply", multiply, auto_delete=True)
        assert await asyncio.gather(*(asking.proxy.multiply(x=2, y=y) for y in range(20))) == list(range(0, 40, 2))


@denied.aio_pikas_rpc
def test_aio_pikas_rpc(lab):
    awaited(_aio_pika(lab.url.split("?")[0]))
    nothing_wrong(lab, 40)


async def _faststream(url: str) -> None:
    broker, client = RabbitBroker(url, logger=None), RabbitBroker(url, logger=None)

    @broker.subscriber("add")
    async def add(body: str) -> str:
        return str(sum(map(int, body.split(","))))

    async with broker, client:
        await broker.start()
        replies = await asyncio.gather(*(client.request(f"{n},1", "add", timeout=10) for n in range(20)))
        assert [await reply.decode() for reply in replies] == [str(n + 1) for n in range(20)]


def test_faststreams_requests(lab):
    awaited(_faststream(lab.url.split("?")[0]))
    nothing_wrong(lab, 40)


CELERY = """
import os, sys
from celery import Celery
app = Celery("adding", broker=os.environ["PLAIN_URL"], backend="rpc://")
app.conf.task_default_queue = "adding"
@app.task(name="add")
def add(x, y):
    return x + y
if sys.argv[1] == "worker":
    app.worker_main(["worker", "--pool=solo", "--loglevel=ERROR"])
else:
    assert [result.get(timeout=20) for result in [add.delay(n, 1) for n in range(12)]] == list(range(1, 13))
"""


def test_celery(lab, run):
    run(CELERY, "celery", "worker")
    lab.wait_for("adding", consumers=1, timeout=40)
    assert run(CELERY, "client", "client").wait() == 0
    until(lambda: all(request.settled for request in lab.story.requests))
    nothing_wrong(lab, 24)


KOMBU = """
import os, sys, uuid
from kombu import Connection, Consumer, Exchange, Producer, Queue
from kombu.mixins import ConsumerProducerMixin
tasks = Queue("kombu_rpc", Exchange(""), routing_key="kombu_rpc")
class Worker(ConsumerProducerMixin):
    def __init__(self, connection):
        self.connection = connection
    def get_consumers(self, consumer, channel):
        return [consumer(queues=[tasks], on_message=self.on_request, prefetch_count=1)]
    def on_request(self, message):
        self.producer.publish(str(sum(message.payload)), exchange="", routing_key=message.properties["reply_to"],
                              correlation_id=message.properties["correlation_id"])
        message.ack()
with Connection(os.environ["PLAIN_URL"]) as connection:
    if sys.argv[1] == "worker":
        Worker(connection).run()
    own, replies = Queue(str(uuid.uuid4()), exclusive=True, auto_delete=True), []
    with Producer(connection) as producer, Consumer(connection, queues=[own], no_ack=True,
                                                    on_message=lambda message: replies.append(message)):
        for number in range(10):
            producer.publish([number, 1], exchange="", routing_key=tasks.name, declare=[own], reply_to=own.name,
                             correlation_id=str(uuid.uuid4()))
            while len(replies) <= number:
                connection.drain_events(timeout=10)
"""


def test_kombu(lab, run):
    run(KOMBU, "kombu", "worker")
    lab.wait_for("kombu_rpc", consumers=1)
    assert run(KOMBU, "client", "client").wait() == 0
    nothing_wrong(lab, 20)
