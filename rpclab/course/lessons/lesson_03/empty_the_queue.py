"""What ``basic_get`` returns for an empty queue, and what for an empty message."""

from __future__ import annotations

from rpclab.broker.connect import connect
from rpclab.course.evidence import acked, outcomes
from rpclab.course.exercise import Exercise
from rpclab.course.findings import explain, refused
from rpclab.course.lessons.lesson_03.looking import asks_in_vain
from rpclab.course.outcome import Outcome
from rpclab.course.trial import Trial
from rpclab.course.verdict import Mistake
from rpclab.environment import connection_parameters
from rpclab.rpc.queues import ADDITION_QUEUE
from rpclab.wire.messages import BACK_IN_THE_QUEUE, Message

BODIES = ("1,2", "", "3,5")
WANTED = [body.encode() for body in BODIES]


def take_all(take) -> list:
    """Let a function take what waits, and end; runs in a process."""
    with connect(connection_parameters()) as connection:
        return list(take(connection.channel()))


def empty_the_queue(trial: Trial, answer) -> str:
    """Have three messages taken, of which the second has nothing in it."""
    trial.declare(ADDITION_QUEUE)
    messages = [trial.publish(ADDITION_QUEUE, body) for body in BODIES]
    running = trial.run("Reader", take_all, answer)
    trial.wait(lambda: asks_in_vain(trial), running)
    refused(trial)
    outcome, ended = running.outcome, explain(running)
    _all_taken(trial, messages, outcome, ended)
    if outcome.state == "running":
        raise Mistake(
            "Everything was taken, and your function did not come back. From an empty queue `basic_get` returns at "
            "once, with `(None, None, None)`; your loop does not end there."
        )
    if outcome.value != WANTED:
        raise Mistake(f"All three messages were taken. {ended} It should have been `{WANTED}`.")
    return (
        "All three messages were taken and returned, the empty one as well. `basic_get` gave no message the fourth "
        f"time, and `{ADDITION_QUEUE}` is empty."
    )


def _all_taken(trial: Trial, messages: list[Message], outcome: Outcome, ended: str) -> None:
    """Judge what the broker was told to forget."""
    ready = trial.counts(ADDITION_QUEUE)["ready"]
    if not any(message.deliveries for message in messages):
        how = "They are gone all the same: deleting messages is not taking them." if not ready else f"{ready} wait."
        raise Mistake(f"None of the three messages has come to your code. {how} {ended}")
    taken = list(map(acked, messages))
    if any(set(outcomes(message)) & {*BACK_IN_THE_QUEUE} for message in messages):
        raise Mistake(
            f"Your code took messages and acknowledged {taken.count(True) or 'none'} of them. The others were unacked "
            f"as long as its connection was open, and were ready again then: {ready} in `{ADDITION_QUEUE}`. {ended}"
        )
    if taken == [True, True, False]:
        raise Mistake(
            f"Your code took two of three messages and stopped: `1,2`, and one whose body is empty, `b''`. That one is "
            f"gone from the queue, {ready} {'is' if ready == 1 else 'are'} left behind it. {ended} A message with an "
            "empty body is a message."
        )
    if not all(taken):
        raise Mistake(f"Taken: {taken.count(True)} of three messages. Left in the queue: {ready}. {ended}")


EXERCISE = Exercise(
    id="03-empty-the-queue",
    title="Spot and mend: some are left",
    task="""
`take_all` pulls everything that waits in the queue `addition` and returns the bodies in a list, in order, as they come.
On most days it does. On some it leaves messages in the queue, and one is lost besides. Find out which messages do that
to it, and mend it.
""",
    name="take_all",
    starter="""\
def take_all(channel):
    bodies = []
    method, properties, body = channel.basic_get("addition", auto_ack=True)
    while body:
        bodies.append(body)
        method, properties, body = channel.basic_get("addition", auto_ack=True)
    return bodies
""",
    solved="""\
def take_all(channel):
    bodies = []
    method, properties, body = channel.basic_get("addition", auto_ack=True)
    while method:
        bodies.append(body)
        method, properties, body = channel.basic_get("addition", auto_ack=True)
    return bodies
""",
    hints=(
        "When does the loop end? When the queue is empty, or when something else is?",
        "To Python `b\"\"` is as false as `None` is. Can a message have no body?",
        "Of the three things that `basic_get` returns, take one that every message has: `method`.",
    ),
    judge=empty_the_queue,
)
