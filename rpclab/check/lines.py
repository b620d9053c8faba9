"""What a check found: a line for each thing that was tried, or not tried and why."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass

from rpclab.story.diagram import printable
from rpclab.table import shortened
from rpclab.watch.target import hidden

PASS, FAIL, NOT_TRIED = "pass", "FAIL", "not tried"
NAME_WIDTH = 50
BODY_SHOWN = 60


@dataclass(frozen=True)
class Line:
    """One thing that a program should do.

    Attributes
    ----------
    name : str
        What it should do.
    outcome : str
        ``pass``, ``FAIL`` or ``not tried``.
    evidence : str
        What was seen, or why it was not tried.
    """

    name: str
    outcome: str
    evidence: str

    def __str__(self) -> str:
        return printable(f"{self.outcome:<9}  {self.name:<{NAME_WIDTH}}  {self.evidence}".rstrip())


class Lines:
    """The lines so far.

    Parameters
    ----------
    tell : callable
        Called with each line as it is found.
    """

    def __init__(self, tell: Callable[[Line], None]):
        self.found: list[Line] = []
        self._tell = tell

    def add(self, name: str, outcome: str | bool, evidence: str) -> bool:
        """Add a line; return whether it is no failure."""
        if isinstance(outcome, bool):
            outcome = PASS if outcome else FAIL
        self.found.append(Line(name, outcome, hidden(evidence)))
        self._tell(self.found[-1])
        return outcome != FAIL

    def add_rest(self, names: Iterable[str], why: str) -> None:
        """Add a line for each of these that has none: it was not tried, and why."""
        tried = {line.name for line in self.found}
        for name in names:
            if name not in tried:
                self.add(name, NOT_TRIED, why)

    @property
    def failed(self) -> int:
        """How many of them are failures."""
        return sum(line.outcome == FAIL for line in self.found)

    def summary(self) -> str:
        """Return how many passed, failed, and were not tried."""
        counts = [sum(line.outcome == outcome for line in self.found) for outcome in (PASS, FAIL, NOT_TRIED)]
        return "{} passed, {} failed, {} not tried.".format(*counts)

    def to_json(self, **what: str) -> str:
        """Return all as JSON, after what was checked."""
        return json.dumps({**what, "failed": self.failed, "lines": [asdict(line) for line in self.found]}, indent=2)


def quoted(body: bytes) -> str:
    """Return a body as evidence quotes it."""
    return repr(shortened(body.decode(errors="backslashreplace"), BODY_SHOWN))
