"""Read from the wire what a check needs to know."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from math import inf
from types import CodeType, FunctionType

from pika import spec
from pika.amqp_object import Method

from rpclab.story.story import Story
from rpclab.table import Table
from rpclab.wire.events import Event
from rpclab.wire.messages import ACKED, AUTO_ACKED, BACK_IN_THE_QUEUE, HELD, REJECTED, Delivery, Message

MOST_ROWS = 16
MOST_EMPTY = 3


def methods(events: Iterable[Event], kind: type[Method]) -> list:
    """Return the methods of one kind, by either side, in order: ``methods(trial.events, spec.Queue.Unbind)``."""
    return [event.method for event in events if isinstance(event.method, kind)]


def declared(events: Iterable[Event]) -> list[str]:
    """Return the names of the queues that the broker has confirmed as declared, in order, deleted ones included."""
    return [method.queue for method in methods(events, spec.Queue.DeclareOk)]


def polls(events: Iterable[Event]) -> bool:
    """Return whether ``basic_get`` met an empty queue too often to be anything but polling."""
    return len(methods(events, spec.Basic.GetEmpty)) > MOST_EMPTY


def outcomes(message: Message | None) -> list[str]:
    """Return how each delivery of a message ended, in order."""
    return [delivery.outcome for delivery in message.deliveries] if message else []


def acked(message: Message | None) -> bool:
    """Return whether a message was acknowledged, by the consumer or by ``auto_ack``."""
    return bool({ACKED, AUTO_ACKED} & set(outcomes(message)))


def settled_before(request: Message, then: float) -> bool:
    """Return whether a message was acknowledged or rejected before a time of ``time.monotonic()``."""
    return any(
        delivery.outcome in (ACKED, AUTO_ACKED, REJECTED) and end(delivery) < then for delivery in request.deliveries
    )


def end(delivery: Delivery) -> float:
    """Return when a delivery was settled, or infinity if it is not."""
    return inf if delivery.settled is None else delivery.settled


def table(story: Story) -> Table:
    """Return a row for each message, the first and the last if there are many."""
    messages = story.messages
    if len(messages) > MOST_ROWS:
        messages = messages[: MOST_ROWS // 2] + messages[-MOST_ROWS // 2:]
    columns = ("body", "from", "queue", "to", "deliveries", "state", "correlation id")
    ids = dict.fromkeys(m.properties.correlation_id for m in messages if m.properties.correlation_id)
    # Ids are random; numbers in their place are the same in each run.
    shown = {id: f"id {number}" for number, id in enumerate(ids, 1)}
    return Table(columns if ids else columns[:-1], [_row(message, story, shown) for message in messages])


def _row(message: Message, story: Story, ids: dict[str, str]) -> dict:
    return {
        "body": message.text(20),
        "from": message.publisher or "unknown",
        "queue": ", ".join(map(story.shown, message.places)),
        "to": ", ".join(dict.fromkeys(delivery.to for delivery in message.deliveries)) or None,
        "deliveries": len(message.deliveries),
        "state": message.state(story.now),
        "correlation id": ids.get(message.properties.correlation_id),
    }


def times_requeued(message: Message | None) -> int:
    """Return how often a message was requeued."""
    return sum(outcome in BACK_IN_THE_QUEUE for outcome in outcomes(message))


def held(message: Message | None) -> bool:
    """Return whether a message is unacked."""
    return outcomes(message)[-1:] == [HELD]


def delivered(story: Story, body: str) -> bool:
    """Return whether a message with a body was delivered."""
    return any(message.deliveries for message in story.messages if message.text() == body)


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
