"""A check's result, as text and as HTML: the same words each time for the same mistake.

Its HTML is saved with the notebook and compared when it is run again, so it is short, and shares nothing with the
widgets' style, which may change.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape

from rpclab.course.text import html, plain
from rpclab.table import Table

GOOD, BAD, OPEN = "good", "bad", "open"

# Background and text of the label, the first of them for the card's edge as well; legible on light and on dark.
_COLOURS = {GOOD: ("#bfe6c9", "#0b4a1f"), BAD: ("#f6c6c1", "#7a1410"), OPEN: ("#fbe3a0", "#573f00")}

NOT_ATTEMPTED, WRONG, RIGHT = "not attempted", "wrong", "right"

_LABELS = {NOT_ATTEMPTED: (OPEN, "\u2026"), WRONG: (BAD, "\u2715"), RIGHT: (GOOD, "\u2713")}


def card(mood: str, label: str, id: str, text: str, *more: str) -> str:
    """Return a card with a coloured label, an id, a text, and further parts that are HTML already."""
    back, front = _COLOURS[mood]
    pill = f"background:{back};color:{front};border-radius:10px;padding:1px 9px;font-weight:600"
    heading = f"<span style='{pill}'>{escape(label)}</span> <code>{escape(id)}</code>"
    edge = f"border-left:4px solid {back};padding:2px 14px;max-width:860px"
    return f"<div style='{edge}'><div>{heading}</div>{html(text)}{''.join(more)}</div>"


class Mistake(Exception):
    """What is wrong with an answer, in words for its author; a check raises it as soon as it knows."""


@dataclass(frozen=True, repr=False)
class Verdict:
    """The outcome of one check; true if the answer is right.

    Attributes
    ----------
    exercise : str
        The exercise's id.
    state : str
        ``not attempted``, ``wrong`` or ``right``.
    text : str
        The diagnosis of a wrong answer, or what happened with a right one. Code is in backticks.
    seen : Table or None
        The check's messages, as they crossed the wire; None if nothing was run.
    said : tuple of str
        The last lines that the learner's code printed.
    """

    exercise: str
    state: str
    text: str
    seen: Table | None = None
    said: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return self.state == RIGHT

    def __repr__(self) -> str:
        more = [f"{title}\n{textwrap.indent(text, '  ')}" for title, text, _ in self._more()]
        return "\n\n".join([f"{self.exercise}: {self.state}", plain(self.text), *more])

    def _repr_html_(self) -> str:
        mood, sign = _LABELS[self.state]
        more = [f"<p>{title}</p>{part}" for title, _, part in self._more()]
        return card(mood, f"{sign} {self.state}", self.exercise, self.text, *more)

    def _more(self) -> Iterator[tuple[str, str, str]]:
        """Yield the title of each further part, and the part as text and as HTML."""
        if self.seen:
            yield "What crossed the wire:", repr(self.seen), self.seen._repr_html_()
        if said := "\n".join(self.said):
            yield "What your code printed last:", said, f"<pre>{escape(said)}</pre>"
