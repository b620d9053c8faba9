"""Stories as JSON, to keep, send and process: all that was seen of each message, without addresses or passwords.

Format ``rpclab story``, version 1. Times are in seconds since the first message was published. An object has

- ``format``, ``version``; ``length``, the time at which the recording ended;
- ``queues``: the real names of queues, with the names in the picture;
- ``journal``: what `rpclab.wire.journal.Journal` documents, and ``begun``, when the recording began;
- ``messages``: what `rpclab.wire.messages.Message` documents, ``request`` and ``repeats`` by number, with
  ``deliveries`` and ``steps`` in order.

Text is text; bytes that are not UTF-8 are ``{"$bytes": BASE64}``, and in headers a time is ``{"$time": ISO 8601}`` and
a decimal ``{"$decimal": TEXT}``. Passwords in AMQP addresses, and those of the lab's broker, are replaced by ``***``.
"""

from __future__ import annotations

import functools
import json
import os
import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable
from datetime import datetime
from decimal import Decimal
from urllib.parse import unquote

from pika import BasicProperties

from rpclab.errors import InvalidOption, LabError
from rpclab.story.story import Story
from rpclab.wire.events import Link
from rpclab.wire.journal import Journal
from rpclab.wire.messages import Delivery, Message, Step

FORMAT, VERSION = "rpclab story", 1
REDACTABLE = ("bodies", "headers")
REDACTED = "(redacted)"
PROPERTIES = (
    "content_type", "content_encoding", "headers", "delivery_mode", "priority", "correlation_id", "reply_to",
    "expiration", "message_id", "timestamp", "type", "user_id", "app_id", "cluster_id",
)
_PLAIN = ("number", "name", "kind", "publisher", "exchange", "routing_key", "size", "mandatory", "returned",
          "dead_lettered", "confirmed")
_OF_DELIVERY = ("queue", "to", "redelivered", "outcome")
_PLACE = ("channel", "tag")
_OF_STEP = ("order", "what", "who", "queue", "redelivered", "link", "pid", "cause")
_PASSWORD = re.compile(rb"(amqps?://[^\s:/@]*):[^\s@/]+@", re.IGNORECASE)
# Shorter ones, such as "guest", are words, and no secret.
SHORTEST_SECRET = 8


def to_dict(story: Story, redact: str | Iterable[str] = ()) -> dict:
    """Return a story as plain data; see `Story.to_json`."""
    redact = (redact,) if isinstance(redact, str) else tuple(redact)
    if not set(redact) <= set(REDACTABLE):
        raise InvalidOption(f"redact={redact!r}: it is one or both of {' and '.join(map(repr, REDACTABLE))}.")
    messages = story.messages
    begin = min((message.time for message in messages), default=story.now)
    secrets = known_secrets()
    names = {name for message in messages for name in _names(message)}
    names |= {one.queue for one in story.journal.consumers} | {one.queue for one in list(story.journal.declared)}

    def moment(time: float | None) -> float | None:
        return None if time is None else round(time - begin, 6)

    written = {
        "format": FORMAT, "version": VERSION, "length": moment(story.now),
        "queues": {name: story.shown(name) for name in sorted(names)},
        "begun": moment(story.begun), "journal": story.journal.to_dict(moment),
        "messages": [_message(message, redact, moment) for message in messages],
    }
    return {name: _plain(value, secrets) for name, value in written.items()}


def _message(message: Message, redact: tuple[str, ...], moment: Callable) -> dict:
    properties = {name: getattr(message.properties, name) for name in PROPERTIES}
    properties = {name: value for name, value in properties.items() if value is not None}
    if "headers" in redact and "headers" in properties:
        properties["headers"] = dict.fromkeys(properties["headers"], REDACTED)
    return {
        **{name: getattr(message, name) for name in _PLAIN},
        "time": moment(message.time),
        "body": REDACTED if "bodies" in redact and message.body else message.body,
        "properties": properties,
        "queues": None if message.queues is None else list(message.queues),
        "removed": sorted(message.removed),
        "request": message.request and message.request.number,
        "repeats": message.repeats and message.repeats.number,
        "deliveries": [
            {**{name: getattr(given, name) for name in (*_OF_DELIVERY, *_PLACE)},
             "link": given.link.number if given.link else 0, "time": moment(given.time),
             "settled": moment(given.settled), "loss": given.loss and given.loss.order}
            for given in list(message.deliveries)
        ],
        "steps": [
            {**{name: getattr(step, name) for name in _OF_STEP}, "time": moment(step.time)}
            for step in list(message.steps)
        ],
    }


