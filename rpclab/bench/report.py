"""The bench's results, as a table for people and as an object for programs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from math import inf
from statistics import median

from rpclab.table import Table

COLUMNS = ("what", "measured", "reference", "ratio", "target", "met")
Rounds = Sequence[float]


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
    reference : float or None
        The number that it is compared with, from the same run.
    ratio : float or None
        Measured over reference: the median of the rounds' ratios, which need not be the ratio of the medians.
    target : str
        What it should be; empty if nothing was promised.
    goal : float or None
        The target as a number: for the ratio if there is one, else for the measured number.
    met : bool or None
        Whether the target is met; None if nothing was promised.
    """

    what: str
    measured: float
    unit: str
    reference: float | None = None
    ratio: float | None = None
    target: str = ""
    goal: float | None = None
    met: bool | None = None

    @classmethod
    def compared(cls, what: str, ours: Rounds, theirs: Rounds, unit: str, *, at_least: float) -> Row:
        """Return a row whose target is a ratio, from the numbers of rounds that took turns."""
        ratio, target = _ratio(ours, theirs), f"ratio >= {at_least:.2f}"
        return cls(what, median(ours), unit, median(theirs), ratio, target, at_least, ratio >= at_least)

    @classmethod
    def near(cls, what: str, ours: Rounds, theirs: Rounds, unit: str, *, within: float) -> Row:
        """Return a row whose target is a ratio of 1, with a tolerance."""
        ratio, target = _ratio(ours, theirs), f"1.00 +- {within:.2f}"
        return cls(what, median(ours), unit, median(theirs), ratio, target, 1.0, abs(ratio - 1) <= within)

    @classmethod
    def bounded(
        cls, what: str, measured: float, unit: str, *, at_most: float = inf, at_least: float = -inf
    ) -> Row:
        """Return a row whose target is an upper or lower limit."""
        if at_most < inf:
            return cls(what, measured, unit, target=f"<= {at_most:g} {unit}", goal=at_most, met=measured <= at_most)
        return cls(what, measured, unit, target=f">= {at_least:g}{unit}", goal=at_least, met=measured >= at_least)


def table(rows: Iterable[Row]) -> Table:
    """Return the rows as they are printed."""
    return Table(COLUMNS, [
        {
            "what": row.what,
            "measured": shown(row.measured, row.unit),
            "reference": None if row.reference is None else shown(row.reference, row.unit),
            "ratio": None if row.ratio is None else f"{row.ratio:.2f}",
            "target": row.target or None,
            "met": row.met,
        }
        for row in rows
    ])


def plain(rows: Iterable[Row]) -> list[dict]:
    """Return the rows as plain dictionaries, numbers unrounded."""
    return [asdict(row) for row in rows]


def shown(value: float, unit: str) -> str:
    """Return a number with its unit, as it is printed."""
    return f"{value:,.0f}{unit}" if unit == "/s" else f"{value:.2f} {unit}"


def _ratio(ours: Rounds, theirs: Rounds) -> float:
    # Pairs of one round: what slows the machine for a second slows both.
    return median(mine / other for mine, other in zip(ours, theirs, strict=True))

