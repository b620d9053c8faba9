"""Messages as text: a table of several, and the properties and the story of one."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from rpclab.story.diagram import printable
from rpclab.table import Table, shortened
from rpclab.wire.messages import Message, Step

BODY_SHOWN = 600
STEPS_SHOWN = 40
PROPERTIES = (
    "correlation_id", "reply_to", "type", "content_type", "delivery_mode", "expiration", "message_id", "priority",
    "headers", "app_id", "user_id", "content_encoding", "timestamp",
)


def details(
    message: Message, now: float, shown: Callable[[str], str], number: Callable[[Step], int | None] = lambda step: None,
) -> dict:
    """Return the details of a message.

    Parameters
    ----------
    message : Message
        The message.
    now : float
        The time that its state refers to, in seconds of ``time.monotonic()``.
    shown : callable
        Turns a queue's name into the one in the picture.
    number : callable, optional
        Returns the number of a step's moment, to jump there.

    Returns
    -------
    dict
        ``title``; ``rows``, pairs of a name and a value; ``steps``, pairs of a line and that number or None.
    """
    body = shortened(message.body.decode(errors="backslashreplace"), BODY_SHOWN)
    rows = [
        ("state", state(message, now)),
        ("body", f"{body or '(empty)'} ({message.size:,} bytes)"),
        ("published by", message.publisher or "unknown: it was there before"),
        ("exchange", message.exchange or "(default)"),
        ("routing key", message.routing_key if message.exchange else shown(message.routing_key)),
        *_properties(message, shown),
    ]
    return {
        "title": message.name,
        "rows": [[name, printable(value)] for name, value in rows],
        "steps": [[printable(line), at] for line, at in _steps(message, shown, number)],
    }


def table(messages: Iterable[Message], now: float, shown: Callable[[str], str]) -> Table:
    """Return a row for each message: its publisher, queue, consumers and state."""
    rows = [
        {
            "message": message.name,
            "body": message.text(),
            "from": message.publisher or "unknown",
            "queue": ", ".join(map(shown, message.places)),
            "to": ", ".join(delivery.to for delivery in message.deliveries) or None,
            "state": message.state(now),
            "answer": message.answer(now) or None,
        }
        for message in messages
    ]
    return Table(("message", "body", "from", "queue", "to", "state", "answer"), rows, empty="(no messages)")


def recent(messages: Iterable[Message], now: float) -> dict:
    """Return the data of the table in a page or the control room, the last message first."""
    rows = [
        {"message": message.number, "cells": [
            printable(message.name), printable(message.text(40)) or "(empty)",
            printable(message.publisher or "unknown"),
            printable(", ".join(dict.fromkeys(delivery.to for delivery in message.deliveries))), state(message, now),
        ]}
        for message in messages
    ]
    return {"columns": ["message", "body", "from", "to", "state"], "rows": rows[::-1]}


def state(message: Message, now: float) -> str:
    """Return the state of a message, and the reply to it if it is a request."""
    answer = message.answer(now)
    return f"{message.state(now)}, {answer}" if answer else message.state(now)


def as_text(said: dict) -> str:
    """Return details as lines of text."""
    width = max(len(name) for name, _ in said["rows"])
    rows = [f"  {name.ljust(width)}  {value}" for name, value in said["rows"]]
    return "\n".join([said["title"], *rows, *(f"  {line}" for line, _ in said["steps"])])


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


def _steps(
    message: Message, shown: Callable[[str], str], number: Callable[[Step], int | None],
) -> list[tuple[str, int | None]]:
    told = [(step, line_of(step, shown)) for step in list(message.steps)]
    answers = [reply for reply in list(message.replies) if reply.steps]
    told += [(reply.steps[0], f"answered by {reply.publisher}: {reply.text()}") for reply in answers]
    told.sort(key=lambda one: one[0].order)
    lines = [(f"{(step.time - message.time) * 1000:+.1f} ms  {line}", number(step)) for step, line in told]
    if len(lines) > STEPS_SHOWN:
        left_out = len(lines) - STEPS_SHOWN
        lines[STEPS_SHOWN // 2 : -STEPS_SHOWN // 2] = [(f"({left_out} more)", None)]
    return lines


def line_of(step: Step, shown: Callable[[str], str]) -> str:
    """Return a step of a message, as text."""
    message, queue = step.message, shown(step.queue)
    if step.what == "published":
        return f"published by {step.who} to " + (f"exchange {message.exchange}" if message.exchange else queue)
    if step.what == "delivered":
        how = " again (redelivered)" if step.redelivered else ""
        how += ", which acknowledges it (auto-ack)" if step.auto_acked else ""
        return f"delivered from {queue} to {step.who}{how}"
    said = {
        "acked": f"acked by {step.who}",
        "rejected": f"rejected by {step.who}",
        "requeued": f"given back by {step.who}: in {queue} again",
        "lost": f"not acked by {step.who}, {step.cause or 'the broker takes it back'}: in {queue} again",
        "returned": f"returned by the broker: {message.returned}",
        "dead-lettered": f"moved from {shown(step.who)} to {queue}: {message.dead_lettered}",
    }
    return said[step.what]
