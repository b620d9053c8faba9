"""Mistakes that can be made in each exercise, and what is said about them."""

from __future__ import annotations

from rpclab.course.evidence import ELSEWHERE, NEVER, TWICE, refusals
from rpclab.course.running import Running
from rpclab.course.trial import CHECK, Trial
from rpclab.course.verdict import Mistake

_TAGS = {
    TWICE: "The broker closed the channel (406, unknown delivery tag): you acknowledged the same delivery twice. A tag "
           "is valid once. Look for two ways through your code that both acknowledge.",
    ELSEWHERE: "The broker closed the channel (406, unknown delivery tag): you acknowledged on another channel than "
               "the one that delivered the message. A tag is a number that each channel counts for itself; give it "
               "back on `ch`, the channel that the callback was given.",
    NEVER: "The broker closed the channel (406, unknown delivery tag): you acknowledged a tag that was never "
           "delivered. Take it from `method.delivery_tag`.",
}


def refused(trial: Trial) -> None:
    """Raise a mistake if the broker closed a channel of the learner's code, with what it meant by that."""
    for refusal in refusals(trial.events):
        if refusal.who == CHECK:
            continue
        if refusal.tag:
            raise Mistake(_TAGS[refusal.tag])
        if refusal.code == 404 and "no queue" in refusal.text:
            queue = refusal.text.split("'")[1]
            raise Mistake(
                f"The broker closed the channel ({refusal.code} {refusal.text}): you use queue `{queue}`, and nobody "
                f"has declared it. Do it yourself, before: `channel.queue_declare({queue!r}, durable=True)`."
            )
        raise Mistake(f"The broker closed the channel: `{refusal.code} {refusal.text}`.")


def stopped(trial: Trial, running: Running, meaning: str = "") -> None:
    """Raise a mistake if the learner's code has ended, though it should go on."""
    if not running.alive:
        refused(trial)
        raise Mistake(f"{meaning}{explain(running)}")


def explain(running: Running) -> str:
    """Return how the learner's code ended, as a sentence."""
    said = running.outcome.explained
    return said[0].upper() + said[1:]


def not_consumed(trial: Trial, queue: str) -> None:
    """Raise a mistake: the learner's code does not take anything from a queue."""
    if trial.lab.tap.registry.consumers(queue):
        raise Mistake(f"Your code consumes from `{queue}` and was sent nothing within the time of this check.")
    raise Mistake(
        f"Your code runs and does not consume from `{queue}`: a server needs `basic_consume` and `start_consuming`, "
        "and a loop before them keeps it from getting there."
    )
