"""What a widget shows, and clicks on it as the browser sends them, without a browser."""

from __future__ import annotations

from collections.abc import Iterator


def shown(pane) -> str:
    """Return every text that a widget's front end is given, one a line."""

    def texts(value: object) -> Iterator[str]:
        if isinstance(value, dict):
            for part in value.values():
                yield from texts(part)
        elif isinstance(value, list | tuple):
            for part in value:
                yield from texts(part)
        else:
            yield str(value)

    return "\n".join(texts(pane.scene))


def rows(pane) -> list[list]:
    """Return the cells of a small widget's table, as text or as what the front end draws."""
    cells = [row["cells"] for row in pane.scene.get("card", {"table": {"rows": []}})["table"]["rows"]]
    return [[cell.get("text", cell) if isinstance(cell, dict) else cell for cell in row] for row in cells]


def note(pane) -> str:
    """Return the line under a small widget's table."""
    return pane.scene.get("card", {"note": ""})["note"]


def buttons(pane) -> list[dict]:
    """Return all buttons that are drawn: ``do``, ``args``, ``label``, and ``off`` if it cannot be pressed."""

    def found(value: object) -> Iterator[dict]:
        if isinstance(value, dict) and {"do", "args"} <= value.keys():
            yield value
        elif isinstance(value, dict | list | tuple):
            for part in value.values() if isinstance(value, dict) else value:
                yield from found(part)

    return list(found(pane.scene))


def click(pane, do: str, *args) -> None:
    """Send what the front end sends when that is clicked on."""
    pane._told(pane, {"do": do, "args": list(args)}, [])
