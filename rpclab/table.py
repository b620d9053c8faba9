"""A list of records that prints as a table, in a terminal and in a notebook."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from typing import overload


class Table(Sequence[dict]):
    """Rows with named columns, as the lab returns lists.

    A row is a mapping (``row["ready"]``). ``table["addition"]`` finds the row whose first column has that value.

    Parameters
    ----------
    columns : sequence of str
        The columns to show, in order.
    rows : iterable of mappings
        One for each row; a value may be missing.
    empty : str
        What to print when there are no rows.
    """

    def __init__(self, columns: Sequence[str], rows: Iterable[Mapping], *, empty: str = "(none)"):
        self.columns = tuple(columns)
        self._rows = [dict(row) for row in rows]
        self._empty = empty

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, key: int | str) -> dict: ...

    @overload
    def __getitem__(self, key: slice) -> list[dict]: ...

    def __getitem__(self, key: int | str | slice) -> dict | list[dict]:
        if isinstance(key, str):
            for row in self._rows:
                if row.get(self.columns[0]) == key:
                    return row
            raise KeyError(key)
        return self._rows[key]

    def __iter__(self) -> Iterator[dict]:
        return iter(self._rows)

    def column(self, name: str) -> list:
        """Return one column's values, from the first row to the last."""
        return [row.get(name) for row in self._rows]

    def where(self, **values: object) -> Table:
        """Return a table of the rows that have these values: ``lab.bindings().where(exchange="events")``."""
        rows = [row for row in self._rows if all(row.get(name) == value for name, value in values.items())]
        return Table(self.columns, rows, empty=self._empty)

    def __repr__(self) -> str:
        if not self._rows:
            return self._empty
        cells = [self.columns, *([_text(row.get(name)) for name in self.columns] for row in self._rows)]
        widths = [max(len(line[i]) for line in cells) for i in range(len(self.columns))]
        numeric = [all(_is_number(row.get(name)) for row in self._rows) for name in self.columns]
        lines = [
            "  ".join(
                cell.rjust(width) if right else cell.ljust(width)
                for cell, width, right in zip(line, widths, numeric, strict=True)
            ).rstrip()
            for line in cells
        ]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        if not self._rows:
            return f"<em>{escape(self._empty)}</em>"
        head = "".join(f"<th>{escape(name)}</th>" for name in self.columns)
        body = "".join(
            "<tr>" + "".join(f"<td>{escape(_text(row.get(name)))}</td>" for name in self.columns) + "</tr>"
            for row in self._rows
        )
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def shortened(text: str, most: int) -> str:
    """Return a text shortened to a length, with an ellipsis if it was cut."""
    return text if len(text) <= most else text[: most - 1] + "\u2026"


def _text(value: object) -> str:
    """Return one cell's text: on one line, with control characters made visible."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        value = ", ".join(f"{name}={part}" for name, part in value.items())
    if isinstance(value, bytes):
        value = value.decode(errors="backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(value))


def _is_number(value: object) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))
