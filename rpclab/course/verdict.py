"""What a check says, as text and as HTML: the same words each time for the same mistake."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass

from rpclab.course.card import BAD, GOOD, OPEN, card, preformatted
from rpclab.course.text import plain
from rpclab.table import Table

NOT_ATTEMPTED, WRONG, RIGHT = "not attempted", "wrong", "right"

_LABELS = {NOT_ATTEMPTED: (OPEN, "\u2026"), WRONG: (BAD, "\u2715"), RIGHT: (GOOD, "\u2713")}


class Mistake(Exception):
    """What is wrong with an answer, in words for the one who wrote it; a check raises it as soon as it knows."""


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
        Why: the diagnosis of a wrong answer, what happened with a right one. Names of code stand in backticks.
    seen : Table or None
        The messages of the check, as they crossed the wire; None if nothing was run.
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
        parts = [f"{self.exercise}: {self.state}", plain(self.text)]
        if self.seen:
            parts.append("What crossed the wire:\n" + textwrap.indent(repr(self.seen), "  "))
        if self.said:
            parts.append("What your code printed last:\n" + textwrap.indent("\n".join(self.said), "  "))
        return "\n\n".join(parts)

    def _repr_html_(self) -> str:
        mood, sign = _LABELS[self.state]
        more = []
        if self.seen:
            more += ["<p>What crossed the wire:</p>", self.seen._repr_html_()]
        if self.said:
            more += ["<p>What your code printed last:</p>", preformatted(self.said)]
        return card(mood, f"{sign} {self.state}", self.exercise, self.text, *more)
