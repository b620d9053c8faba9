"""The boxes of the picture with what is in them: all for the text twin, as many as there is room for on the screen."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from heapq import nsmallest
from itertools import groupby

from rpclab.widgets.flow_chips import CLIENT, EXCHANGE, QUEUE, WORKER, Chip, Place
from rpclab.widgets.flow_state import FlowState
from rpclab.wire.registry import Registry

CALLBACK = "callback"
BOXES_SHOWN = 8
ENDED_SHOWN = 2
CHIPS_SHOWN = 5
OTHERS = "\0others"
UNSEEN = "not declared in sight"
DIRECT = "direct reply-to"
_ORDER = (CLIENT, EXCHANGE, QUEUE, WORKER)


@dataclass(frozen=True)
class Box:
    """A client, exchange, queue or worker.

    Attributes
    ----------
    place : Place
        Which.
    lane : str
        ``callback`` for queues that are for answers and for those who only take from them, else empty.
    published : int
        How many messages it published; of a queue or exchange, how many came to it.
    waiting, unacked, done : int
        How many messages are in it; how many are held by it, or, of a queue, by its consumers; how many were
        acknowledged.
    note : str
        What else there is to say: ``gone``, ``not declared in sight``, the type of an exchange.
    gone : bool
        Whether its connection or the queue itself has ended.
    chips : tuple of Chip
        The first of the messages in it.
    """

    place: Place
    lane: str
    published: int
    waiting: int
    unacked: int
    done: int
    note: str = ""
    gone: bool = False
    chips: tuple[Chip, ...] = field(default=(), compare=False)


def boxes(state: FlowState, registry: Registry, connected: set[str]) -> list[Box]:
    """Return all boxes: clients, exchanges, queues and workers, each sorted by name.

    Parameters
    ----------
    state : FlowState
        Where everything is.
    registry : Registry
        Who consumes now.
    connected : set of str
        The names of the connections that are open.
    """
    consumers = consuming(state, registry)
    places = {*state.places, *(Place(QUEUE, name) for name in state.routing.queues), *(c for _, c in consumers)}
    unacked = state.chips.unacked()
    # Whoever consumes from a queue of its own waits for its own answers; from a shared one, it takes those of others.
    takers = {consumer.name for queue, consumer in consumers if state.routing.queues[queue].owner is None}
    made = [_box(state, place, unacked, connected, takers) for place in places]
    return sorted(made, key=lambda box: (_ORDER.index(box.place.role), _natural(box.place.name)))


def consuming(state: FlowState, registry: Registry) -> list[tuple[str, Place]]:
    """Return each queue with each of its consumers."""
    return [
        (queue.name, state.consumer(name, queue.name))
        for queue in list(state.routing.queues.values()) for name in registry.consuming(queue.real_name)
    ]


def fewer(found: list[Box]) -> list[Box]:
    """Return at most so many boxes of each kind as the picture has room for, the rest in one box for all others.

    Of those that are gone, with nothing in them, the last few are enough to see that there were some.
    """
    chosen = []
    for (order, lane), group in groupby(sorted(found, key=_column), key=_column):
        members = list(group)
        ended = [box for box in members if box.gone and not box.chips]
        present = [box for box in members if box not in ended]
        shown = [*present[:BOXES_SHOWN], *ended[-ENDED_SHOWN:]][:BOXES_SHOWN]
        rest = [box for box in members if box not in shown]
        if len(rest) == 1:
            shown, rest = members, []
        chosen += sorted(shown, key=lambda box: _natural(box.place.name))
        if rest:
            chosen.append(_together(rest, _ORDER[order], lane))
    return chosen


def _box(state: FlowState, place: Place, unacked: dict, connected: set[str], takers: set[str]) -> Box:
    counts = state.places.get(place, {})
    chips = state.chips.at(place)
    is_queue, is_person = place.role == QUEUE, place.role in (CLIENT, WORKER)
    lane, note, gone = "", "", is_person and place.name not in connected
    if is_queue:
        lane = CALLBACK if state.is_callback(place.name) else ""
        gone = place.name in state.deleted and place.name not in state.routing.queues
        note = "" if place.name in state.routing.queues or place.name == DIRECT else UNSEEN
    elif place.role == EXCHANGE:
        note = state.routing.exchange_type(place.name) or UNSEEN
    elif place.role == CLIENT and not counts.get("published") and (counts.get("delivered") or place.name in takers):
        lane = CALLBACK
    return Box(
        place, lane, counts.get("published", 0),
        waiting=0 if is_person else len(chips),
        unacked=len(chips) if is_person else unacked.get(place.name, 0) if is_queue else 0,
        done=counts.get("done", 0),
        note="gone" if gone else note,
        gone=gone,
        chips=tuple(nsmallest(CHIPS_SHOWN, chips, key=lambda chip: (chip.message.number, chip.number))),
    )


def _together(rest: list[Box], role: str, lane: str) -> Box:
    total = {name: sum(getattr(box, name) for box in rest) for name in ("published", "waiting", "unacked", "done")}
    chips = nsmallest(CHIPS_SHOWN, (c for box in rest for c in box.chips), key=lambda chip: chip.message.number)
    first = replace(rest[0], **total, note="", gone=all(box.gone for box in rest), chips=tuple(chips))
    return replace(first, place=Place(role, f"{OTHERS} {lane}"), lane=lane, note=f"{len(rest)} more")


def _column(box: Box) -> tuple[int, str]:
    return _ORDER.index(box.place.role), box.lane


def _natural(name: str) -> list:
    """Sort ``worker-10`` behind ``worker-9``."""
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in re.split(r"(\d+)", name)]
