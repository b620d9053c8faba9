"""Reading from the wire what a check wants to know."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from types import CodeType, FunctionType

import cloudpickle
from pika import spec

from rpclab.table import Table
from rpclab.wire.frames import Event
from rpclab.wire.messages import ACKED, AUTO_ACKED, BACK_IN_THE_QUEUE, HELD, REJECTED, Message
from rpclab.wire.story import Story

MOST_ROWS = 16
TWICE, ELSEWHERE, NEVER = "twice", "elsewhere", "never"


@dataclass(frozen=True)
class Refusal:
    """A channel that the broker closed because of what was sent on it.

    Attributes
    ----------
    who : str
        The connection.
    code, text : int, str
        The broker's reasons.
    tag : str
        Of an unknown delivery tag: whether it was settled ``twice``, came ``elsewhere`` or ``never``; else empty.
    """

    who: str
    code: int
    text: str
    tag: str = ""


def refusals(events: Iterable[Event]) -> list[Refusal]:
    """Return each refusal of the broker, in order."""
    delivered: dict[tuple[int, int], set[int]] = {}
    found = []
    for event in events:
        place = event.link.number, event.channel
        if isinstance(event.method, spec.Basic.Deliver | spec.Basic.GetOk):
            delivered.setdefault(place, set()).add(event.method.delivery_tag)
        elif isinstance(event.method, spec.Channel.Close) and not event.from_client:
            text, tag = event.method.reply_text, ""
            if "unknown delivery tag" in text:
                number = int(text.split()[-1])
                here = number in delivered.get(place, ())
                others = (tags for (link, _), tags in delivered.items() if link == place[0])
                tag = TWICE if here else ELSEWHERE if any(number in tags for tags in others) else NEVER
            found.append(Refusal(event.link.name, event.method.reply_code, text, tag))
    return found


def outcomes(message: Message | None) -> list[str]:
    """Return how each delivery of a message ended, in order."""
    return [delivery.outcome for delivery in message.deliveries] if message else []


def acked(message: Message | None) -> bool:
    """Tell whether a message was acknowledged, one way or the other."""
    return bool({ACKED, AUTO_ACKED} & set(outcomes(message)))


def settled_before(request: Message, then: float) -> bool:
    """Tell whether the broker was told to forget a message before a time of ``time.monotonic()``."""
    return any(
        delivery.outcome in (ACKED, AUTO_ACKED, REJECTED) and delivery.settled < then for delivery in request.deliveries
    )


def table(story: Story) -> Table:
    """Return a row for each message, the first and the last if there are many."""
    messages = story.messages
    if len(messages) > MOST_ROWS:
        messages = messages[: MOST_ROWS // 2] + messages[-MOST_ROWS // 2:]
    columns = ("body", "from", "queue", "to", "deliveries", "state", "correlation id")
    ids = dict.fromkeys(m.properties.correlation_id for m in messages if m.properties.correlation_id)
    # An id is random; to be told apart, and the same in each run, it is shown by its number.
    shown = {id: f"id {number}" for number, id in enumerate(ids, 1)}
    return Table(columns if ids else columns[:-1], [_row(message, story.now, shown) for message in messages])


def _row(message: Message, now: float, ids: dict[str, str]) -> dict:
    return {
        "body": message.text(20),
        "from": message.publisher or "unknown",
        "queue": message.queue,
        "to": ", ".join(dict.fromkeys(delivery.to for delivery in message.deliveries)) or None,
        "deliveries": len(message.deliveries),
        "state": message.state(now),
        "correlation id": ids.get(message.properties.correlation_id),
    }


def went_round(message: Message | None) -> int:
    """Return how often a message was put back into its queue by the one who had it."""
    return sum(outcome in BACK_IN_THE_QUEUE for outcome in outcomes(message))


def held(message: Message | None) -> bool:
    """Tell whether somebody has a message and has not said what became of it."""
    return outcomes(message)[-1:] == [HELD]


def codes(values: Iterable[object]) -> Iterator[CodeType]:
    """Return the compiled code of the functions and classes among some values, and of what is defined within them."""
    for value in values:
        if isinstance(value, CodeType):
            yield value
            yield from codes(value.co_consts)
        elif isinstance(value, FunctionType):
            yield from codes([value.__code__])
        elif isinstance(value, type):
            yield from codes(part for part in vars(value).values() if isinstance(part, FunctionType))


def unpicklable(values: Iterable[object]) -> list[str]:
    """Return the names that some functions and classes use and that no other process can be given."""
    return [name for name, used in sorted(_globals(values).items()) if not _can_be_pickled(used)]


def _globals(values: Iterable[object]) -> dict[str, object]:
    found = {}
    for value in values:
        if isinstance(value, FunctionType):
            names = value.__code__.co_names
            found |= {name: value.__globals__[name] for name in names if name in value.__globals__}
        elif isinstance(value, type):
            found |= _globals(part for part in vars(value).values() if isinstance(part, FunctionType))
    return found


def _can_be_pickled(value: object) -> bool:
    try:
        cloudpickle.dumps(value)
    except Exception:  # noqa: BLE001  the answer is no, whatever the reason
        return False
    return True
