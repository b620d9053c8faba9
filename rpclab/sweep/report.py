"""The sweep's results, as a table for people and as an object for programs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from itertools import product

from rpclab.sweep.cases import FAULTS, SETUPS
from rpclab.sweep.promises import ANSWERED
from rpclab.sweep.result import Result
from rpclab.table import Table

COLUMNS = ("options", "queue", "fault", "runs", "answered", "errors", "done twice", "replaced", "not reached", "broken")


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
