"""The results of runs, in full and as a table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from itertools import product

from rpclab.sweep.cases import FAULTS, SETUPS, Case
from rpclab.sweep.promises import ANSWERED
from rpclab.table import Table

COLUMNS = ("options", "queue", "fault", "runs", "answered", "errors", "done twice", "replaced", "not reached", "broken")


@dataclass
class Result:
    """The result of a run.

    Attributes
    ----------
    case : Case
        The case.
    frame : str
        The frame of the fault, such as ``Basic.Publish``; empty if no such frame came.
    outcome : str
        ``answered``, or the kind of the error that ended the call.
    done : int
        How often the work was done.
    replaced : list of str
        Why client or server had to be replaced, each time.
    broken : list of str
        The promises that were broken.
    seconds : float
        How long it took.
    sequence : str
        What happened, as a sequence diagram in text form.
    log : str
        What the servers printed.
    """

    case: Case
    frame: str = ""
    outcome: str = ""
    done: int = 0
    replaced: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    seconds: float = 0.0
    sequence: str = ""
    log: str = ""

    def __str__(self) -> str:
        """Return all details, to find the cause."""
        times = "once" if self.done == 1 else f"{self.done} times"
        lines = [
            f"{self.case}, at {self.frame or 'no frame'}: {self.outcome}, the work done {times}, "
            f"in {self.seconds:.2f} s"
        ]
        lines += [f"  broken    {each}" for each in self.broken]
        lines += [f"  replaced  {each}" for each in self.replaced]
        lines += [f"    {line}" for line in self.sequence.splitlines()]
        lines += [f"    | {line}" for line in self.log.splitlines()]
        return "\n".join([*lines, f"  Repeat it: python -m rpclab sweep --only {self.case}"])


def table(results: Sequence[Result]) -> Table:
    """Return a row for each fault with each set of options on each type of queue, and a last one for all."""
    rows = []
    for setup, fault in product(SETUPS, FAULTS):
        of_kind = [result for result in results if (result.case.setup, result.case.fault) == (setup, fault)]
        if of_kind:
            rows.append({"options": setup.options, "queue": setup.queue_type, "fault": fault} | _counts(of_kind))
    if len(rows) > 1:
        rows.append({"options": "all", "queue": "all", "fault": "all"} | _counts(results))
    return Table(COLUMNS, rows, empty="(no runs)")


def plain(results: Sequence[Result]) -> dict:
    """Return the results as plain values; sequence and log only for runs that broke a promise."""
    return {
        "runs": [
            {name: value for name, value in asdict(result).items() if result.broken or name not in ("sequence", "log")}
            | {"case": str(result.case)}
            for result in results
        ],
        "sound": sound(results),
    }


def sound(results: Sequence[Result]) -> bool:
    """Return whether no promise was broken."""
    return not any(result.broken for result in results)


def _counts(results: Sequence[Result]) -> dict:
    errors = Counter(result.outcome for result in results if result.outcome != ANSWERED)
    return {
        "runs": len(results),
        "answered": sum(result.outcome == ANSWERED for result in results),
        "errors": ", ".join(f"{kind} {count}" for kind, count in sorted(errors.items())) or None,
        "done twice": sum(result.done > 1 for result in results),
        "replaced": sum(bool(result.replaced) for result in results),
        "not reached": sum(not result.frame for result in results),
        "broken": sum(bool(result.broken) for result in results),
    }
