"""A story that plays wherever HTML is shown: the page holds its scenes and the front end, and loads nothing.

The data of the page: ``first``, the scene before anything happened; ``changes``, one for each step; ``messages``, the
details of each by number; ``table``, all of them.
"""

from __future__ import annotations

import hashlib
import json
import re
from html import escape
from itertools import pairwise

from rpclab.errors import InvalidOption
from rpclab.story.board import QUEUE, Place
from rpclab.story.causal import in_causal_order
from rpclab.story.describe import MESSAGES_TABS
from rpclab.story.details import details, recent
from rpclab.story.diagram import printable, sequence_lines
from rpclab.story.recorder import Recorder
from rpclab.story.story import Story
from rpclab.theme import script, style
from rpclab.wire.messages import Step
from rpclab.wire.routing import Emptied

MOST_MESSAGES = 400


class Player:
    """Shows a story in a notebook, moment by moment, even without a kernel.

    Parameters
    ----------
    story : Story
        The story to show.

    Attributes
    ----------
    data : dict
        The data of the page.
    lines : list of Line
        The same as the arrows and notes of a sequence diagram.

    Raises
    ------
    InvalidOption
        If it has too many messages.
    """

    def __init__(self, story: Story):
        if len(story) > MOST_MESSAGES:
            raise InvalidOption(
                f"This story has {len(story):,} messages, and a player shows {MOST_MESSAGES} at most: "
                f"story.last({MOST_MESSAGES}).player() shows the last ones."
            )
        self.lines = sequence_lines(story.messages, story.now, story.shown, most=MOST_MESSAGES)
        self._text = printable("\n".join(map(str, self.lines)) or "(no messages)")
        self.data = recorded(story)

    @property
    def steps(self) -> int:
        """The number of its steps."""
        return len(self.data["changes"])

    def html(self) -> str:
        """Return the player as part of a page."""
        data = json.dumps(self.data, separators=(",", ":"), ensure_ascii=False).replace("<", "\\u003c")
        name = f"rpclab-{hashlib.sha256(data.encode(errors='replace')).hexdigest()[:12]}"
        return (
            f'<div class="rpclab-player" id="{name}"><pre>{escape(self._text)}</pre></div>'
            f"<style>{on_one_line(style())}</style>"
            f'<script type="application/json" id="{name}-data">{data}</script>'
            f'<script type="module">{on_one_line(script())}\n'
            f'play(document.getElementById("{name}"), '
            f'JSON.parse(document.getElementById("{name}-data").textContent));</script>'
        )

    def __str__(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return f"Player({len(self.data['messages'])} messages, {self.steps} steps)"

    def _repr_mimebundle_(self, **_: object) -> dict:
        return {"text/html": self.html(), "text/plain": repr(self)}


def recorded(story: Story) -> dict:
    """Return the data of the page for a story."""
    recorder = Recorder(story.shown, alone=True)
    messages = story.messages
    for step in in_causal_order(step for message in messages for step in message.steps):
        recorder.expire(step.time)
        recorder.take(step)
    _end(recorder, story)
    scenes = [{**scene, "tabs": list(MESSAGES_TABS.items())} for scene in recorder.scenes()]

    def number(step: Step) -> int | None:
        return recorder.history.find(step.order)

    return {
        "first": scenes[0],
        "changes": [_change(before, after) for before, after in pairwise(scenes)],
        "messages": {one.number: details(one, story.now, story.shown, number) for one in messages},
        "table": recent(messages[::-1], story.now),
    }


def _end(recorder: Recorder, story: Story) -> None:
    """Add what no step records: messages that expired, or were purged or deleted with their queue."""
    recorder.expire(story.now)
    for queue in sorted({queue for message in story.messages for queue in message.removed}):
        if recorder.board.at(Place(QUEUE, queue)):
            recorder.empty(story.now, Emptied(queue, deleted=False), f"{story.shown(queue)} was purged or deleted")


def _change(before: dict, after: dict) -> dict:
    """Return the difference between a scene and the one before; None for a chip that has left."""
    boxes, chips = {box["key"]: box for box in before["boxes"]}, after["chips"]
    changed = {
        box["key"]: {name: value for name, value in box.items() if boxes[box["key"]][name] != value}
        for box in after["boxes"]
    }
    gone = dict.fromkeys(before["chips"].keys() - chips.keys())
    fresh = {number: chip for number, chip in chips.items() if before["chips"].get(number) != chip}
    rest = {name: after[name] for name in ("summary", "status") if after[name] != before[name]}
    return {
        "boxes": {key: values for key, values in changed.items() if values}, "chips": {**gone, **fresh},
        "moves": after["moves"], "time": after["time"], **rest,
    }


def on_one_line(text: str) -> str:
    """Return code of the front end on one line, without comments: all its statements end with their semicolons."""
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
    lines = (re.sub(r"(^| )// .*", "", line).strip() for line in text.splitlines())
    return " ".join(line for line in lines if line).replace("</", "<\\/")
