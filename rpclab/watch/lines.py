"""What is watched as lines: for people who read a pipe or a file, or as JSON for programs."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

from rpclab.story.diagram import arrows, printable
from rpclab.watch.options import BODIES
from rpclab.watch.seen import Seen
from rpclab.watch.target import hidden
from rpclab.wire.events import Event
from rpclab.wire.messages import PUBLISHED, Step


def told(happened: Step | Event, shown: Callable[[str], str], most: int) -> list[str]:
    """Return what happened as lines, with at most this many characters of a message's body."""
    if isinstance(happened, Event):
        return [safe(f"{happened.link.name} {'connected' if happened.method else 'closed its connection'}")]
    return [safe(str(line)) for line in arrows(happened, shown, most=most)]


def safe(text: str) -> str:
    """Return a text without passwords, on one line, with control characters made visible."""
    return printable(hidden(text)).replace("\n", "\\n")


class PlainLines:
    """Prints a line for each thing that happens.

    Parameters
    ----------
    seen : Seen
        What to show.
    bodies : str
        ``none``, ``short`` or ``full``.
    """

    def __init__(self, seen: Seen, bodies: str):
        self._seen, self._most = seen, BODIES[bodies]

    def begin(self, text: str, port: int) -> None:
        """Show where to connect."""
        print(text, flush=True)

    def show(self) -> None:
        """Show what has happened since the last time, and what is wrong with it."""
        news, missed = self._seen.news()
        lines = [f"... {missed:,} lines left out"] if missed else []
        lines += [line for happened in news for line in told(happened, self._seen.story.shown, self._most)]
        lines += [safe(f"{one.gravity}: {one.title}") for one in self._seen.look()]
        if lines:
            print("\n".join(lines), flush=True)

    def end(self, text: str) -> None:
        """Show the summary."""
        print("\n" + "\n".join(map(safe, text.splitlines())), flush=True)


class JsonLines:
    """Prints one JSON object on a line for each thing that happens, with the time in seconds.

    ``event`` says what: ``listening``, ``connected``, ``closed``, a step of a message (``published``, ``delivered``,
    ``acked`` and so on), ``left out``, ``finding`` or ``summary``.
    """

    def __init__(self, seen: Seen, bodies: str):
        self._seen, self._most, self._began = seen, BODIES[bodies], time.monotonic()
        self._lines: list[str] = []

    def begin(self, text: str, port: int) -> None:
        self._add("listening", time.monotonic(), port=port, text=text)
        self._print()

    def show(self) -> None:
        news, missed = self._seen.news()
        if missed:
            self._add("left out", time.monotonic(), count=missed)
        for happened in news:
            if isinstance(happened, Event):
                what, link = "connected" if happened.method else "closed", happened.link
                self._add(what, happened.time, connection=link.name, pid=link.pid)
            else:
                self._add(happened.what, happened.time, **self._step(happened))
        for one in self._seen.look():
            self._add("finding", time.monotonic(), **one.to_dict())
        self._print()

    def end(self, text: str) -> None:
        findings = [one.to_dict() for one in self._seen.findings]
        self._add("summary", time.monotonic(), counts=dict(self._seen.counts), findings=findings)
        self._print()

    def _step(self, step: Step) -> dict:
        message = step.message
        said: dict = {"message": message.name, "connection": step.who, "queue": self._seen.story.shown(step.queue)}
        if step.what == PUBLISHED:
            said |= {
                "exchange": message.exchange, "routing_key": message.routing_key, "size": message.size,
                "correlation_id": message.properties.correlation_id, "reply_to": message.properties.reply_to,
            }
            if self._most:
                said["body"] = message.text(self._most)
        if step.redelivered:
            said["redelivered"] = True
        return said

    def _add(self, event: str, moment: float, **said: object) -> None:
        self._lines.append(json.dumps({"event": event, "time": round(moment - self._began, 6), **said}))

    def _print(self) -> None:
        if self._lines:
            print(hidden("\n".join(self._lines)), flush=True)
        self._lines.clear()
