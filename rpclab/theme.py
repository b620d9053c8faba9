"""HTML for the widgets that are lists of text: with the colours and sizes of all others."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

from rpclab.table import shortened

FRONT_END = Path(__file__).parent / "widgets" / "front_end"


def script() -> str:
    """Return the front end of all widgets: one ES module, of its files in the order of their numbers."""
    return "\n".join(path.read_text(encoding="utf-8") for path in sorted(FRONT_END.glob("*.js")))


def style(name: str = "room.css") -> str:
    """Return a style sheet of the front end."""
    return (FRONT_END / name).read_text(encoding="utf-8")


STYLE = f"<style>{style()}</style>"


def title(text: str, code: str = "") -> str:
    """Return a widget's heading, plain text and a name, with the style of the whole widget."""
    return f"{STYLE}<div class='rpclab'><b>{escape(text)}</b> <code>{escape(code)}</code></div>"


def note(text: str) -> str:
    """Return a line of small print."""
    return f"<div class='rpclab'><div class='quiet'>{escape(text)}</div></div>"


def label(mood: str, text: str, tooltip: str = "") -> str:
    """Return a coloured label, inside a table; its text should say the same as the colour."""
    said = escape(tooltip or text, quote=True)
    return f"<span class='mood {mood}' role='img' aria-label='{said}' title='{said}'>{escape(text)}</span>"


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; the cells are HTML, and the caller escapes text from outside."""
    head = "".join(f"<th scope='col'>{escape(column)}</th>" for column in columns)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<div class='rpclab'><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"


def text(value: object, most: int = 120) -> str:
    """Return any value as escaped text for a browser, cut to a length."""
    # Half of a surrogate pair is not valid Unicode, and could not be sent to the browser.
    return escape(shortened(str(value), most).encode(errors="backslashreplace").decode())
