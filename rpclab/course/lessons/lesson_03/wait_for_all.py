"""One look at the connection is not enough for what comes later."""

from __future__ import annotations

from rpclab.broker.connect import connect
from rpclab.course.evidence import acked, held
from rpclab.course.exercise import Exercise
from rpclab.course.findings import explain, refused
from rpclab.course.lessons.lesson_03.looking import asks_in_vain
from rpclab.course.running import Running
from rpclab.course.trial import Trial
from rpclab.course.verdict import Mistake
from rpclab.environment import connection_parameters
from rpclab.rpc.queues import ADDITION_QUEUE
from rpclab.wire.messages import Message

AT_ONCE, LATER, NOT_ASKED_FOR = ("1,2", "3,5"), "20,22", "7,7"
WANTED = [body.encode() for body in (*AT_ONCE, LATER)]
# Longer than what is left of three looks of one second each, when two requests are there at the first.
LATER_SECONDS = 2.25


def take_three(take) -> list:
    """Let a function take three requests, and end; runs in a process."""
    with connect(connection_parameters()) as connection:
        return list(take(connection, len(WANTED)))


def wait_for_all(trial: Trial, answer) -> str:
    """Have two requests wait, and send a third one when the first two are long done."""
    trial.declare(ADDITION_QUEUE)
    first = [trial.publish(ADDITION_QUEUE, body) for body in AT_ONCE]
    running = trial.run("Reader", take_three, answer)
    trial.wait(lambda: all(map(acked, first)), running)
    if running.alive and all(map(acked, first)):
        trial.wait(lambda: asks_in_vain(trial), running, LATER_SECONDS)
    refused(trial)
    _waits_well(trial, running, first)
    later = [trial.publish(ADDITION_QUEUE, body) for body in (LATER, NOT_ASKED_FOR)]
    trial.wait(lambda: acked(later[1]), running)
    refused(trial)
    if acked(later[1]):
        raise Mistake(
            f"Your code was to take {len(WANTED)} requests and took a fourth as well, `{NOT_ASKED_FOR}`: it went on "
            "when it had what it wanted."
        )
    if running.alive:
        taken = "was taken" if acked(later[0]) else "came"
        raise Mistake(f"The third request {taken}, and `take` did not come back. What does it wait for now?")
    if running.outcome.value != WANTED:
        raise Mistake(f"{explain(running)} It should have been `{WANTED}`.")
    return (
        f"Two requests were there, the third came a good two seconds later, and `take` waited for it. The fourth, "
        f"`{NOT_ASKED_FOR}`, is for somebody else: {trial.counts(ADDITION_QUEUE)['ready']} ready."
    )


def _waits_well(trial: Trial, running: Running, first: list[Message]) -> None:
    """Judge what the code does while there is nothing to do."""
    if asks_in_vain(trial):
        raise Mistake(
            "The queue is empty, and your code asks with `basic_get` again and again, each time in vain. Let the "
            "broker send what comes, and pika wait for it."
        )
    taken = list(map(acked, first)).count(True)
    if not running.alive:
        # How many it was may depend on when the second one came; the mistake does not.
        how = "with nothing taken" if not taken else f"before {len(WANTED)} requests were taken"
        raised = "" if running.outcome.state == "returned" else f" {explain(running)}"
        raise Mistake(
            f"`take` came back {how}.{raised} Requests come when they come. `process_data_events` returns when "
            "something has happened or the time is up; whether it was enough is for you to look at."
        )
    if any(map(held, first)) and not taken:
        raise Mistake(
            f"`{first[0].text()}` was delivered to your connection and is unacked: your callback was not called, or "
            "does not acknowledge. pika reads from the connection, and calls back, only while it is given the chance."
        )
    if taken < len(first):
        raise Mistake(
            f"{taken} of the two requests that wait were taken, and your code goes on without taking the other. Is "
            "pika given the connection often enough, and is each request acknowledged?"
        )


EXERCISE = Exercise(
    id="03-wait-for-all",
    title="Spot and mend: back too early",
    task="""
`take` is to take `count` requests from the queue `addition` and return their bodies, however long they are in coming.
It comes back with what was there when it looked. Mend it. The check asks for three: two are there, the third comes
later; and a fourth, which nobody asked for, has to stay.
""",
    name="take",
    starter="""\
def take(connection, count):
    bodies = []

    def on_request(ch, method, properties, body):
        bodies.append(body)
        ch.basic_ack(delivery_tag=method.delivery_tag)

    channel = connection.channel()
    channel.basic_qos(prefetch_count=1)
    channel.basic_consume("addition", on_request)
    connection.process_data_events(time_limit=1)
    return bodies
""",
    solved="""\
def take(connection, count):
    bodies = []

    def on_request(ch, method, properties, body):
        bodies.append(body)
        ch.basic_ack(delivery_tag=method.delivery_tag)

    channel = connection.channel()
    channel.basic_qos(prefetch_count=1)
    channel.basic_consume("addition", on_request)
    while len(bodies) < count:
        connection.process_data_events(time_limit=1)
    return bodies
""",
    hints=(
        "When does `process_data_events` return? It does not know that three requests are wanted.",
        "Who knows whether it is enough? Look there each time, and give pika the connection again if it is not.",
        "A `while` with the length of `bodies` and `count`, around the call.",
    ),
    judge=wait_for_all,
)
