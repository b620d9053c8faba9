"""Telling code that asks an empty queue again and again."""

from __future__ import annotations

from pika import spec

from rpclab.course.trial import Trial

MOST_IN_VAIN = 3


def asks_in_vain(trial: Trial) -> bool:
    """Tell whether a queue was asked with ``basic_get`` more often than can be meant when it was empty."""
    return sum(isinstance(event.method, spec.Basic.GetEmpty) for event in trial.events) > MOST_IN_VAIN
