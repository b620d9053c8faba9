"""Callback queues that nobody consumes from are to go, and nothing else."""

from __future__ import annotations

from rpclab.course.exercise import Exercise
from rpclab.course.findings import explain
from rpclab.course.lessons.lesson_10.tools import ended, with_ctl
from rpclab.course.running import Running
from rpclab.course.trial import Trial
from rpclab.course.verdict import Mistake

REQUESTS = ("3,5", "20,22")
ANSWERS = ("8", "42", "2")
IN_USE, FULL, EMPTY = "callback.eve", "callback.anna", "callback.ben"


def delete_abandoned(trial: Trial, answer) -> str:
    """Let a function tidy up a virtual host that holds more than is abandoned, and ask the broker what is left."""
    trial.declare("addition", IN_USE, FULL, EMPTY)
    for body in REQUESTS:
        trial.publish("addition", body)
    for body in ANSWERS:
        trial.publish(IN_USE, body)
    trial.publish(FULL, "13")
    _consume_one(trial)
    running = trial.run("Administrator", with_ctl, answer, trial.lab.broker, trial.lab.vhost)
    ended(trial, running)
    left = {queue["name"]: queue for queue in trial.lab.queues()}
    _harm(left)
    if running.outcome.state != "returned":
        raise Mistake(f"Nothing is lost, and the work is not done: {explain(running)}")
    _leftovers(left, running)
    return (
        f"`{FULL}` and `{EMPTY}` are gone. `{IN_USE}` has its consumer and its answers, and the requests in `addition` "
        "wait for the server that will come back."
    )


def _consume_one(trial: Trial) -> None:
    """Have somebody consume from one of the queues, with one answer at hand and two that wait."""
    channel = trial.channel.connection.channel()
    channel.basic_qos(prefetch_count=1)
    channel.basic_consume(IN_USE, lambda *delivery: None)
    trial.wait(lambda: trial.counts(IN_USE)["unacked"])


def _harm(left: dict[str, dict]) -> None:
    requests = left.get("addition")
    if requests is None or requests["ready"] < len(REQUESTS):
        how = "deleted, and with it" if requests is None else "purged, and with that"
        raise Mistake(
            f"`addition` was {how} {len(REQUESTS)} requests that waited for a server. It had no consumer at the "
            "moment, which happens whenever a server is restarted, and it is no callback queue."
        )
    answers = left.get(IN_USE)
    if answers is None:
        raise Mistake(
            f"`{IN_USE}` was deleted under its consumer: the broker has cancelled the subscription of a client that is "
            "there and waits, and its answers are gone. Look at the column `consumers`."
        )
    if answers["ready"] < len(ANSWERS) - 1:
        raise Mistake(
            f"`{IN_USE}` was purged. A client consumes from it; the {len(ANSWERS) - 1} answers that it was about to "
            f"fetch are gone, and it has the {answers['unacked']} that it held unacked."
        )


def _leftovers(left: dict[str, dict], running: Running) -> None:
    if FULL in left and not left[FULL]["ready"]:
        raise Mistake(f"`{FULL}` was purged: its message is gone, and the queue is still there. It was to be removed.")
    if FULL in left:
        raise Mistake(f"`{FULL}` is still there, with its message: nobody consumes from it. {explain(running)}")
    if EMPTY in left:
        raise Mistake(
            f"`{EMPTY}` is still there. It is empty, and abandoned all the same: what counts is that nobody consumes "
            "from it, and not how many messages it has."
        )


EXERCISE = Exercise(
    id="10-delete-abandoned",
    title="Spot and mend: the purge of the wrong thing",
    task="""
Clients that crashed have left callback queues behind. `tidy` is to remove each queue whose name begins with `callback.`
and that nobody consumes from, be it empty or not, and to touch nothing else. Somebody had it run, and it took requests
that waited for a server, and answers of clients that are well. `ctl` is what `lab.ctl` is in this lesson.
""",
    name="tidy",
    starter="""\
def tidy(ctl):
    for line in ctl("list_queues", "name", "messages").text.splitlines()[1:]:
        name, messages = line.split("\\t")
        if messages != "0":
            ctl("purge_queue", name)
""",
    solved="""\
def tidy(ctl):
    for line in ctl("list_queues", "name", "consumers").text.splitlines()[1:]:
        name, consumers = line.split("\\t")
        if name.startswith("callback.") and consumers == "0":
            ctl("delete_queue", name)
""",
    hints=(
        "Which column tells whether a queue is in use? The number of its messages does not.",
        "Ask for `name` and `consumers`. What `ctl` prints is text: compare with `\"0\"`.",
        "`purge_queue` empties, `delete_queue` removes; and `name.startswith(\"callback.\")` tells which.",
    ),
    judge=delete_abandoned,
)
