"""Two clients that share a callback queue, and each other's answers."""

from __future__ import annotations

import time

import pika

from rpclab.course.evidence import refusals
from rpclab.course.exercise import Exercise
from rpclab.course.findings import explain, refused, stopped
from rpclab.course.running import Running
from rpclab.course.trial import CHECK, Trial
from rpclab.course.verdict import Mistake
from rpclab.rpc.arithmetic import integers
from rpclab.rpc.queues import ADDITION_QUEUE
from rpclab.wire.messages import REPLY, Message

FIRST = "1,1"
SUMS = [8, 42, 14]
TAKEN = (403, 405)


def ask_and_stay(cls: type) -> None:
    """Ask one question, and be a client that is still there; runs in a process."""
    client = cls()
    client.add(1, 1)
    while True:
        time.sleep(1)


def ask_thrice(cls: type) -> list:
    """Ask three questions, one after the other; runs in a process."""
    client = cls()
    return [client.add(3, 5), client.add(20, 22), client.add(7, 7)]


def stolen_replies(trial: Trial, answer: type) -> str:
    """Have one client ask while another one, that has got its answer, is there as well."""
    _answer_at_once(trial)
    other = trial.run("OtherClient", ask_and_stay, answer)
    # Its answer is delivered, so it consumes; one that consumes only while it waits takes nothing from anybody later.
    trial.wait(lambda: trial.message(FIRST, ADDITION_QUEUE), other)
    trial.wait(lambda: any(reply.deliveries for reply in _replies(trial)), other, seconds=1)
    if not trial.message(FIRST, ADDITION_QUEUE):
        stopped(trial, other)
        raise Mistake(f"No request `{FIRST}` has come to the queue `{ADDITION_QUEUE}`. {explain(other)}")
    refused(trial)
    stopped(trial, other, "One client alone cannot be used. ")
    asker = trial.run("AddClient", ask_thrice, answer)
    trial.wait(lambda: not asker.alive, asker)
    _whose(trial, asker)
    other.kill()
    asker.kill()
    if left := _left_behind(trial):
        raise Mistake(
            f"Each client got its own answers. But both are gone now, and the broker still has {left} callback "
            f"{'queue' if left == 1 else 'queues'}, to which nobody will ever come back. Each new client adds one."
        )
    return (
        "Two clients asked, and each got the answers to its own questions: no reply was delivered to a client that had "
        "not asked for it. When they ended, nothing was left of their callback queues."
    )


def _answer_at_once(trial: Trial) -> None:
    def on_request(channel, method, props: pika.BasicProperties, body: bytes) -> None:
        if props.reply_to:
            reply = pika.BasicProperties(correlation_id=props.correlation_id)
            channel.basic_publish("", props.reply_to, str(sum(integers(body.decode(), 2))), reply)
        channel.basic_ack(method.delivery_tag)

    trial.declare(ADDITION_QUEUE)
    trial.channel.basic_consume(ADDITION_QUEUE, on_request)


def _replies(trial: Trial) -> list[Message]:
    return [message for message in trial.story.messages if message.kind == REPLY and message.request]


def _whose(trial: Trial, asker: Running) -> None:
    """See that each reply went to the client that had asked, and only there."""
    _refused_to_the_second(trial)
    if stolen := [reply for reply in _replies(trial) if _went_astray(reply)]:
        raise Mistake(
            f"{len(stolen)} of {len(SUMS)} replies to `AddClient` came to `OtherClient`, which had not asked: both "
            f"consume from `{stolen[0].queue}`, and a queue shares its messages among its consumers. {explain(asker)}"
        )
    if asker.outcome.value != SUMS:
        raise Mistake(f"{explain(asker)} It should have been `{SUMS}`.")
    if not all(request.replies and request.replies[0].deliveries for request in trial.story.requests):
        raise Mistake("The sums are right, and the replies were not taken. Let the service do the work.")


def _refused_to_the_second(trial: Trial) -> None:
    found = next((r for r in refusals(trial.events) if r.who != CHECK and r.code in TAKEN), None)
    if found:
        raise Mistake(
            "The first client got the callback queue to itself, and the broker refused it to the second "
            f"(`{found.code} {found.text.split(' - ')[0]}`). As long as both use the same name, only one of them works."
        )
    refused(trial)


def _went_astray(reply: Message) -> bool:
    """Tell whether a reply was delivered to another process than the one that had asked."""
    # A process that opens several connections is ``AddClient-0`` and ``AddClient-0 2``.
    asked = reply.request.publisher.split()[0]
    return any(delivery.to.split()[0] != asked for delivery in reply.deliveries)


def _left_behind(trial: Trial) -> int:
    """Return how many queues are there beside the service's, when the broker had time to delete those that go."""

    def left() -> int:
        return sum(row["name"] != ADDITION_QUEUE for row in trial.lab.queues())

    trial.wait(lambda: not left(), seconds=1)
    return left()


EXERCISE = Exercise(
    id="06-stolen-replies",
    title="Spot and mend: every second call times out",
    task="""
This client is right as long as there is one of it. Since a second one was started, every second `add` returns `None`.
Mend it, so that any number of clients can run at the same time, and nothing is left on the broker when they are gone.
""",
    name="AddClient",
    starter="""\
import time, uuid

class AddClient:
    def __init__(self):
        self.channel = pika.BlockingConnection(rpclab.connection_parameters()).channel()
        self.callback_queue = rpclab.ADDITION_CALLBACK_QUEUE
        self.channel.queue_declare(self.callback_queue, durable=True)
        self.channel.basic_consume(self.callback_queue, self.on_response, auto_ack=True)
        self.replies = {}

    def on_response(self, ch, method, props, body):
        self.replies[props.correlation_id] = int(body)

    def add(self, x, y, timeout=1):
        id, deadline = str(uuid.uuid4()), time.monotonic() + timeout
        properties = pika.BasicProperties(reply_to=self.callback_queue, correlation_id=id)
        self.channel.basic_publish("", rpclab.ADDITION_QUEUE, f"{x},{y}", properties)
        while id not in self.replies and (left := deadline - time.monotonic()) > 0:
            self.channel.connection.process_data_events(time_limit=left)
        return self.replies.get(id)
""",
    solved="""\
import time, uuid

class AddClient:
    def __init__(self):
        self.channel = pika.BlockingConnection(rpclab.connection_parameters()).channel()
        self.callback_queue = self.channel.queue_declare("", exclusive=True).method.queue
        self.channel.basic_consume(self.callback_queue, self.on_response, auto_ack=True)
        self.replies = {}

    def on_response(self, ch, method, props, body):
        self.replies[props.correlation_id] = int(body)

    def add(self, x, y, timeout=1):
        id, deadline = str(uuid.uuid4()), time.monotonic() + timeout
        properties = pika.BasicProperties(reply_to=self.callback_queue, correlation_id=id)
        self.channel.basic_publish("", rpclab.ADDITION_QUEUE, f"{x},{y}", properties)
        while id not in self.replies and (left := deadline - time.monotonic()) > 0:
            self.channel.connection.process_data_events(time_limit=left)
        return self.replies.get(id)
""",
    hints=(
        "Follow a reply that is missing. To whom was it delivered?",
        "A queue gives each message to one of its consumers. How many queues do two clients need?",
        "Let the broker find a name, and keep others out: `queue_declare(\"\", exclusive=True).method.queue`.",
    ),
    judge=stolen_replies,
)
