"""Messages as a sequence diagram, in Mermaid's language, which JupyterLab draws by itself, with a text form beside it.

The grammar: https://mermaid.js.org/syntax/sequenceDiagram.html.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

from rpclab.wire.messages import ACKED, REJECTED, REMOVED, REPLY, REQUEST, REQUEUED, Message, Step

MERMAID = "text/vnd.mermaid"
MOST_MESSAGES = 16
BODY_SHOWN = 24
# What happens so soon after something else is drawn in one order, whichever chance has given it: an acknowledgement, or
# a second reply, right behind the reply; then what goes to a consumer that was idle; and deliveries in the order of
# their messages.
TOGETHER_SECONDS = 0.1
SETTLING = (ACKED, REJECTED, REQUEUED)

_PLAIN = re.compile(r"[^\w .,()+*/=!?'|-]")
_END = re.compile(r"\bend\b", re.IGNORECASE)


class Picture:
    """What a notebook draws and a terminal prints.

    Parameters
    ----------
    mime : str
        ``text/vnd.mermaid`` or ``application/vnd.vegalite.v5+json``.
    source : str or dict
        What the renderer of that type takes.
    text : str
        The same for those who cannot see it, and for comparison.
    """

    def __init__(self, mime: str, source: str | dict, text: str):
        self.mime = mime
        self.source = source
        self.text = text

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return self.text

    def _repr_mimebundle_(self, **_) -> dict:
        return {self.mime: self.source, "text/plain": self.text}


@dataclass(frozen=True)
class _Line:
    """One arrow of a sequence diagram, or a note if it leads nowhere."""

    start: str
    end: str | None
    text: str
    arrow: str = "->>"

    def __str__(self) -> str:
        return f"{self.start} -> {self.end}: {self.text}" if self.end else f"({self.start}: {self.text})"


def sequence(messages: Sequence[Message], now: float, *, most: int = MOST_MESSAGES) -> Picture:
    """Return a sequence diagram of messages on their way; see `Story.sequence`."""
    first, last = ends(messages, most)
    lines = _lines(first, now)
    if len(first) + len(last) < len(messages):
        left_out = len(messages) - len(first) - len(last)
        lines.append(_Line(lines[0].start, None, f"{left_out:,} messages left out"))
        lines += _lines(last, now)
    actors = list(dict.fromkeys(actor for line in lines for actor in (line.start, line.end) if actor))
    ids = {actor: f"p{number}" for number, actor in enumerate(actors, 1)}
    text = printable("\n".join(map(str, lines)) or "(no messages)")
    source = ["sequenceDiagram", *spoken("Messages, step by step", text)]
    source += [f"    participant {ids[actor]} as {escaped(actor)}" for actor in actors]
    source += [
        f"    {ids[line.start]}{line.arrow}{ids[line.end]}: {escaped(line.text)}" if line.end
        else f"    Note over {ids[line.start]}: {escaped(line.text)}"
        for line in lines
    ]
    return Picture(MERMAID, "\n".join(source), text)


def spoken(title: str, text: str) -> list[str]:
    """Return the lines by which Mermaid gives a picture a title and a text, for those who listen to a page."""
    return [f"    accTitle: {escaped(title)}", f"    accDescr: {escaped('; '.join(text.splitlines()))}"]


def escaped(text: str) -> str:
    """Return a text as Mermaid shows it and does not interpret it."""
    coded = _PLAIN.sub(lambda found: f"#{ord(found.group())};", printable(text))
    return _END.sub(lambda found: f"#{ord(found.group()[0])};{found.group()[1:]}", coded)


def printable(text: str) -> str:
    """Return a text with control characters made visible, but for line breaks."""
    return "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text)


def place(queue: str) -> str:
    """Return what a queue is called among processes and exchanges."""
    return queue if queue.startswith(("callback queue of", "direct reply-to")) else f"queue {queue}"


def ends(messages: Sequence[Message], most: int) -> tuple[Sequence[Message], Sequence[Message]]:
    """Return all messages if they are few, else the first and the last ones."""
    if len(messages) <= most:
        return messages, ()
    return messages[: most - most // 3], messages[len(messages) - most // 3:]


def _lines(messages: Iterable[Message], now: float) -> list[_Line]:
    messages = list(messages)
    steps = _in_order([step for message in messages for step in message.steps])
    placed = [(position, line) for position, step in enumerate(steps) for line in _arrows(step)]
    for moment, note in (note for message in messages for note in _notes(message, now)):
        before = [position for position, step in enumerate(steps) if step.time <= moment]
        placed.append((max(before, default=0) + 0.5, note))
    return [line for _, line in sorted(placed, key=lambda one: one[0])]


def _in_order(steps: list[Step]) -> list[Step]:
    """Sort steps by time, and by chance as little as can be: see `TOGETHER_SECONDS`."""
    placed: list[tuple[tuple, Step]] = []
    latest: dict[int, tuple[float, Step]] = {}
    published: dict[int, tuple[float, Step]] = {}
    for step in sorted(steps, key=lambda step: step.order):
        anchor, rank = step.time, 0
        before = latest.get(step.link)
        if before and _ends_the_same(step, before[1]) and step.time - before[0] < TOGETHER_SECONDS:
            anchor, rank = before[0], int(step.what != "published")
        elif step.what == "delivered" and (origin := published.get(step.message.number)):
            idle = before is None or before[1].time <= origin[1].time
            if idle and step.time - origin[0] < TOGETHER_SECONDS:
                anchor, rank = origin[0], 2
        placed.append(((anchor, rank, _asked(step) if rank == 2 else 0, step.order), step))
        latest[step.link] = (anchor, step)
        if step.what == "published":
            published[step.message.number] = (anchor, step)
    placed.sort(key=lambda one: one[0])
    ordered: list[Step] = []
    for _, group in groupby((step for _, step in placed), key=_deliveries_together()):
        ordered += sorted(group, key=_asked)
    return ordered


def _ends_the_same(step: Step, before: Step) -> bool:
    """Tell whether a step belongs to what its connection did just before: publish a reply."""
    ending = step.what in SETTLING or (step.what == "published" and step.message.kind == REPLY)
    return ending and before.what in ("published", *SETTLING)


def _asked(step: Step) -> int:
    return (step.message.request or step.message).number


def _deliveries_together() -> Callable[[Step], int]:
    """Return a key function that tells runs of deliveries apart, in which each is close to the one before it."""
    run, last = 0, -math.inf

    def key(step: Step) -> int:
        nonlocal run, last
        if step.what != "delivered" or step.time - last > TOGETHER_SECONDS:
            run += 1
        last = step.time if step.what == "delivered" else -math.inf
        return run

    return key


def _arrows(step: Step) -> list[_Line]:
    message, queue = step.message, place(step.queue)
    body = f": {message.text(BODY_SHOWN)}" if message.body else ""
    if step.what == "published":
        target = f"exchange {message.exchange}" if message.exchange else queue
        return [_Line(step.who, target, f"{message.name}{body}")]
    if step.what == "delivered":
        earlier = [one for one in message.steps if one.order < step.order]
        # RabbitMQ 4.3 says of a dead letter, too, that it was delivered before: from the queue in which it died.
        moved = any(one.what == "dead-lettered" and one.queue == step.queue for one in earlier[-1:])
        again = " (redelivered)" if step.redelivered and not moved else ""
        unseen = body if message.publisher is None and not earlier else ""
        return [*_from_exchange(step), _Line(queue, step.who, f"{message.name}{unseen}{again}")]
    if step.what == "dead-lettered":
        return [_Line(place(step.who), queue, f"{message.name} dead-lettered: {message.dead_lettered}")]
    if step.what == "lost":
        return [_Line(step.who, queue, f"connection ends, {message.name} goes back", "--x")]
    if step.what == "returned":
        source = f"exchange {message.exchange}" if message.exchange else queue
        return [_Line(source, step.who, f"{message.name} returned: {message.returned}", "--x")]
    said = {"acked": "ack", "rejected": "reject", "requeued": "requeue"}[step.what]
    return [_Line(step.who, queue, f"{said} {message.name}", "-->>")]


def _from_exchange(step: Step) -> list[_Line]:
    """Return how a message came into the queue that it is delivered from for the first time, by way of an exchange."""
    earlier = {one.queue for one in step.message.steps if one.order < step.order and one.what != "published"}
    if not step.message.exchange or step.queue in earlier:
        return []
    return [_Line(f"exchange {step.message.exchange}", place(step.queue), step.message.name)]


def _notes(message: Message, now: float) -> list[tuple[float, _Line]]:
    """Return what does not cross the wire and is known all the same: that time is up, or that something hangs."""
    notes, state = [], message.state(now)
    who = message.publisher or "unknown"
    if message.kind == REQUEST and message.answer(now) in ("timed out", "answered late"):
        waited = message.deadline - message.time
        notes.append((message.deadline, _Line(who, None, f"no reply to {message.name} within {waited:g} s")))
    if state in ("waiting", "waiting again", "expired") and not message.exchange:
        said = "has expired" if state == "expired" else "waits here"
        moment = message.deadline if state == "expired" else now
        notes.append((moment, _Line(place(message.steps[-1].queue), None, f"{message.name} {said}")))
    if state == REMOVED:
        notes.append((now, _Line(place(message.steps[-1].queue), None, f"{message.name} was removed")))
    if state == "no queue":
        said = f"no such queue, {message.name} is gone"
        notes.append((message.time, _Line(place(message.steps[-1].queue), None, said)))
    if state == "held":
        notes.append((now, _Line(message.deliveries[-1].to, None, f"holds {message.name}, unacked")))
    return notes
