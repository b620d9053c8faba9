"""How the learner's code ended, read from what its process reported."""

from __future__ import annotations

import ast
import json
import linecache
import re
from dataclasses import dataclass

from rpclab.course.exercise_runner import OUTCOME
from rpclab.rpc.processes.worker import STOP_SECONDS, Worker
from rpclab.table import shortened

LINES_SHOWN = 5
_STARTED = re.compile(r" \[x\] Server .* started on queue ")
LONGEST_LINE = 120


@dataclass(frozen=True)
class Outcome:
    """How one process ended.

    Attributes
    ----------
    state : str
        ``running``, ``returned``, ``raised``, or ``gone``: it ended silently.
    text : str
        The ``repr`` of what was returned, or the error's message.
    error : str
        The error's name.
    where : str
        The learner's line that raised it, in words; else empty.
    exitcode : int or None
        The process's exit code.
    """

    state: str
    text: str = ""
    error: str = ""
    where: str = ""
    exitcode: int | None = None

    @property
    def value(self) -> object:
        """What was returned, if it consists of numbers, strings, lists and the like; else its ``repr``."""
        try:
            return ast.literal_eval(self.text)
        except (ValueError, SyntaxError, TypeError):
            return self.text

    @property
    def explained(self) -> str:
        """How it ended, as a sentence for a learner."""
        if self.state == "raised" and self.error == "SystemExit":
            return f"your code called `sys.exit` {self.where or 'somewhere'}, which ends the process."
        if self.state == "raised":
            text = f": {self.text}" if self.text else ""
            return f"your code raised `{self.error}{text}`{' ' if self.where else ''}{self.where}."
        if self.state == "gone":
            return f"the process ended silently (exit code {self.exitcode}), as after `os._exit` or a crash."
        return "your code was still running." if self.state == "running" else f"your code returned `{self.text}`."


def read(worker: Worker) -> Outcome:
    """Return how a worker's process ended, or that it is running."""
    alive = worker.alive
    if not alive:
        worker.join(STOP_SECONDS)  # its last line may still be in flight
    last = next((line for line in reversed(worker.log) if line.startswith(OUTCOME)), None)
    if last is None:
        return Outcome("running") if alive else Outcome("gone", exitcode=worker.exitcode)
    outcome = json.loads(last[len(OUTCOME):])
    if "returned" in outcome:
        return Outcome("returned", outcome["returned"])
    return Outcome("raised", outcome["message"], outcome["error"], _where(outcome))


def said(lines: list[str]) -> tuple[str, ...]:
    """Return the last lines that the learner's code printed, without those of its base class and process."""
    own = [line for line in lines if line.strip() and not line.startswith(OUTCOME) and not _STARTED.match(line)]
    return tuple(shortened(line, LONGEST_LINE) for line in own[-LINES_SHOWN:])


def _where(outcome: dict) -> str:
    """Return where an error arose, with the line itself if a notebook or a file has kept it."""
    if not outcome["function"]:
        return ""
    line = linecache.getline(outcome["file"], outcome["line"]).strip()
    return f"in `{outcome['function']}`" + (f", at `{line}`" if line else "")
