"""A check's result, as text and as HTML: the same words each time for the same mistake."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass

from rpclab.course.card import BAD, GOOD, OPEN, card, preformatted
from rpclab.course.text import plain
from rpclab.table import Table

NOT_ATTEMPTED, WRONG, RIGHT = "not attempted", "wrong", "right"

_LABELS = {NOT_ATTEMPTED: (OPEN, "\u2026"), WRONG: (BAD, "\u2715"), RIGHT: (GOOD, "\u2713")}


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
        more = [f"<p>{title}</p>{html}" for title, _, html in self._more()]
        return card(mood, f"{sign} {self.state}", self.exercise, self.text, *more)

    def _more(self) -> Iterator[tuple[str, str, str]]:
        """Yield the title of each further part, and the part as text and as HTML."""
        if self.seen:
            yield "What crossed the wire:", repr(self.seen), self.seen._repr_html_()
        if self.said:
            yield "What your code printed last:", "\n".join(self.said), preformatted(self.said)
