"""Texts of the course: a little Markdown that reads well in a terminal, too."""

from __future__ import annotations

import re
import textwrap
from html import escape

WIDTH = 100
_CODE = re.compile(r"`([^`\n]+)`")


class Markdown(str):
    """A text that a notebook renders as Markdown, and that prints as it is."""

    def __repr__(self) -> str:
        return str(self)

    def _repr_markdown_(self) -> str:
        return str(self)


def plain(text: str) -> str:
    """Return a text of paragraphs, broken into lines of 100 characters."""
    return "\n".join(textwrap.fill(paragraph, WIDTH, break_long_words=False) for paragraph in text.split("\n"))


def unmarked(text: str) -> str:
    """Return a text without backticks, for what shows no code: the label of a button."""
    return text.replace("`", "")


def html(text: str) -> str:
    """Return a text of paragraphs as HTML; what stands in backticks becomes code, all the rest is escaped."""
    paragraphs = (_CODE.sub(r"<code>\1</code>", escape(part)) for part in text.split("\n") if part)
    return "".join(f"<p>{paragraph}</p>" for paragraph in paragraphs)


def fenced(code: str) -> str:
    """Return code as a block of Markdown."""
    return f"```python\n{code.rstrip()}\n```"
