"""What passes the tap, kept for those who show it: connections, the last messages, and what is wrong with them."""

from __future__ import annotations

import re
import time
from collections import Counter, deque
from dataclasses import dataclass
from itertools import chain

from pika import spec

from rpclab.findings import Finding, diagnose
from rpclab.findings.rule import GRAVITIES
from rpclab.story.story import Story
from rpclab.watch.outside import Outside
from rpclab.wire.events import Event, Link
from rpclab.wire.messages import DELIVERED, PUBLISHED, REPLY, REQUEST, Step
from rpclab.wire.tap import Tap

# The last messages are remembered; findings are about them.
KEPT = 6_000
# What has happened and was not shown yet. Of more, the oldest is only counted: nothing waits for a slow terminal.
MOST_WAITING = 1_000
MOST_FINDINGS = 200
# Looking for findings takes at most this part of the time.
LOOKING_PART = 0.05
LOOK_SECONDS = 1.0
NUMBER = re.compile(r"[\d,]+")


@dataclass(eq=False)
class Connection:
    """A connection, and how many messages it published, was delivered, and settled."""

    link: Link
    published: int = 0
    delivered: int = 0
    settled: int = 0


class Seen:
    """What passes a tap.

    Parameters
    ----------
    tap : Tap
        The tap.
    outside : Outside
        Says what is true of queues beside what passes the tap.
    bodies : bool
        Whether the bodies of messages are kept.

    Attributes
    ----------
    story : Story
        The last messages.
    connections : dict of int to Connection
        Those that are open, by number.
    counts : collections.Counter
        ``messages``, ``requests``, ``replies``, ``connections`` and ``steps`` so far.
    """

    def __init__(self, tap: Tap, outside: Outside, *, bodies: bool = True):
        self.story = Story(tap.registry.shown, keep=KEPT, journal=tap.registry.journal)
        self.connections: dict[int, Connection] = {}
        self.counts: Counter[str] = Counter()
        self._bodies = bodies
        self._outside = outside
        self._found: dict[tuple[str, str], list[Finding]] = {}
        self._waiting: deque[Step | Event] = deque(maxlen=MOST_WAITING)
        self._missed = 0
        self._next_look = 0.0
        self.story.listen(self._happened)
        tap.subscribe(self._take)

    @property
    def findings(self) -> list[Finding]:
        """What was found, gravest first."""
        return sorted(chain(*list(self._found.values())), key=lambda finding: GRAVITIES.index(finding.gravity))

    def news(self) -> tuple[list[Step | Event], int]:
        """Return what has happened since the last call, and how much before that was too much to be kept.

        That is each step of a message, and the event that opens a connection, or without a method closes it.
        """
        found = []
        while self._waiting:
            found.append(self._waiting.popleft())
        missed, self._missed = self._missed, 0
        return found, missed

    def look(self) -> list[Finding]:
        """Look for what is wrong, unless it was done just before; return what is new.

        What was found before is kept when its messages are no longer remembered. It is dropped if they are, and there
        is nothing wrong with them any more.
        """
        began = time.monotonic()
        if began < self._next_look:
            return []
        self._outside.ask(self.story)
        current: dict[tuple[str, str], list[Finding]] = {}
        for one in diagnose(self.story):
            # The same one says other numbers in each look.
            current.setdefault((one.rule, NUMBER.sub("", one.title)), []).append(one)
        oldest = next((message.number for message in self.story.messages), 0)
        for key in list(self._found.keys() - current.keys()):
            numbers = [seen.message for one in self._found[key] for seen in one.evidence if seen.message is not None]
            if all(number >= oldest for number in numbers):
                del self._found[key]
        new = [one for key, alike in current.items() if key not in self._found for one in alike]
        self._found.update(current)
        while len(self._found) > MOST_FINDINGS:
            del self._found[next(iter(self._found))]
        self._next_look = began + max(LOOK_SECONDS, (time.monotonic() - began) / LOOKING_PART)
        return new

    def look_again(self) -> None:
        """Have the next `look` look, whenever the last one was."""
        self._next_look = 0.0
        self._outside.ask_again()

    def _take(self, event: Event) -> None:
        number = event.link.number
        if isinstance(event.method, spec.Connection.StartOk):
            self.connections[number] = Connection(event.link)
            self.counts["connections"] += 1
            self._keep(event)
        elif isinstance(event.method, spec.Connection.Open):
            self._outside.vhosts.add(event.method.virtual_host)
        elif event.method is None and number in self.connections:
            del self.connections[number]
            self._keep(event)
        if not self._bodies:
            event.body = b""
        self.story.take(event)

    def _happened(self, step: Step) -> None:
        self.counts["steps"] += 1
        connection = self.connections.get(step.link)
        if len(step.message.steps) == 1:
            self.counts["messages"] += 1
            self.counts["requests"] += step.message.kind == REQUEST
            self.counts["replies"] += step.message.kind == REPLY
        if connection:
            connection.published += step.what == PUBLISHED
            connection.delivered += step.what == DELIVERED
            connection.settled += step.what in ("acked", "rejected", "requeued")
        self._keep(step)

    def _keep(self, happened: Step | Event) -> None:
        self._missed += len(self._waiting) == MOST_WAITING
        self._waiting.append(happened)
