"""A topic pattern that fits fewer words than there are."""

from __future__ import annotations

from rpclab.course.exercise import Exercise
from rpclab.course.lessons.lesson_02.arrivals import arrived, bound, exchange, keys, listed, publish
from rpclab.course.trial import Trial
from rpclab.course.verdict import Mistake

EVENTS, ALARMS = "events", "alarms"
FAILURES = (
    "addition.failed", "fibonacci.worker.failed", "failed", "fibonacci.worker.3.failed",
    "addition.room.2.worker.3.failed",
)
OTHERS = ("addition.done", "failed.again", "fibonacci.failed.twice", "addition.notfailed", "addition")


def every_failure(trial: Trial, answer) -> str:
    """Publish ten events, of which five are failures."""
    exchange(trial, EVENTS, "topic")
    bound(trial, "Watcher", answer)
    publish(trial, EVENTS, *FAILURES, *OTHERS)
    got = arrived(trial, ALARMS)
    patterns = keys(trial, EVENTS, ALARMS)
    if not patterns:
        raise Mistake(f"`{ALARMS}` is not bound to the exchange `{EVENTS}`, so it gets nothing.")
    missed, unwanted = [key for key in FAILURES if key not in got], [key for key in OTHERS if key in got]
    if missed and (glued := [pattern for pattern in patterns if _is_glued(pattern)]):
        raise Mistake(
            f"`{glued[0]}` fits nothing that you want: `*` and `#` stand for whole words, between dots, and are plain "
            f"letters within one. Missed: {listed(missed)}."
        )
    if unwanted:
        raise Mistake(
            f"`{ALARMS}` got what is no failure: {listed(unwanted)}. Missed: {listed(missed) or 'nothing'}. Bound by: "
            f"{listed(patterns)}."
        )
    if missed:
        _missed(missed, patterns)
    return (
        f"All {len(FAILURES)} failures are in `{ALARMS}`, from the bare `failed` to `{FAILURES[-1]}`, and nothing else."
    )


def _is_glued(pattern: str) -> bool:
    return any(len(word) > 1 and ("*" in word or "#" in word) for word in pattern.split("."))


def _missed(missed: list[str], patterns: list[str]) -> None:
    count = missed[0].count(".") + 1
    words = f"`{missed[0]}` has {count} word{'s' if count > 1 else ''}"
    raise Mistake(
        f"{words}, and none of your patterns ({listed(patterns)}) fits it, so there was no alarm. In all, "
        f"{len(missed)} of {len(FAILURES)} failures are missed. Each `*` stands for exactly one word."
    )


EXERCISE = Exercise(
    id="02-every-failure",
    title="Spot and mend: the alarm that stays silent",
    task="""
The queue `alarms` is to get each event whose key has `failed` for its last word, however many words come before it:
`addition.failed`, `fibonacci.worker.failed`, a mere `failed`. And nothing else. Last night a worker failed, and the
queue stayed empty. Mend the binding.
""",
    name="watch",
    starter="""\
def watch(channel):
    channel.exchange_declare("events", exchange_type="topic", durable=True)
    channel.queue_declare("alarms", durable=True)
    channel.queue_bind("alarms", "events", routing_key="*.failed")
""",
    solved="""\
def watch(channel):
    channel.exchange_declare("events", exchange_type="topic", durable=True)
    channel.queue_declare("alarms", durable=True)
    channel.queue_bind("alarms", "events", routing_key="#.failed")
""",
    hints=(
        "How many words does `*.failed` want, and how many has `fibonacci.worker.failed`?",
        "There are two wildcards. Which of them may stand for two words, for five, or for none?",
        "`#` in the place of `*`, with the dot after it.",
    ),
    judge=every_failure,
)
