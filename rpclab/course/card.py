"""How a verdict and a comparison look in a notebook.

Their HTML is saved with the notebook and compared when it is run again, so it is short, and shares nothing with the
widgets' style, which may change.
"""

from __future__ import annotations

from html import escape

from rpclab.course.text import html

GOOD, BAD, OPEN = "good", "bad", "open"

# Background and text of the label, the first of them for the card's edge as well; legible on light and on dark.
_COLOURS = {GOOD: ("#bfe6c9", "#0b4a1f"), BAD: ("#f6c6c1", "#7a1410"), OPEN: ("#fbe3a0", "#573f00")}


def card(mood: str, label: str, id: str, text: str, *more: str) -> str:
    """Return a card with a coloured label, an id, a text, and further parts that are HTML already."""
    back, front = _COLOURS[mood]
    pill = f"background:{back};color:{front};border-radius:10px;padding:1px 9px;font-weight:600"
    heading = f"<span style='{pill}'>{escape(label)}</span> <code>{escape(id)}</code>"
    edge = f"border-left:4px solid {back};padding:2px 14px;max-width:860px"
    return f"<div style='{edge}'><div>{heading}</div>{html(text)}{''.join(more)}</div>"


def preformatted(lines: tuple[str, ...]) -> str:
    """Return printed lines as they are, as HTML."""
    return f"<pre>{escape(chr(10).join(lines))}</pre>"
