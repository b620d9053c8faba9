"""The case study's publish: no queue, and here a key that is not quite its name."""

from __future__ import annotations

from pika.exceptions import ChannelClosedByBroker

from rpclab.broker.connect import connect
from rpclab.course.exercise import Exercise
from rpclab.course.findings import explain, refused
from rpclab.course.lessons.lesson_01.declared import declared
from rpclab.course.running import Running
from rpclab.course.trial import Trial
from rpclab.course.verdict import Mistake
from rpclab.environment import connection_parameters
from rpclab.rpc.queues import ADDITION_QUEUE
from rpclab.wire.messages import Message

FIRST, SECOND = "3,5", "20,22"


def send_one(send, body: str) -> None:
    """Send one request, as a program that ends afterwards; runs in a process."""
    with connect(connection_parameters()) as connection:
        send(connection.channel(), body)


def mend_the_sender(trial: Trial, answer) -> str:
    """Send a request on a broker without queues, and another when the server has declared its queue."""
    request = _sent(trial, trial.run("Sender", send_one, answer, FIRST), FIRST)
    if not trial.counts(ADDITION_QUEUE)["ready"]:
        _where_it_went(trial, request)
    try:
        trial.declare(ADDITION_QUEUE)
    except ChannelClosedByBroker as refusal:
        raise Mistake(
            f"`{FIRST}` is in the queue. Then the server came and declared `{ADDITION_QUEUE}`, durable and nothing "
            f"else, and the broker turned it down: `{refusal.reply_code} {refusal.reply_text}`. Both sides have to "
            "declare a queue with the same properties."
        ) from refusal
    _sent(trial, trial.run("Again", send_one, answer, SECOND), SECOND)
    ready = trial.counts(ADDITION_QUEUE)["ready"]
    if ready != 2:
        raise Mistake(
            f"`{FIRST}` was in the queue, then `{SECOND}` was sent, and `{ADDITION_QUEUE}` holds {ready} instead of 2. "
            "Sending a request must do nothing to those that wait already."
        )
    return (
        f"The first request found no queue, and your code made one. The server declared it once more, the same way, "
        f"which changed nothing; and the second request was put behind the first: 2 ready in `{ADDITION_QUEUE}`."
    )


def _sent(trial: Trial, running: Running, body: str) -> Message:
    """Wait for one call of the learner's function, and return what it has published."""
    trial.wait(lambda: not running.alive, running)
    refused(trial)
    if running.outcome.state != "returned":
        raise Mistake(f"`send` should publish `{body}` and return. {explain(running)}")
    message = trial.message(body)
    if message is None:
        raise Mistake(f"`send` has come back, and no message with the body `{body}` has crossed the wire.")
    return message


def _where_it_went(trial: Trial, request: Message) -> None:
    """Say why the request is not in the queue."""
    names = trial.lab.queues().column("name")
    key = request.routing_key
    if ADDITION_QUEUE in declared(trial) and ADDITION_QUEUE not in names:
        raise Mistake(
            f"The queue `{ADDITION_QUEUE}` was there for a moment: it went when the connection of your program was "
            f"closed, and `{FIRST}` with it. It was declared as a queue for one connection alone."
        )
    if not declared(trial):
        raise Mistake(
            f"`{FIRST}` was published with the key `{key}`, on a broker that has no queue at all: it was dropped, and "
            "nobody was told. A publish makes no queue."
        )
    if key != ADDITION_QUEUE:
        fate = "went into that queue, where no server looks" if key in names else "fits no queue, and was dropped"
        raise Mistake(
            f"There is a queue now ({', '.join(f'`{name}`' for name in names)}), and `{FIRST}` was published with the "
            f"key `{key}`. It {fate}. The default exchange compares key and name letter by letter."
        )
    raise Mistake(
        f"The queue `{ADDITION_QUEUE}` is there and empty. `{FIRST}` was published before there was a queue; a message "
        "that nobody takes is dropped at once, and does not wait for a queue to be declared."
    )


EXERCISE = Exercise(
    id="01-mend-the-sender",
    title="Spot and mend: the request that never arrives",
    task="""
`send` is to put a request like `3,5` into the queue `addition`. It never complains, and nothing has ever arrived. There
are two mistakes in it. The check runs it on a broker without any queue; then the server comes, and declares its queue
with `durable=True`; then a second request is sent.
""",
    name="send",
    starter="""\
def send(channel, body):
    channel.basic_publish(exchange="", routing_key="Addition", body=body)
""",
    solved="""\
def send(channel, body):
    channel.queue_declare("addition", durable=True)
    channel.basic_publish(exchange="", routing_key="addition", body=body)
""",
    hints=(
        "What does the default exchange do with the key `Addition`?",
        "And if the key is right: is there a queue of that name when the first request is sent?",
        "Declare before you publish, with the properties that the server uses: "
        "`channel.queue_declare(..., durable=True)`.",
    ),
    judge=mend_the_sender,
)