def from_dict(data: object) -> Story:
    """Return the story of such data; see `Story.from_json`."""
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise LabError("This is not a story of rpclab: story.to_json() writes one.")
    if data.get("version") != VERSION:
        raise LabError(f"This story has version {data.get('version')!r}, and this rpclab reads version {VERSION}.")
    try:
        shown = {str(name): str(said) for name, said in data["queues"].items()}
        read = [_read(said) for said in data["messages"]]
        messages = {message.number: message for message, _ in read}
        for message, said in read:
            message.repeats = messages.get(said["repeats"])
            message.request = messages.get(said["request"])
            if message.request:
                message.request.replies += (message,)
        end = 1.0 + float(data["length"])
        journal = Journal.from_dict(data["journal"], _read_moment) if "journal" in data else None
        begun = 1.0 + float(data.get("begun", -1.0))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise LabError(f"This story is damaged: {type(error).__name__}: {error}.") from error
    return Story(
        lambda name: shown.get(name, name), journal=journal, begun=begun, end=end, messages=messages.values(),
    )


def _read_moment(time: float | None) -> float | None:
    return None if time is None else 1.0 + time


def _read(said: dict) -> tuple[Message, dict]:
    body = _fancy(said["body"])
    message = Message(
        **{name: said[name] for name in _PLAIN}, time=1.0 + said["time"],
        body=body if isinstance(body, bytes) else str(body).encode(errors="surrogatepass"),
        properties=BasicProperties(**{name: _fancy(said["properties"].get(name)) for name in PROPERTIES}),
        queues=None if said["queues"] is None else tuple(said["queues"]), removed=frozenset(said["removed"]),
    )
    message.steps = [
        Step(1.0 + step["time"], message=message, **{name: step[name] for name in _OF_STEP}) for step in said["steps"]
    ]
    by_order = {step.order: step for step in message.steps}
    message.deliveries = [
        Delivery(time=1.0 + given["time"], settled=None if given["settled"] is None else 1.0 + given["settled"],
                 loss=by_order.get(given["loss"]), link=Link(given.get("link", 0), given["to"]),
                 **{name: given[name] for name in _OF_DELIVERY}, **{name: given.get(name, 0) for name in _PLACE})
        for given in said["deliveries"]
    ]
    return message, said


def read_json(text: str | bytes) -> Story:
    """Return the story of a JSON text."""
    try:
        return from_dict(json.loads(text))
    except ValueError as error:
        raise LabError(f"This is not JSON, so it is not a story: {error}.") from error


def _names(message: Message) -> Iterable[str]:
    yield from message.places
    yield from (step.queue for step in message.steps)
    yield from (step.who for step in message.steps if step.what == "dead-lettered")
    if message.properties.reply_to:
        yield message.properties.reply_to


def without_passwords(raw: bytes, secrets: Iterable[bytes]) -> bytes:
    """Return bytes with *** for the passwords in AMQP addresses, and for those given."""
    raw = _PASSWORD.sub(rb"\1:***@", raw)
    for secret in secrets:
        raw = raw.replace(secret, b"***")
    return raw


def known_secrets() -> tuple[bytes, ...]:
    """Return the passwords that this process knows brokers by."""
    return _passwords_in(" ".join(os.environ.get(name, "") for name in ("RPCLAB_URL", "RPCLAB_BROKER")))


@functools.lru_cache(maxsize=4)
def _passwords_in(addresses: str) -> tuple[bytes, ...]:
    found = re.findall(r"amqps?://[^\s:/@]*:([^\s@/]+)@", addresses)
    known = {form.encode() for password in found for form in (password, unquote(password))}
    return tuple(password for password in known if len(password) >= SHORTEST_SECRET)


def _plain(value: object, secrets: Iterable[bytes]) -> object:
    """Return a value as JSON data, without passwords."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, dict):
        return {str(_plain(str(name), secrets)): _plain(one, secrets) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one, secrets) for one in value]
    if isinstance(value, datetime):
        return {"$time": value.isoformat()}
    if isinstance(value, Decimal):
        return {"$decimal": str(value)}
    raw = value if isinstance(value, bytes | bytearray) else str(value).encode(errors="surrogatepass")
    raw = without_passwords(bytes(raw), secrets)
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return {"$bytes": b64encode(raw).decode()}


def _fancy(value: object) -> object:
    """Return the value that `_plain` was given."""
    if isinstance(value, dict):
        for key, read in (("$bytes", b64decode), ("$time", datetime.fromisoformat), ("$decimal", Decimal)):
            if value.keys() == {key}:
                return read(value[key])
        return {name: _fancy(one) for name, one in value.items()}
    return [_fancy(one) for one in value] if isinstance(value, list) else value


