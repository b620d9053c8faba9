"""What the bench found, as a table for people and as an object for programs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
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
        What was measured, and against what.
    measured : float
        The figure, in `unit`.
    unit : str
        ``"/s"``, ``"ms"``, ``"s"`` or ``"MiB"``.
    reference : float or None
        The same figure of what it is compared with, from the same run.
    ratio : float or None
        Measured over reference: the median of the rounds' ratios, which need not be the ratio of the medians.
    target : str
        What it should be; empty where nothing was promised.
    goal : float or None
        The target as a number: of the ratio if there is one, else of the figure.
    met : bool or None
        Whether it is; None where nothing was promised.
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
        """Return a row whose target is a ratio, from the figures of rounds that took turns."""
        ratio, target = _ratio(ours, theirs), f"ratio >= {at_least:.2f}"
        return cls(what, median(ours), unit, median(theirs), ratio, target, at_least, ratio >= at_least)

    @classmethod
    def near(cls, what: str, ours: Rounds, theirs: Rounds, unit: str, *, within: float) -> Row:
        """Return a row whose target is a ratio of 1, give or take a part."""
        ratio, target = _ratio(ours, theirs), f"1.00 +- {within:.2f}"
        return cls(what, median(ours), unit, median(theirs), ratio, target, 1.0, abs(ratio - 1) <= within)

    @classmethod
    def bounded(
        cls, what: str, measured: float, unit: str, *, at_most: float | None = None, at_least: float | None = None
    ) -> Row:
        """Return a row whose target is a figure not to be exceeded, or to be reached."""
        if at_most is not None:
            return cls(what, measured, unit, target=f"<= {at_most:g} {unit}", goal=at_most, met=measured <= at_most)
        return cls(what, measured, unit, target=f">= {at_least:g}{unit}", goal=at_least, met=measured >= at_least)


def table(rows: Iterable[Row]) -> Table:
    """Return the rows as they are printed."""
    return Table(COLUMNS, [
        {
            "what": row.what,
            "measured": figure(row.measured, row.unit),
            "reference": None if row.reference is None else figure(row.reference, row.unit),
            "ratio": None if row.ratio is None else f"{row.ratio:.2f}",
            "target": row.target or None,
            "met": row.met,
        }
        for row in rows
    ])


def plain(rows: Iterable[Row]) -> list[dict]:
    """Return the rows as plain dictionaries, figures unrounded."""
    return [asdict(row) for row in rows]


def figure(value: float, unit: str) -> str:
    """Return a figure with its unit, as it is printed."""
    return f"{value:,.0f}{unit}" if unit == "/s" else f"{value:.2f} {unit}"


def _ratio(ours: Rounds, theirs: Rounds) -> float:
    # Of neighbours in time: what slows the machine down for a second slows both.
    return median(mine / other for mine, other in zip(ours, theirs, strict=True))

