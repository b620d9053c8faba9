"""The case study's code as its text has it, and what it is told of its six bugs; lesson 00 numbers them.

All that is added is what the text leaves out: the constants, a function that adds, and where the broker is.
"""

from __future__ import annotations

import pytest

UTILS = """
import multiprocessing, os
import pika
pika.ConnectionParameters = lambda host: pika.URLParameters(os.environ["AMQP_URL"])
ADDITION_QUEUE, ADDITION_CALLBACK_QUEUE = "addition", "addition_callback"
FIBONACI_QUEUE, FIBONACI_CALLBACK_QUEUE = "fibonacci", "fibonacci_callback"

class BaseServer:
    def __init__(self, queue_name):
        self.queue_name = queue_name
        self.connection = pika.BlockingConnection(pika.ConnectionParameters('localhost'))
        self.channel = self.connection.channel()


    def start(self):
        self.channel.basic_consume(
            queue=self.queue_name,
            on_message_callback=self.on_request
        )
        process_nam = multiprocessing.process.current_process().name
        process_id = multiprocessing.process.current_process().pid
        print(f" [x] Server {process_nam} (PID: {process_id}) started on queue '{self.queue_name}'")
        self.channel.start_consuming()
"""
ADDITION_SERVER = UTILS + """
class AdditionServer(BaseServer):
    def on_request(self, ch, method, properties, body):
        print(f" [x] Received: {body.decode()}")
        ch.basic_ack(delivery_tag=method.delivery_tag)

        # if responding back to queue specified by client
        response = sum(map(int, body.decode().split(",")))
        ch.basic_publish(
            exchange='', # if exchange is empty then item pushed to queue with name routing_key
            routing_key=props.reply_to, # client specifies which queue to reply to.
            body=str(response)
        )

AdditionServer(ADDITION_QUEUE).start()
"""
FIBONACCI_SERVER = UTILS + """
class FibonacciServer(BaseServer):
    def __init__(self):
        super().__init__(FIBONACI_QUEUE)

    def fib(self, n):
        if n == 0:
            return 0
        elif n == 1:
            return 1
        else:
            return self.fib(n - 1) + self.fib(n - 2)

    def on_request(self, ch, method, props, body):
        n = int(body)
        print(f" [.] fib({n})")
        response = self.fib(n)
        ch.basic_publish(
            exchange='',
            routing_key=props.reply_to,
            body=str(response)
        )
        ch.basic_ack(delivery_tag=method.delivery_tag)

FibonacciServer().start()
"""
CALLBACK_WORKER = UTILS + """
import sys

class CallBackWorker(BaseServer):
    def on_request(self, ch, method, props, body):
        item = body.decode()
        ch.basic_ack(delivery_tag=method.delivery_tag)

CallBackWorker(sys.argv[1]).start()
"""
ADD_CLIENT = UTILS + """
class AddClient:
    def __init__(self, host='localhost'):
        self.connection = pika.BlockingConnection(
            pika.ConnectionParameters(host=host)
        )
        self.channel = self.connection.channel()

    def add(self, x, y):
        self.channel.basic_publish(
            exchange='',
            routing_key=ADDITION_QUEUE,
            properties=pika.BasicProperties(
                reply_to=ADDITION_CALLBACK_QUEUE
            ),
            body=f"{x},{y}"
        )

x = input("Enter first number")
y = input("Enter second number")
client  = AddClient()
print(f" [x] Requesting {x} + {y}")
response = client.add(x, y)
"""
# The text has no client for its second service: one that asks as the other does.
FIBONACCI_CLIENT = UTILS + """
import sys
channel = pika.BlockingConnection(pika.ConnectionParameters('localhost')).channel()
for n in sys.argv[1:]:
    channel.basic_publish(
        exchange='',
        routing_key=FIBONACI_QUEUE,
        properties=pika.BasicProperties(
            reply_to=FIBONACI_CALLBACK_QUEUE
        ),
        body=n
    )
"""
QUEUES = ("addition", "addition_callback", "fibonacci", "fibonacci_callback")


@pytest.fixture
def queues(lab) -> None:
    """The queues, as somebody made them by hand and forgot."""
    channel = lab.connect("operator").channel()
    for queue in QUEUES:
        channel.queue_declare(queue, durable=True)


def test_bugs_1_and_5_before_there_are_queues(lab, run, told):
    servers = [run(ADDITION_SERVER, "AdditionServer"), run(FIBONACCI_SERVER, "FibonacciServer")]
    workers = [run(CALLBACK_WORKER, "CallBackWorker", queue) for queue in QUEUES[1::2]]
    assert all(process.wait() for process in (*servers, *workers))
    assert run(ADD_CLIENT, "AddClient", typed="3\n5\n").wait() == 0
    findings = told("missing-queue", "unroutable", "missing-correlation-id").findings[:-1]
    assert sum(finding.rule == "missing-queue" for finding in findings) == 4
    assert {finding.see.split(",")[0] for finding in findings} == {"lesson 01", "lesson 03"}


def test_bugs_2_3_5_and_6_of_the_addition_service(lab, run, told, queues):
    for number in range(2):
        run(ADDITION_SERVER, f"AdditionServer-{number}")
        run(CALLBACK_WORKER, f"AdditionCallbackWorker-{number}", "addition_callback")
    lab.wait_for("addition", consumers=2)
    lab.wait_for("addition_callback", consumers=2)
    assert run(ADD_CLIENT, "AddClient", typed="3\n5\n").wait() == 0
    told("died-after-ack", "acked-before-reply", "missing-correlation-id", "client-never-consumes")


def test_bugs_4_5_and_6_of_the_fibonacci_service(lab, run, told, queues):
    for number in range(2):
        run(FIBONACCI_SERVER, f"FibonacciServer-{number}")
        run(CALLBACK_WORKER, f"FibonacciCallbackWorker-{number}", "fibonacci_callback")
    lab.wait_for("fibonacci", consumers=2)
    lab.wait_for("fibonacci_callback", consumers=2)
    # One server gets all that is hard, and the other one is soon done.
    assert run(FIBONACCI_CLIENT, "FibonacciClient", *["34", "1"] * 3).wait() == 0
    told("unlimited-prefetch", "missing-correlation-id", "client-never-consumes")


def test_bug_6_without_callback_workers(lab, run, told, queues):
    run(FIBONACCI_SERVER, "FibonacciServer-0")
    lab.wait_for("fibonacci", consumers=1)
    assert run(FIBONACCI_CLIENT, "FibonacciClient", "1").wait() == 0
    told("reply-queue-without-consumer", "missing-correlation-id")
