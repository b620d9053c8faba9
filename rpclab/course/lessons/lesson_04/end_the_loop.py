"""A request that nobody can do must neither loop nor be lost."""

from __future__ import annotations

from rpclab.course.evidence import acked, held, went_round
from rpclab.course.exercise import Exercise
from rpclab.course.findings import refused, stopped
from rpclab.course.inside import consume
from rpclab.course.trial import Trial
from rpclab.course.verdict import Mistake
from rpclab.wire.messages import Message

POISON = "three,five"
SUMS = ("1,2", POISON, "20,22")
ROUNDS = 20


def end_the_loop(trial: Trial, answer) -> str:
    """Send a request that nobody can do, between two that are fine."""
    trial.declare("sums.dead", "totals")
    trial.declare("sums", x_dead_letter_exchange="", x_dead_letter_routing_key="sums.dead")
    sums = [trial.publish("sums", body) for body in SUMS]
    poison = sums[1]
    running = trial.run("SumWorker", consume, answer, "sums")
    trial.wait(lambda: all(message.settled for message in sums) or went_round(poison) > ROUNDS, running)
    if went_round(poison) > ROUNDS:
        raise Mistake(
            f"`{POISON}` still goes round: it was delivered more than {ROUNDS} times in a moment. `requeue=True` puts "
            "it back to the front of its queue, and the same worker gets it again at once; nobody else gets anything."
        )
    if stuck := next(filter(held, sums), None):
        raise Mistake(
            f"Nobody has said what became of `{stuck.text()}`: it stays unacked, and the worker, which may hold one "
            f"message at a time, is sent nothing more. Waiting behind it: {trial.counts('sums')['ready']}."
        )
    stopped(trial, running, f"A worker that dies of `{POISON}` gives it back, and the next worker dies of it too. ")
    refused(trial)
    _where_it_went(trial, sums)
    return (
        f"`{POISON}` was refused once and waits in `sums.dead` for somebody to look at it; the other two requests were "
        "answered and acknowledged. Nothing is lost, and nothing loops."
    )


def _where_it_went(trial: Trial, sums: list[Message]) -> None:
    dead = trial.wait(lambda: trial.counts("sums.dead")["ready"], seconds=0 if acked(sums[1]) else 1)
    if not dead:
        how = "acknowledged" if acked(sums[1]) else "refused"
        raise Mistake(
            f"The loop is gone, and so is `{POISON}`: you {how} it, and `sums.dead` is empty. Refuse it so that the "
            "queue's dead-letter exchange gets it."
        )
    totals = [body for body in ("3", "42") if trial.message(body, "totals")]
    if totals != ["3", "42"] or dead > 1 or not (acked(sums[0]) and acked(sums[2])):
        raise Mistake(
            f"`{POISON}` is dealt with, but the requests that can be done are not: {len(totals)} of 2 were answered to "
            f"`totals`, and {dead - 1} went to `sums.dead`."
        )


EXERCISE = Exercise(
    id="04-end-the-loop",
    title="Spot and mend: the request that goes round",
    task="""
This worker adds two numbers and publishes the total. One request is `three,five`. Since it was put into production, one
processor core is busy all the time. Find out why, and mend it: the request must neither loop nor be lost. (The queue
`sums` was declared with a dead-letter exchange that leads to the queue `sums.dead`.)
""",
    name="on_request",
    starter="""\
def on_request(ch, method, props, body):
    try:
        x, y = map(int, body.decode().split(","))
        ch.basic_publish("", "totals", str(x + y))
        ch.basic_ack(method.delivery_tag)
    except ValueError:
        ch.basic_nack(method.delivery_tag, requeue=True)
""",
    solved="""\
def on_request(ch, method, props, body):
    try:
        x, y = map(int, body.decode().split(","))
        ch.basic_publish("", "totals", str(x + y))
        ch.basic_ack(method.delivery_tag)
    except ValueError:
        ch.basic_reject(method.delivery_tag, requeue=False)
""",
    hints=(
        "Where does a message go that is requeued, and who gets it next?",
        "`three,five` fails each time, on each worker. What can never succeed must not go back.",
        "Refuse it with `requeue=False`; the dead-letter exchange does the rest.",
    ),
    judge=end_the_loop,
)
