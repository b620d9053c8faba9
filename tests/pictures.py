"""Reading a sequence picture's text: what in it comes before its cause."""

from __future__ import annotations

import re
from collections import defaultdict

QUEUES = ("queue ", "callback queue of ", "direct reply-to", "exchange ")
NAME = r"(?P<name>(?:unmatched reply|message) \d+|request \d+(?: again)?|reply (?:\d+ )?to request \d+)"
ARROW = re.compile(r"(?P<start>[^:]+) -> (?P<end>[^:]+): (?P<said>.*)")
GIVEN_BACK = re.compile(
    rf"(?:(?:(?:connection|channel) ends.*|broker cancels consumer), {NAME} goes back|"
    "the broker takes (?P<taken>.*) back|requeue (?P<put>.*))$"
)
SETTLED = re.compile(rf"(?:ack|reject) {NAME}$")
MOVED = re.compile(rf"{NAME} (?:returned|dead-lettered): ")
MESSAGE = re.compile(rf"{NAME}(?P<more>: .*)?(?P<again> \(redelivered\))?$")


def effects_before_causes(text: str) -> list[str]:
    """Return a line for each effect in a picture that is drawn before its cause."""
    reading = _Reading()
    for line in text.splitlines():
        if arrow := ARROW.match(line):
            reading.read(line, *arrow.group("start", "end", "said"))
    return reading.faults


class _Reading:
    def __init__(self):
        self.faults: list[str] = []
        self._published: set[str] = set()
        self._delivered: set[str] = set()
        self._holders: defaultdict[tuple[str, str], list[str]] = defaultdict(list)

    def read(self, line: str, start: str, end: str, said: str) -> None:
        if found := GIVEN_BACK.match(said) or SETTLED.match(said):
            groups = found.groupdict()
            name = groups["name"] or groups.get("taken") or groups.get("put")
            held = self._holders[name, end]
            # The broker also takes back what was acknowledged too late.
            holds = name in self._delivered if groups.get("taken") else start in held
            self._expect(holds, f"{start} did not hold {name}", line)
            if start in held:
                held.remove(start)
        elif found := MOVED.match(said):
            self._expect(found["name"] in self._published, f"{found['name']} was not published", line)
        elif found := MESSAGE.match(said):
            if not start.startswith(QUEUES):
                self._publish(line, found["name"])
            elif not end.startswith(QUEUES):
                self._deliver(line, start, end, found)

    def _publish(self, line: str, name: str) -> None:
        asked = name[name.index("request"):] if name.startswith("reply") else None
        if asked in self._published:
            taken = {asked, f"{asked} again"} & self._delivered
            self._expect(bool(taken), f"{asked} was not delivered", line)
        self._published.add(name)

    def _deliver(self, line: str, queue: str, consumer: str, found: re.Match) -> None:
        name = found["name"]
        # A message that nobody was seen to publish is drawn with its body when it is delivered.
        self._expect(name in self._published or bool(found["more"]), f"{name} was not published", line)
        self._expect(not self._holders[name, queue], f"{name} was not given back", line)
        self._published.add(name)
        self._delivered.add(name)
        if not queue.startswith(("callback queue of ", "direct reply-to")):
            self._holders[name, queue].append(consumer)

    def _expect(self, holds: bool, otherwise: str, line: str) -> None:
        if not holds:
            self.faults.append(f"{line}  ({otherwise})")
