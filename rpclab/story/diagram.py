"""Messages as a sequence diagram, in Mermaid's language, which JupyterLab draws by itself, with a text form beside it.

The grammar: https://mermaid.js.org/syntax/sequenceDiagram.html.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from operator import itemgetter

from rpclab.story.causal import in_causal_order
from rpclab.wire.messages import DEAD_LETTERED, DELIVERED, LOST, PUBLISHED, REMOVED, REQUEST, RETURNED, Message, Step

MERMAID = "text/vnd.mermaid"
MOST_MESSAGES = 16
BODY_SHOWN = 24

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
        The same as text, for those who cannot see it and for comparison.
    """

    def __init__(self, mime: str, source: str | dict, text: str):
        self.mime = mime
        self.source = source
        self.text = text

    def __repr__(self) -> str:
        return self.text

    def _repr_mimebundle_(self, **_: object) -> dict:
        return {self.mime: self.source, "text/plain": self.text}


@dataclass(frozen=True)
class Line:
    """One arrow of a sequence diagram, or a note if it leads nowhere."""

    start: str
    end: str | None
    text: str
    arrow: str = "->>"

    def __str__(self) -> str:
        return f"{self.start} -> {self.end}: {self.text}" if self.end else f"({self.start}: {self.text})"


def sequence(
    messages: Sequence[Message], now: float, shown: Callable[[str], str] = str, *, most: int = MOST_MESSAGES,
) -> Picture:
    """Return a sequence diagram of messages in flight; see `Story.sequence`."""
    lines = sequence_lines(messages, now, shown, most=most)
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


def sequence_lines(
    messages: Sequence[Message], now: float, shown: Callable[[str], str] = str, *, most: int = MOST_MESSAGES,
) -> list[Line]:
    """Return the arrows and notes of a sequence diagram, from the first to the last."""
    first, last = ends(messages, most)
    lines = _lines(first, now, shown)
    if len(first) + len(last) < len(messages):
        left_out = len(messages) - len(first) - len(last)
        lines.append(Line(lines[0].start, None, f"{left_out:,} messages left out"))
        lines += _lines(last, now, shown)
    return lines


def spoken(title: str, text: str) -> list[str]:
    """Return the lines that give a Mermaid picture a title and a text for screen readers."""
    return [f"    accTitle: {escaped(title)}", f"    accDescr: {escaped('; '.join(text.splitlines()))}"]


def escaped(text: str) -> str:
    """Return a text escaped, so that Mermaid shows it and does not interpret it."""
    coded = _PLAIN.sub(lambda found: f"#{ord(found.group())};", printable(text))
    return _END.sub(lambda found: f"#{ord(found.group()[0])};{found.group()[1:]}", coded)


def printable(text: str) -> str:
    """Return a text with control characters made visible, except line breaks."""
    return "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text)


def place(queue: str) -> str:
    """Return a queue's label among processes and exchanges, given its shown name."""
    return queue if queue.startswith(("callback queue of", "direct reply-to")) else f"queue {queue}"


def ends(messages: Sequence[Message], most: int) -> tuple[Sequence[Message], Sequence[Message]]:
    """Return all messages if they are few, else the first and the last ones."""
    if len(messages) <= most:
        return messages, ()
    return messages[: most - most // 3], messages[len(messages) - most // 3:]


def _lines(messages: Iterable[Message], now: float, shown: Callable[[str], str]) -> list[Line]:
    messages = list(messages)
    steps = sorted((step for message in messages for step in message.steps), key=lambda step: step.order)
    lines = []
    for moment, note in sorted((one for message in messages for one in _notes(message, now, shown)), key=itemgetter(0)):
        before = [step for step in steps if step.time <= moment]
        steps = steps[len(before):]
        lines += [line for step in in_causal_order(before) for line in arrows(step, shown)]
        lines.append(note)
    return lines + [line for step in in_causal_order(steps) for line in arrows(step, shown)]


def arrows(step: Step, shown: Callable[[str], str], *, most: int = BODY_SHOWN) -> list[Line]:
    """Return what happened to a message as arrows, with at most this many characters of its body, or without it."""
    message, queue = step.message, place(shown(step.queue))
    body = f": {message.text(most)}" if message.body and most else ""
    if step.what == PUBLISHED:
        target = f"exchange {message.exchange}" if message.exchange else queue
        return [Line(step.who, target, f"{message.name}{body}")]
    if step.what == DELIVERED:
        earlier = [one for one in message.steps if one.order < step.order]
        # RabbitMQ 4.3 also marks dead letters as redelivered, because their first queue delivered them.
        moved = any(one.what == DEAD_LETTERED and one.queue == step.queue for one in earlier[-1:])
        again = " (redelivered)" if step.redelivered and not moved else ""
        unseen = body if message.publisher is None and not earlier else ""
        return [*_from_exchange(step, queue), Line(queue, step.who, f"{message.name}{unseen}{again}")]
    if step.what == DEAD_LETTERED:
        return [Line(place(shown(step.who)), queue, f"{message.name} dead-lettered: {message.dead_lettered}")]
    if step.what == LOST:
        said = f"{step.cause}, {message.name} goes back" if step.cause else f"the broker takes {message.name} back"
        return [Line(step.who, queue, said, "--x")]
    if step.what == RETURNED:
        source = f"exchange {message.exchange}" if message.exchange else queue
        return [Line(source, step.who, f"{message.name} returned: {message.returned}", "--x")]
    said = {"acked": "ack", "rejected": "reject", "requeued": "requeue"}[step.what]
    return [Line(step.who, queue, f"{said} {message.name}", "-->>")]


def _from_exchange(step: Step, queue: str) -> list[Line]:
    """Return how an exchange put a message into the queue that delivers it for the first time."""
    earlier = {one.queue for one in step.message.steps if one.order < step.order and one.what != PUBLISHED}
    if not step.message.exchange or step.queue in earlier:
        return []
    return [Line(f"exchange {step.message.exchange}", queue, step.message.name)]


def _notes(message: Message, now: float, shown: Callable[[str], str]) -> list[tuple[float, Line]]:
    """Return what is known without crossing the wire: that a deadline passed, or that something hangs."""
    notes: list[tuple[float, Line]] = []
    state, deadline = message.state(now), message.deadline
    last = place(shown(message.steps[-1].queue))
    who = message.publisher or "unknown"
    late = message.kind == REQUEST and message.answer(now) in ("timed out", "answered late")
    if late and deadline is not None:
        waited = deadline - message.time
        notes.append((deadline, Line(who, None, f"no reply to {message.name} within {waited:g} s")))
    if state in ("waiting", "waiting again", "expired") and not message.exchange:
        said = "has expired" if state == "expired" else "waits here"
        moment = deadline if state == "expired" and deadline is not None else now
        notes.append((moment, Line(last, None, f"{message.name} {said}")))
    if state == REMOVED:
        notes.append((now, Line(last, None, f"{message.name} was purged or deleted")))
    if state == "no queue":
        said = f"no such queue, {message.name} was dropped"
        notes.append((message.time, Line(last, None, said)))
    if state == "held":
        notes.append((now, Line(message.deliveries[-1].to, None, f"holds {message.name}, unacked")))
    return notes
