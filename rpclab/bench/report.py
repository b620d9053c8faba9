"""The bench's results, and the table of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import inf
from statistics import median

from rpclab.table import Table

COLUMNS = ("what", "measured", "reference", "ratio", "target", "met")


@dataclass(frozen=True)
class Row:
    """One line of the report.

    Attributes
    ----------
    what : str
        What was measured, and compared with what.
    measured : float
        The number, in `unit`.
    unit : str
        ``"/s"``, ``"ms"``, ``"s"`` or ``"MiB"``.
    target : str
        What it should be.
    goal : float
        The target as a number: for the ratio if there is one, else for the measured number.
    met : bool
        Whether the target is met.
    reference : float or None
        The number that it is compared with, from the same run.
    ratio : float or None
        Measured over reference: the median of the rounds' ratios, which need not be the ratio of the medians.
    """

    what: str
    measured: float
    unit: str
    target: str
    goal: float
    met: bool
    reference: float | None = None
    ratio: float | None = None

    @classmethod
    def compared(cls, what: str, ours: Sequence[float], theirs: Sequence[float], *, at_least: float) -> Row:
        """Return a row whose target is a ratio, from the calls a second of rounds that took turns."""
        # Pairs of one round: what slows the machine for a second slows both.
        ratio = median(mine / other for mine, other in zip(ours, theirs, strict=True))
        target = f"ratio >= {at_least:.2f}"
        return cls(what, median(ours), "/s", target, at_least, ratio >= at_least, median(theirs), ratio)

    @classmethod
    def bounded(
        cls, what: str, measured: float, unit: str, *, at_most: float = inf, at_least: float = -inf
    ) -> Row:
        """Return a row whose target is an upper or lower limit."""
        if at_most < inf:
            return cls(what, measured, unit, f"<= {at_most:g} {unit}", at_most, measured <= at_most)
        return cls(what, measured, unit, f">= {at_least:g}{unit}", at_least, measured >= at_least)


def table(rows: Iterable[Row]) -> Table:
    """Return the rows as they are printed."""
    return Table(COLUMNS, [
        {
            "what": row.what,
            "measured": shown(row.measured, row.unit),
            "reference": None if row.reference is None else shown(row.reference, row.unit),
            "ratio": None if row.ratio is None else f"{row.ratio:.2f}",
            "target": row.target,
            "met": row.met,
        }
        for row in rows
    ])


def shown(value: float, unit: str) -> str:
    """Return a number with its unit, as it is printed."""
    return f"{value:,.0f}{unit}" if unit == "/s" else f"{value:.2f} {unit}"
