"""Which queues there were in the course of a check, those that are gone again included."""

from __future__ import annotations

from pika import spec

from rpclab.course.trial import Trial


def declared(trial: Trial) -> list[str]:
    """Return the names that the broker has answered a declaration with, in order."""
    return [event.method.queue for event in trial.events if isinstance(event.method, spec.Queue.DeclareOk)]
