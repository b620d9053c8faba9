"""One message's properties and story, as text."""

from __future__ import annotations

from collections.abc import Callable

from rpclab.table import shortened
from rpclab.wire.diagram import printable
from rpclab.wire.messages import AUTO_ACKED, Message, Step

BODY_SHOWN = 600
STEPS_SHOWN = 40
PROPERTIES = (
    "correlation_id", "reply_to", "type", "content_type", "delivery_mode", "expiration", "message_id", "priority",
    "headers", "app_id", "user_id", "content_encoding", "timestamp",
)


def details(message: Message, now: float, shown: Callable[[str], str]) -> dict:
    """Return what there is to say about a message.

    Parameters
    ----------
    message : Message
        Which.
    now : float
        The time that its state refers to, in seconds of ``time.monotonic()``.
    shown : callable
        Turns a queue's name into the one that people are shown.

    Returns
    -------
    dict
        ``title``; ``rows``, pairs of a name and a value; ``steps``, one line each.
    """
    body = shortened(message.body.decode(errors="backslashreplace"), BODY_SHOWN)
    rows = [
        ("state", state(message, now)),
        ("body", f"{body or '(empty)'} ({message.size:,} bytes)"),
        ("published by", message.publisher or "unknown: it was there before"),
        ("exchange", message.exchange or "(default)"),
        ("routing key", message.routing_key),
        *_properties(message, shown),
    ]
    return {
        "title": message.name,
        "rows": [[name, printable(value)] for name, value in rows],
        "steps": [printable(line) for line in _steps(message)],
    }


def state(message: Message, now: float) -> str:
    """Return what became of a message, and how it was answered if it is a request."""
    answer = message.answer(now)
    return f"{message.state(now)}, {answer}" if answer else message.state(now)


def as_text(said: dict) -> str:
    """Return details as lines of text."""
    width = max(len(name) for name, _ in said["rows"])
    rows = [f"  {name.ljust(width)}  {value}" for name, value in said["rows"]]
    return "\n".join([said["title"], *rows, *(f"  {line}" for line in said["steps"])])


def _properties(message: Message, shown: Callable[[str], str]) -> list[tuple[str, str]]:
    rows = []
    for name in PROPERTIES:
        value = getattr(message.properties, name)
        if value is None:
            continue
        if name == "reply_to":
            value = shown(value)
        elif name == "headers":
            value = ", ".join(f"{key}={part}" for key, part in value.items())
        rows.append((name.replace("_", " "), shortened(str(value), BODY_SHOWN)))
    return rows


def _steps(message: Message) -> list[str]:
    timed = [(step.time, _line(step)) for step in list(message.steps)]
    timed += [(reply.time, f"answered by {reply.publisher}: {reply.text()}") for reply in list(message.replies)]
    timed.sort(key=lambda one: one[0])
    lines = [f"{(moment - message.time) * 1000:+.1f} ms  {line}" for moment, line in timed]
    if len(lines) > STEPS_SHOWN:
        left_out = len(lines) - STEPS_SHOWN
        lines[STEPS_SHOWN // 2 : -STEPS_SHOWN // 2] = [f"({left_out} more)"]
    return lines


def _line(step: Step) -> str:
    message = step.message
    if step.what == "published":
        return f"published by {step.who} to " + (f"exchange {message.exchange}" if message.exchange else step.queue)
    if step.what == "delivered":
        auto = any(one.outcome == AUTO_ACKED and one.time == step.time for one in message.deliveries)
        how = (" again (redelivered)" if step.redelivered else "") + (", which acknowledges it (auto-ack)" * auto)
        return f"delivered from {step.queue} to {step.who}{how}"
    said = {
        "acked": f"acked by {step.who}",
        "rejected": f"rejected by {step.who}",
        "requeued": f"given back by {step.who}: in {step.queue} again",
        "lost": f"{step.who} was gone without an ack: in {step.queue} again",
        "returned": f"returned by the broker: {message.returned}",
        "dead-lettered": f"moved from {step.who} to {step.queue}: {message.dead_lettered}",
    }
    return said[step.what]
