"""Diagnoses of mistakes that any exercise can meet."""

from __future__ import annotations

from collections.abc import Callable

from rpclab.broker.broker_errors import TRANSIENT
from rpclab.course.running import Running
from rpclab.course.trial import Trial
from rpclab.course.verdict import Mistake
from rpclab.findings.diagnosis import found

# By the rules that find them.
_TAGS = {
    "acked-twice": "The broker closed the channel (406, unknown delivery tag): you acknowledged the same delivery "
                   "twice. A tag is valid once. Look for two paths through your code that both acknowledge.",
    "acked-with-auto-ack": "The broker closed the channel (406, unknown delivery tag): you acknowledged a delivery of "
                           "a consumer with `auto_ack=True`, which counts as acknowledged when it is sent.",
    "acked-on-another-channel": "The broker closed the channel (406, unknown delivery tag): you acknowledged on "
                                "another channel than the one that delivered the message. Each channel numbers its own "
                                "deliveries; acknowledge on `ch`, the channel that your callback was given.",
    "acked-unknown-tag": "The broker closed the channel (406, unknown delivery tag): you acknowledged a tag that was "
                         "never delivered. Take it from `method.delivery_tag`.",
}


def refused(trial: Trial) -> None:
    """Raise a mistake if the broker refused something that the learner's code sent, and explain it."""
    case = trial.case
    if tag := next(found(case, *_TAGS), None):
        raise Mistake(_TAGS[tag.rule])
    for refusal in case.refusals:
        if TRANSIENT in refusal.text:
            raise Mistake(
                f"The queue `{refusal.queue}` is not durable, and this broker refuses every queue that is neither "
                f"durable nor exclusive, as RabbitMQ does from 4.3 on. It closed the whole connection ({refusal.code} "
                f"INTERNAL_ERROR). Declare it with `durable=True`."
            )
        if refusal.code == 404 and "no queue" in refusal.text:
            queue = refusal.text.split("'")[1]
            raise Mistake(
                f"The broker closed the channel ({refusal.code} {refusal.text}): you use queue `{queue}`, and no "
                f"program has declared it. Declare it first: `channel.queue_declare({queue!r}, durable=True)`."
            )
        if refusal.channel and not refusal.by_client:
            raise Mistake(f"The broker closed the channel: `{refusal.code} {refusal.text}`.")


def stopped(trial: Trial, running: Running, meaning: str = "") -> None:
    """Raise a mistake if the learner's code has ended and should still run."""
    if not running.alive:
        refused(trial)
        raise Mistake(f"{meaning}{explain(running)}")


def explain(running: Running) -> str:
    """Return how the learner's code ended, as a sentence."""
    said = running.outcome.explained
    return said[0].upper() + said[1:]


def not_consumed(trial: Trial, queue: str) -> None:
    """Raise a mistake: the learner's code takes nothing from a queue."""
    if trial.lab.tap.registry.consumers(queue):
        raise Mistake(f"Your code consumes from `{queue}` and was sent nothing within the time of this check.")
    raise Mistake(
        f"Your code runs and does not consume from `{queue}`: a server needs `basic_consume` and `start_consuming`, "
        "and must not loop before them."
    )


def until(trial: Trial, condition: Callable[[], object], running: Running, meaning: str = "") -> None:
    """Wait as `Trial.wait` does; raise a mistake if the learner's code has ended, or the broker refused something."""
    trial.wait(condition, running)
    stopped(trial, running, meaning)
    refused(trial)


def until_consuming(trial: Trial, running: Running, queue: str) -> None:
    """Wait until the learner's code consumes from a queue, and raise a mistake if it does not."""
    if not trial.wait(lambda: trial.lab.tap.registry.consumers(queue), running):
        stopped(trial, running)
        not_consumed(trial, queue)
