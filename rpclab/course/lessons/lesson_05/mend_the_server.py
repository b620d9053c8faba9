"""The case study's server: no queue, a name too many, no correlation id, and an early acknowledgement."""

from __future__ import annotations

from rpclab.course.evidence import acked, settled_before
from rpclab.course.exercise import Exercise
from rpclab.course.findings import not_consumed, refused, stopped
from rpclab.course.inside import serve
from rpclab.course.running import Running
from rpclab.course.trial import Trial
from rpclab.course.verdict import Mistake
from rpclab.rpc.queues import FIBONACCI_QUEUE
from rpclab.wire.messages import Message

FIBONACCI = {"10": b"55", "7": b"13"}


def mend_the_server(trial: Trial, answer: type) -> str:
    """Start the server where no queue is declared, ask it two questions, and read the wire."""
    running = trial.run("FibonacciServer", serve, answer)
    if not trial.wait(lambda: trial.lab.tap.registry.consumers(FIBONACCI_QUEUE), running):
        stopped(trial, running, "The server was started on a broker without any queue. ")
        not_consumed(trial, FIBONACCI_QUEUE)
    callback = trial.channel.queue_declare("", exclusive=True).method.queue
    replies: list[tuple] = []
    trial.channel.basic_consume(callback, lambda *delivery: replies.append(delivery[2:]), auto_ack=True)
    requests = [
        trial.publish(FIBONACCI_QUEUE, number, reply_to=callback, correlation_id=f"fib {number}")
        for number in FIBONACCI
    ]
    trial.wait(lambda: len(replies) >= len(FIBONACCI) or _elsewhere(trial, running), running)
    if not replies:
        _no_reply(trial, running, requests)
    for properties, body in replies:
        _is_good_reply(properties.correlation_id, body)
    for request in requests:
        if request.replies and settled_before(request, request.replies[0].time):
            raise Mistake(
                f"The wire shows the acknowledgement of `{request.text()}` first and its reply afterwards. If the "
                "server dies in between, the request is forgotten and nobody answers it. Reply, then acknowledge."
            )
    refused(trial)
    _all_dealt_with(trial, running, requests, len(replies))
    return (
        "The server declared its queue, answered both requests to the queue that they name, each with the correlation "
        "id that it came with, and acknowledged when the reply was out."
    )


def _no_reply(trial: Trial, running: Running, requests: list[Message]) -> None:
    first = requests[0]
    fate = "forgotten: it had been acknowledged before" if acked(first) else "back in the queue, for the next server"
    if not running.alive and running.outcome.error == "NameError" and "'props'" in running.outcome.text:
        raise Mistake(
            "`on_request` calls its third argument `properties` and then uses `props`, a name that nobody has defined. "
            f"The first request ended the server, and is {fate}."
        )
    stopped(trial, running, f"The first request, which is {fate}, ended the server: ")
    refused(trial)
    if elsewhere := _elsewhere(trial, running):
        raise Mistake(
            f"The server published its answer to `{elsewhere[0].routing_key}`; the request asked for it in the queue "
            "that its `reply_to` names."
        )
    how = "acknowledged the request" if acked(first) else "took the request"
    raise Mistake(f"The server {how}, and published no reply within the time of this check.")


def _elsewhere(trial: Trial, running: Running) -> list[Message]:
    """Return what the server has published to other queues than the check's callback queue."""
    callback = trial.lab.tap.registry.shown(trial.message("10", FIBONACCI_QUEUE).properties.reply_to)
    return [m for m in trial.story.messages if m.publisher == running.name and m.routing_key != callback]


def _is_good_reply(correlation_id: str | None, body: bytes) -> None:
    if correlation_id is None:
        raise Mistake(
            f"A reply came, `{body.decode(errors='replace')}`, and without a correlation id: a client that has asked "
            "two questions cannot know which of them it answers. Copy `correlation_id` from the request to the reply."
        )
    wanted = FIBONACCI.get(correlation_id.removeprefix("fib "))
    if wanted is None:
        raise Mistake(f"A reply has the correlation id `{correlation_id}`, which no request had. Copy the request's.")
    if body != wanted:
        raise Mistake(
            f"The reply to `{correlation_id}` is `{body.decode(errors='replace')}`, where `{wanted.decode()}` is right."
        )


def _all_dealt_with(trial: Trial, running: Running, requests: list[Message], replies: int) -> None:
    if replies < len(FIBONACCI):
        stopped(trial, running, "The first request was answered, and after it the server ended: ")
    if not trial.wait(lambda: all(map(acked, requests)), running, seconds=1):
        stopped(trial, running)
        raise Mistake(
            f"The server answered and did not acknowledge: {trial.counts(FIBONACCI_QUEUE)['unacked']} unacked. When it "
            "ends, the requests come again, and the client gets a second answer."
        )
    if replies < len(FIBONACCI):
        raise Mistake(f"{replies} of {len(FIBONACCI)} requests were answered, and both acknowledged.")


EXERCISE = Exercise(
    id="05-mend-the-server",
    title="Spot and mend: the server that nobody hears",
    task="""
This is the case study's server, with `fib` a little shorter. There are four mistakes in it. The check starts it on a
broker that has no queue yet, asks for `fib(10)` and `fib(7)` and looks at what comes back, and when.
""",
    name="FibonacciServer",
    starter="""\
class FibonacciServer:
    def __init__(self):
        self.connection = pika.BlockingConnection(rpclab.connection_parameters())
        self.channel = self.connection.channel()

    def start(self):
        self.channel.basic_consume(queue=rpclab.FIBONACCI_QUEUE, on_message_callback=self.on_request)
        self.channel.start_consuming()

    def fib(self, n):
        return n if n < 2 else self.fib(n - 1) + self.fib(n - 2)

    def on_request(self, ch, method, properties, body):
        ch.basic_ack(delivery_tag=method.delivery_tag)
        response = self.fib(int(body))
        ch.basic_publish(exchange="", routing_key=props.reply_to, body=str(response))
""",
    solved="""\
class FibonacciServer:
    def __init__(self):
        self.connection = pika.BlockingConnection(rpclab.connection_parameters())
        self.channel = self.connection.channel()
        self.channel.queue_declare(rpclab.FIBONACCI_QUEUE, durable=True)

    def start(self):
        self.channel.basic_consume(queue=rpclab.FIBONACCI_QUEUE, on_message_callback=self.on_request)
        self.channel.start_consuming()

    def fib(self, n):
        return n if n < 2 else self.fib(n - 1) + self.fib(n - 2)

    def on_request(self, ch, method, props, body):
        response = self.fib(int(body))
        reply = pika.BasicProperties(correlation_id=props.correlation_id)
        ch.basic_publish(exchange="", routing_key=props.reply_to, properties=reply, body=str(response))
        ch.basic_ack(delivery_tag=method.delivery_tag)
""",
    hints=(
        "Read it once as the broker does: which queue, which name, which id, and what comes first?",
        "Nobody declares the queue. And `on_request` uses a name that is not among its arguments.",
        "The reply needs `pika.BasicProperties(correlation_id=...)`, and the acknowledgement belongs to the end.",
    ),
    judge=mend_the_server,
)
