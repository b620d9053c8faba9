"""What a rule is, and what it finds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rpclab.findings.case import Case

ERROR, WARNING, HINT = "error", "warning", "hint"
GRAVITIES = (ERROR, WARNING, HINT)
# How much of a finding's evidence is kept, and how much of it is shown as text; the rest is counted.
MOST_KEPT, MOST_SHOWN = 20, 4


@dataclass(frozen=True)
class Evidence:
    """One thing that was seen.

    Attributes
    ----------
    text : str
        What it was, in one line.
    message : int or None
        The number of the message, if it is one.
    step : int or None
        The order of the message's step, if it is one.
    """

    text: str
    message: int | None = None
    step: int | None = None


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, and what shows it.

    Attributes
    ----------
    rule : str
        Which rule found it, such as ``unroutable``.
    gravity : str
        ``error`` (messages or replies are lost, or a program has ended), ``warning`` or ``hint``.
    title : str
        What is wrong, in one line.
    meaning, cure : str
        What follows from it, and what to do.
    see : str
        The lesson, or the section of the error clinic, that explains it.
    evidence : tuple of Evidence
        What was seen, in order, of much the beginning.
    seen : int
        How much it is in all.
    """

    rule: str
    gravity: str
    title: str
    meaning: str
    cure: str
    see: str
    evidence: tuple[Evidence, ...]
    seen: int

    def __str__(self) -> str:
        shown = [f"  - {one.text}" for one in self.evidence[:MOST_SHOWN]]
        if self.seen > MOST_SHOWN:
            shown.append(f"  - and {self.seen - MOST_SHOWN} more")
        return "\n".join([
            f"{self.gravity}: {self.title} ({self.rule})", *shown, f"  {self.meaning}", f"  Fix: {self.cure}",
            f"  See: {self.see}",
        ])

    def to_dict(self) -> dict:
        """Return it as plain data."""
        return asdict(self)


# What a rule yields for each thing that it finds: what its title, meaning and cure mention, and what was seen.
Found = Iterator[tuple[Mapping[str, object], Sequence[Evidence]]]


@dataclass(frozen=True)
class Rule:
    """What to look for, and what to say of it: ``title``, ``meaning`` and ``cure`` are formats.

    See `Finding` for the rest.
    """

    name: str
    gravity: str
    title: str
    meaning: str
    cure: str
    see: str
    look: Callable[[Case], Found]

    def findings(self, case: Case) -> Iterable[Finding]:
        """Yield what the rule finds."""
        for said, evidence in self.look(case):
            gravity = str(said.get("gravity", self.gravity))
            title, meaning, cure = (text.format(**said) for text in (self.title, self.meaning, self.cure))
            if self.title[0].isalpha():  # and not a name, which keeps its letters
                title = title[0].upper() + title[1:]
            kept = tuple(evidence[:MOST_KEPT])
            yield Finding(self.name, gravity, title, meaning, cure, self.see, kept, len(evidence))


RULES: dict[str, Rule] = {}


def rule(
    name: str, gravity: str, *, title: str, meaning: str, cure: str, see: str,
) -> Callable[[Callable[[Case], Found]], Callable[[Case], Found]]:
    """Make a function a rule: it takes a `Case` and yields what it finds; see `Found`."""

    def add(look: Callable[[Case], Found]) -> Callable[[Case], Found]:
        assert name not in RULES, name
        RULES[name] = Rule(name, gravity, title, meaning, cure, see, look)
        return look

    return add
