"""Starting a learner's server, for checks that ask it something only when it consumes."""

from __future__ import annotations

from collections.abc import Callable

from rpclab.course.findings import not_consumed, stopped
from rpclab.course.running import Running
from rpclab.course.trial import Trial


def start(trial: Trial, name: str, function: Callable, answer: type, queue: str) -> Running:
    """Run a server, and return when it consumes from its queue; raise a mistake if it does not."""
    running = trial.run(name, function, answer)
    if not trial.wait(lambda: trial.lab.tap.registry.consumers(queue), running):
        stopped(trial, running)
        not_consumed(trial, queue)
    return running
