"""Texts of the course: simple Markdown that reads well in a terminal, too."""

from __future__ import annotations

import difflib
import re
import textwrap
from html import escape

WIDTH = 100
_CODE = re.compile(r"`([^`\n]+)`")


class Markdown(str):
    """A text that a notebook renders as Markdown, and that prints as it is."""

    __repr__ = _repr_markdown_ = str.__str__


def plain(text: str) -> str:
    """Return a text of paragraphs, broken into lines of 100 characters."""
    return "\n".join(textwrap.fill(paragraph, WIDTH, break_long_words=False) for paragraph in text.split("\n"))


def unmarked(text: str) -> str:
    """Return a text without backticks, for a place that shows no code, such as a button."""
    return text.replace("`", "")


def html(text: str) -> str:
    """Return a text of paragraphs as HTML; text in backticks becomes code, the rest is escaped."""
    paragraphs = (_CODE.sub(r"<code>\1</code>", escape(part)) for part in text.split("\n") if part)
    return "".join(f"<p>{paragraph}</p>" for paragraph in paragraphs)


def fenced(code: str, language: str = "python") -> str:
    """Return code as a block of Markdown."""
    return f"```{language}\n{code.rstrip()}\n```"


def changes(before: str, after: str) -> str:
    """Return the lines that differ, with ``-`` or ``+`` in front, and ``...`` for equal lines between them."""
    lines = list(difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=0))[3:]
    return "\n".join("  ..." if line.startswith("@@") else f"{line[0]} {line[1:]}" for line in lines)
