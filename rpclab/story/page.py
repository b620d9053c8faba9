"""A page of a story that needs no network: player, sequence, table, and each message's properties."""

from __future__ import annotations

from html import escape
from pathlib import Path

from rpclab.errors import LabError
from rpclab.story.diagram import Line, printable
from rpclab.story.player import Player, on_one_line
from rpclab.story.story import Story
from rpclab.theme import style

# The browser itself stops the page from loading anything.
POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:"


def write(story: Story, path: Path) -> Path:
    """Write the page to a file; see `Story.save`."""
    try:
        path.write_text(_page(story, path.stem), encoding="utf-8", errors="backslashreplace", newline="\n")
    except OSError as error:
        raise LabError(f"The file {str(path)!r} could not be written: {error.strerror or error}.") from error
    return path


def _page(story: Story, title: str) -> str:
    player = Player(story)
    properties = "".join(_properties(said) for said in player.data["messages"].values())
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width"><link rel="icon" href="data:,">'
        f"<title>{_text(title)}</title><style>{on_one_line(style('page.css'))}</style></head><body>"
        f"<h1>{_text(title)}</h1>{player.html()}<h2>Step by step</h2>{sequence(player.lines)}"
        f"<h2>Messages</h2>{story.table()._repr_html_()}<h2>Properties</h2>{properties}</body></html>\n"
    )


def sequence(lines: list[Line]) -> str:
    """Return a sequence diagram as HTML: a column for each actor, a row for each arrow or note."""
    actors = list(dict.fromkeys(actor for line in lines for actor in (line.start, line.end) if actor))
    at = {actor: 2 * position + 1 for position, actor in enumerate(actors)}
    heads = "".join(f'<b style="grid-column:{at[actor]}/span 2">{_text(actor)}</b>' for actor in actors)
    rows = "".join(_row(line, at) for line in lines)
    return f'<div class="sequence" style="--actors:{len(actors)}"><div class="head">{heads}</div>{rows}</div>'


def _row(line: Line, at: dict[str, int]) -> str:
    start = at[line.start]
    if line.end is None:
        return f'<div><i style="grid-column:{start}/span 2">{_text(line.text)}</i></div>'
    # From the middle of one column to the middle of the other.
    low, high = sorted((start + 1, at[line.end] + 1))
    way = "right" if start < at[line.end] else "left"
    kind = " answer" if line.arrow.startswith("--") else ""
    return f'<div><span class="{way}{kind}" style="grid-column:{low}/{high}">{_text(line.text)}</span></div>'


def _properties(said: dict) -> str:
    rows = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in said["rows"])
    return f"<details><summary>{escape(said['title'])}</summary><dl>{rows}</dl></details>"


def _text(text: str) -> str:
    return escape(printable(text))
