"""All that the rules find in a story."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from html import escape

# Their rules are what is looked for; of the same gravity, causes come before what follows from them.
from rpclab.findings import (  # noqa: F401
    acknowledging,
    asking,
    connections,
    redelivering,
    replying,
    routing,
)
from rpclab.findings.case import Case, counted
from rpclab.findings.rule import GRAVITIES, RULES, Finding
from rpclab.story.story import Story


class Diagnosis:
    """What is wrong in a story, gravest first; prints as text, and in a notebook as a list.

    Attributes
    ----------
    findings : list of Finding
        What the rules found.
    seen : int
        How many messages they looked at.
    """

    def __init__(self, findings: Iterable[Finding], seen: int):
        self.findings = sorted(findings, key=lambda finding: GRAVITIES.index(finding.gravity))
        self.seen = seen

    def __len__(self) -> int:
        return len(self.findings)

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.findings)

    def __str__(self) -> str:
        messages = counted(self.seen, "message")
        if not self.findings:
            return f"Nothing wrong seen in {messages}."
        return "\n\n".join([f"{counted(len(self), 'finding')} in {messages}.", *map(str, self.findings)])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        first, *_ = str(self).partition("\n")
        return f"<p>{escape(first)}</p>" + "".join(map(_html, self.findings))

    def to_json(self, *, indent: int | None = None) -> str:
        """Return it as JSON: ``messages``, how many were looked at, and ``findings``, each as `Finding` has it."""
        return json.dumps({"messages": self.seen, "findings": [one.to_dict() for one in self]}, indent=indent)


def diagnose(story: Story, *, last: int | None = None) -> Diagnosis:
    """Return what is wrong in a story.

    While the story goes on, what may still be on its way is given a second; of one that has ended, nothing more is
    expected.

    Parameters
    ----------
    story : Story
        ``lab.story``, one of ``lab.record()`` or ``lab.last(n)``, or one that was read from a file.
    last : int, optional
        How many messages to look at, the last ones; all if not given. A thousand take about 50 milliseconds.
    """
    case = Case(story, last)
    return Diagnosis(found(case, *RULES), len(case.messages))


def found(case: Case, *rules: str) -> Iterator[Finding]:
    """Yield what some rules find, in the order of the rules."""
    for name in rules:
        yield from RULES[name].findings(case)


def _html(finding: Finding) -> str:
    seen = "".join(f"<li>{escape(one.text)}</li>" for one in finding.evidence)
    if finding.seen > len(finding.evidence):
        seen += f"<li>and {finding.seen - len(finding.evidence)} more</li>"
    return (
        f"<details><summary><b>{escape(finding.gravity)}</b>: {escape(finding.title)}</summary><ul>{seen}</ul>"
        f"<p>{escape(finding.meaning)}</p><p>Fix: {escape(finding.cure)}</p><p>See: {escape(finding.see)}"
        f" <code>{escape(finding.rule)}</code></p></details>"
    )
