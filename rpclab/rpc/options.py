"""What the options of clients and servers may be, checked where they enter, in the caller's thread."""

from __future__ import annotations

from rpclab.errors import InvalidOption

HEARTBEAT = 10
MOST_SECONDS = 86_400
MOST_BYTES = 255  # of a queue's name: a "short string" in https://www.rabbitmq.com/resources/specs/amqp0-9-1.pdf
MOST_HEARTBEAT = 65_535
SHOWN = 60


def seconds(value: object, option: str = "timeout") -> float:
    """Return a length of time as a float.

    Raises
    ------
    InvalidOption
        If it is not a number above 0 and at most a day.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= MOST_SECONDS:
        raise InvalidOption(
            f"{option}={shown(value)}: it is a number of seconds, above 0 and at most {MOST_SECONDS} (a day)."
        )
    return float(value)


def heartbeat(value: object) -> int:
    """Return the seconds between heartbeats.

    Raises
    ------
    InvalidOption
        If it is not an integer that the protocol can carry.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MOST_HEARTBEAT:
        raise InvalidOption(
            f"heartbeat={shown(value)}: it is a whole number of seconds up to {MOST_HEARTBEAT}, 0 for none."
        )
    return value


def prefetch(value: object) -> int:
    """Return how many requests a server processes at the same time.

    Raises
    ------
    InvalidOption
        If it is not an integer from 1 to 1000.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 1000:
        raise InvalidOption(f"prefetch={value!r}: it is the number of requests to process at once, 1 to 1000.")
    return value


def queue_name(value: object, option: str) -> str:
    """Return the name of a queue.

    Raises
    ------
    InvalidOption
        If the protocol cannot carry it: sent anyway, it would end the connection and every call in flight on it.
    """
    if not isinstance(value, str) or not value:
        raise InvalidOption(f"{option}={shown(value)}: it is the name of a queue, a str that is not empty.")
    try:
        size = len(value.encode())
    except UnicodeEncodeError as error:
        raise InvalidOption(f"{option}={shown(value)}: the name cannot be written in UTF-8 ({error.reason}).") from None
    if size > MOST_BYTES:
        raise InvalidOption(
            f"{option}={shown(value)}: the name has {size} bytes in UTF-8, and AMQP allows {MOST_BYTES}."
        )
    return value


def callback_queue(value: object) -> str:
    """Return where a client's replies should go.

    Raises
    ------
    InvalidOption
        If it is not ``"exclusive"``, ``"direct"`` or the name of a queue that is not the broker's own.
    """
    name = queue_name(value, "reply")
    if name.startswith("amq."):
        raise InvalidOption(
            f'reply={shown(name)}: names that begin with "amq." are the broker\'s own. Use "exclusive" for a queue '
            'that the broker names, "direct" for direct reply-to, or another name.'
        )
    return name


def text(value: object) -> bytes:
    """Return the bytes of a request's body.

    Raises
    ------
    InvalidOption
        If it is not a str, or cannot be written in UTF-8.
    """
    if not isinstance(value, str):
        raise InvalidOption(
            f"A request is text, and {shown(value)} is {type(value).__name__}: make a str of it first."
        )
    try:
        return str.encode(value)
    except UnicodeEncodeError as error:
        raise InvalidOption(
            f"A request is UTF-8 text, and {shown(value)} cannot be written in it ({error.reason})."
        ) from None


def shown(value: object) -> str:
    """Return a value as an error message shows it: short, and whatever it is."""
    try:
        said = ascii(value)
    except Exception:  # noqa: BLE001  a number of too many digits, or a __repr__ that fails: the type has to do
        return f"<{type(value).__name__}>"
    return said if len(said) <= SHOWN else f"{said[:SHOWN]}..."
