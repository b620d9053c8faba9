"""What is watched, drawn in a terminal again and again: connections, the last messages, and findings."""

from __future__ import annotations

import threading
import time
from typing import IO

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from rpclab.table import shortened
from rpclab.watch.lines import safe
from rpclab.watch.options import BODIES
from rpclab.watch.seen import Seen

BODY_SHOWN = 40
MOST_CONNECTIONS = 8
MOST_FINDINGS = 6
# Headings, rules and the line about the whole.
OTHER_LINES = 10
COLOURS = {"error": "bold red", "warning": "yellow", "hint": "cyan"}


class Screen:
    """Draws what is watched; see `PlainLines`."""

    def __init__(self, seen: Seen, bodies: str):
        self._seen, self._most = seen, min(BODIES[bodies], BODY_SHOWN)
        self._began = self._shown = time.monotonic()
        self._steps = 0
        self._console = Console(highlight=False)
        self._live = Live(console=self._console, auto_refresh=False, transient=True)
        self._printing: threading.Thread | None = None

    def begin(self, text: str, port: int) -> None:
        self._console.print(Text(text))
        self._live.start()

    def print_from(self, output: IO[bytes]) -> None:
        """Print what a program prints, above the picture, until it ends."""

        def run() -> None:
            with output:
                for line in output:
                    self._console.print(Text.from_ansi(line.decode(errors="backslashreplace").rstrip("\n")))

        self._printing = threading.Thread(target=run, name="output of the program", daemon=True)
        self._printing.start()

    def show(self) -> None:
        self._seen.news()
        self._seen.look()
        self._live.update(self._picture(), refresh=True)

    def end(self, text: str) -> None:
        self.close()
        self._console.print(Text("\n".join(map(safe, text.splitlines()))))

    def close(self) -> None:
        """Take the picture away."""
        if self._printing:
            self._printing.join(1)
        self._live.stop()

    def _picture(self) -> Group:
        findings = self._seen.findings
        connections = sorted(self._seen.connections.copy().values(), key=lambda one: one.link.number)
        used = min(len(connections), MOST_CONNECTIONS) + min(len(findings), MOST_FINDINGS) + OTHER_LINES
        parts: list = [Text(self._about()), self._connections(connections)]
        parts.append(self._messages(max(3, self._console.size.height - used)))
        parts += [
            Text(safe(f"{one.gravity}: {one.title}"), style=COLOURS[one.gravity], no_wrap=True, overflow="ellipsis")
            for one in findings[:MOST_FINDINGS]
        ]
        if len(findings) > MOST_FINDINGS:
            parts.append(Text(f"and {len(findings) - MOST_FINDINGS} more findings"))
        return Group(*parts)

    def _about(self) -> str:
        now, counts = time.monotonic(), self._seen.counts
        steps, self._steps = counts["steps"] - self._steps, counts["steps"]
        rate = steps / max(now - self._shown, 0.001)
        self._shown = now
        return (
            f"{now - self._began:.0f} s, {counts['messages']:,} messages ({counts['requests']:,} requests, "
            f"{counts['replies']:,} replies), {rate:,.0f} steps/s, {len(self._seen.findings)} findings. Ctrl-C ends."
        )

    def _connections(self, connections: list) -> Table:
        table = _table("connection", "published", "delivered", "settled")
        for one in connections[:MOST_CONNECTIONS]:
            table.add_row(Text(safe(one.link.name)), f"{one.published:,}", f"{one.delivered:,}", f"{one.settled:,}")
        if len(connections) > MOST_CONNECTIONS:
            table.add_row(f"and {len(connections) - MOST_CONNECTIONS} more")
        return table

    def _messages(self, rows: int) -> Table:
        story = self._seen.story
        table = _table("message", "body", "from", "queue", "to", "state")
        for message in story.messages[-rows:]:
            state = message.state(story.now)
            answer = message.answer(story.now)
            cells = (
                message.name, message.text(self._most) if self._most else "", message.publisher or "unknown",
                ", ".join(map(story.shown, message.places)), ", ".join(one.to for one in message.deliveries[-2:]),
                f"{state}, {answer}" if answer else state,
            )
            table.add_row(*(Text(safe(shortened(cell, BODY_SHOWN))) for cell in cells))
        return table


def _table(*columns: str) -> Table:
    table = Table(box=None, expand=True, padding=(0, 1, 0, 0), header_style="bold")
    for column in columns:
        table.add_column(column, no_wrap=True, overflow="ellipsis")
    return table
