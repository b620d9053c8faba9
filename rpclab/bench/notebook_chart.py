"""The bench in a notebook: one bar for each number, against its target."""

from __future__ import annotations

from collections.abc import Sequence

import ipywidgets as widgets

from rpclab import theme
from rpclab.bench.report import Row, shown, table

# A bar is cut off at twice its target; the number beside it is exact.
WIDEST = 2.0


class Chart(widgets.HTML):
    """The bench's results as bars; the line in each is its target.

    The numbers differ from run to run, so the notebook's file keeps only their count; ``print(chart)`` shows a table.

    Parameters
    ----------
    rows : sequence of Row
        What was measured.
    """

    def __init__(self, rows: Sequence[Row]):
        self.rows = tuple(rows)
        super().__init__(_html(self.rows))

    def __str__(self) -> str:
        return repr(table(self.rows))

    def __repr__(self) -> str:
        return f"Chart({len(self.rows)} measured)"


def _html(rows: Sequence[Row]) -> str:
    columns = ("what", "measured", "", "should be", "")
    cells = [
        (theme.text(row.what), _measured(row), _bar(row), theme.text(row.target), _verdict(row)) for row in rows
    ]
    return f"{theme.STYLE}<div class='rpclab-card'>{theme.table(columns, cells)}</div>"


def _measured(row: Row) -> str:
    ratio = "" if row.ratio is None else f"<b>{row.ratio:.2f}</b><br>"
    against = "" if row.reference is None else f" against {shown(row.reference, row.unit)}"
    return f"{ratio}{theme.text(shown(row.measured, row.unit) + against)}"


def _bar(row: Row) -> str:
    part = max(0.0, min(WIDEST, (row.measured if row.ratio is None else row.ratio) / row.goal)) / WIDEST
    return (
        "<svg width='120' height='16' aria-hidden='true' class='bars'>"
        f"<rect width='{120 * part:.1f}' height='10' y='3'></rect>"
        f"<line x1='{120 / WIDEST}' x2='{120 / WIDEST}' y1='0' y2='16' stroke='currentColor'></line></svg>"
    )


def _verdict(row: Row) -> str:
    return theme.label("good", "\u2713 met") if row.met else theme.label("bad", "\u2715 not met")
