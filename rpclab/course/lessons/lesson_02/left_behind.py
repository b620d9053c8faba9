"""A binding of an earlier version, which is still there."""

from __future__ import annotations

from pika import spec

from rpclab.course.exercise import Exercise
from rpclab.course.lessons.lesson_02.arrivals import arrived, bound, exchange, keys, listed, publish, sent
from rpclab.course.trial import Trial
from rpclab.course.verdict import Mistake

EVENTS, AUDIT, ALARMS = "events", "audit", "alarms"
OLD = "#"
EARLIER = "fibonacci.started"
FIBONACCI = ["fibonacci", "fibonacci.worker.failed"]
OTHERS = ["addition.done", "addition.failed"]
FAILED = ["fibonacci.worker.failed", "addition.failed"]


def left_behind(trial: Trial, answer) -> str:
    """Start the new version on a broker where the old one has been."""
    exchange(trial, EVENTS, "topic", **{AUDIT: OLD, ALARMS: "#.failed"})
    publish(trial, EVENTS, EARLIER)
    bound(trial, "Auditor", answer)
    publish(trial, EVENTS, *FIBONACCI, *OTHERS)
    audit, alarms = arrived(trial, AUDIT), arrived(trial, ALARMS)
    if EARLIER not in audit:
        _lost(trial)
    if missed := [key for key in FIBONACCI if key not in audit]:
        raise Mistake(
            f"`{AUDIT}` got no {listed(missed)}. It is now bound by: {listed(keys(trial, EVENTS, AUDIT)) or 'nothing'}."
        )
    if unwanted := [key for key in OTHERS if key in audit]:
        _still_bound(trial, unwanted)
    if alarms != FAILED:
        raise Mistake(
            f"`{ALARMS}` belongs to another program, and it should have got {listed(FAILED)}. It got "
            f"{listed(alarms) or 'nothing'}: its binding went with what your code has removed."
        )
    return (
        f"The binding by `{OLD}` is gone, the one by `fibonacci.#` is there. What waited in `{AUDIT}` still waits, and "
        f"`{ALARMS}` gets what it got before."
    )


def _lost(trial: Trial) -> None:
    """Say how the message that waited was lost."""
    left = keys(trial, EVENTS, AUDIT)
    bindings = f"It is now bound by: {listed(left) or 'nothing'}."
    if sent(trial, spec.Queue.Delete):
        raise Mistake(
            f"You deleted the queue. That removes its bindings, and its messages as well: `{EARLIER}`, which had "
            f"waited in `{AUDIT}`, is lost. {bindings}"
        )
    if sent(trial, spec.Queue.Purge):
        still = ", and the binding that brings the wrong ones is still there" if OLD in left else ""
        raise Mistake(
            f"You purged the queue, which removes messages and no binding: `{EARLIER}`, which had waited in `{AUDIT}`, "
            f"is lost{still}. {bindings}"
        )
    raise Mistake(f"`{EARLIER}` had waited in `{AUDIT}` before your code began, and is gone. {bindings}")


def _still_bound(trial: Trial, unwanted: list[str]) -> None:
    """Say by which binding a queue gets what it should not get."""
    left, tried = keys(trial, EVENTS, AUDIT), sent(trial, spec.Queue.Unbind)
    if tried and OLD in left:
        method = tried[0]
        raise Mistake(
            f"You removed the binding of `{method.queue}` to `{method.exchange}` by `{method.routing_key}`. There was "
            f"none, which the broker passes over without a word. `{AUDIT}` is still bound by {listed(left)}, and got "
            f"{listed(unwanted)}: a binding is removed with exactly the arguments that made it."
        )
    raise Mistake(
        f"`{AUDIT}` still gets {listed(unwanted)}: it is bound by {listed(left)}, and one that fits is enough. "
        "Bindings stay when the program that made them has ended, and a new one replaces none."
    )


EXERCISE = Exercise(
    id="02-left-behind",
    title="Spot and mend: still everything",
    task="""
Until yesterday this program bound the queue `audit` to the topic exchange `events` by `#`. Its author changed the key
to `fibonacci.#` and started it again; and `audit` still gets everything. Mend it: of what is published from now on
`audit` gets only what begins with `fibonacci`. What waits in the queue has to stay, and so has whatever other programs
have bound.
""",
    name="subscribe",
    starter="""\
def subscribe(channel):
    channel.queue_declare("audit", durable=True)
    channel.queue_bind("audit", "events", routing_key="fibonacci.#")
""",
    solved="""\
def subscribe(channel):
    channel.queue_declare("audit", durable=True)
    channel.queue_bind("audit", "events", routing_key="fibonacci.#")
    channel.queue_unbind("audit", "events", routing_key="#")
""",
    hints=(
        "Which bindings has `audit` after yesterday's start and today's? `lab.bindings()` would show both.",
        "A queue gets what fits any of its bindings. The old one has to go, and only that.",
        "`channel.queue_unbind(...)`, with exactly the arguments by which yesterday's version made the binding.",
    ),
    judge=left_behind,
)
