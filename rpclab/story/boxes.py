"""The boxes of the picture and their content: all for the text twin, as many as fit for the screen."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from heapq import nsmallest
from itertools import groupby
from types import MappingProxyType

from rpclab.rpc.protocol import DIRECT_REPLY_TO
from rpclab.story.board import CLIENT, EXCHANGE, QUEUE, WORKER, Board, Chip, Place
from rpclab.story.moves import Interpreter
from rpclab.story.world import World
from rpclab.table import Table

CALLBACK = "callback"
BOXES_SHOWN = 8
ENDED_SHOWN = 2
CHIPS_SHOWN = 5
UNSEEN = "not declared in sight"
DELETED, CLOSED, OTHERS_ENDED = "deleted", "closed", "ended"
ENDED = (DELETED, CLOSED, OTHERS_ENDED, "dead", "stopped")
_NOTHING: Mapping[str, int] = MappingProxyType({})
_COLUMNS = ("what", "name", "published", "ready", "unacked", "done")
_ORDER = (CLIENT, EXCHANGE, QUEUE, WORKER)
_NUMBERED = re.compile(r"(.+)-(\d+)")


@dataclass(frozen=True)
class Box:
    """A client, exchange, queue or worker.

    Attributes
    ----------
    place : Place
        Its place.
    name : str
        Its name in the picture.
    lane : str
        ``callback`` for callback queues and for their consumers that do nothing else, else empty.
    published : int
        The number of messages that it published; of a queue or exchange, that it got.
    ready, unacked, done : int
        The numbers of messages in it, unacked at it (of a queue: at its consumers), and acknowledged.
    note : str
        A remark: ``deleted``, ``closed``, ``not declared in sight``, the type of an exchange.
    state : str
        The state of a process.
    chips : tuple of Chip
        The first messages in it.
    others : int
        The number of boxes that have no room, if this one stands for them.
    """

    place: Place
    name: str
    lane: str
    published: int
    ready: int
    unacked: int
    done: int
    note: str = ""
    state: str = ""
    chips: tuple[Chip, ...] = field(default=(), compare=False)
    others: int = 0

    @property
    def gone(self) -> bool:
        """Whether its connection, its process or the queue itself has ended."""
        return self.note in (*ENDED, "not yet") or self.state in ENDED

    @property
    def group(self) -> str:
        """The group: processes whose names differ only in their numbers, such as ``FibonacciServer-0`` and ``-1``."""
        numbered = _NUMBERED.fullmatch(self.name) if self.place.role in (CLIENT, WORKER) and not self.others else None
        return numbered[1] if numbered else ""


class Boxes:
    """Makes the boxes of a board.

    Parameters
    ----------
    cast : Interpreter
        Knows the callback queues, and the places of a queue's consumers.
    shown : callable
        Turns a queue's name into the one in the picture.
    """

    def __init__(self, cast: Interpreter, shown: Callable[[str], str]):
        self._cast = cast
        self._shown = shown

    def all(
        self, board: Board, world: World, more: Mapping[Place, str] = MappingProxyType({}), *,
        now: tuple[Board, World] | None = None,
    ) -> list[Box]:
        """Return all boxes: clients, exchanges, queues and workers, each kind sorted by name, those for replies last.

        Parameters
        ----------
        board : Board
            The places of the chips.
        world : World
            The consumers and connections.
        more : mapping of Place to str
            Places that have a box before anything happens there, with their lanes.
        now : (Board, World), optional
            The present, if the other two are of the past: the position of a box does not depend on the moment.
        """
        board_now, world_now = now or (board, world)
        declared = (Place(QUEUE, name) for name in world.queues)
        consumers = (consumer for _, consumer in self.consuming(world))
        places = {place for place in (*board.counts, *declared, *consumers, *more) if place.name}
        unacked = board.unacked()
        # The consumer of its own queue waits for its own replies; that of a shared one takes those of other clients.
        owned = {name for name, queue in world_now.queues.items() if queue.owner is not None}
        takers = {consumer.name for queue, consumer in self.consuming(world_now) if queue not in owned}
        behind = {
            place for place in places
            if place.role == CLIENT and not board_now.counts.get(place, _NOTHING).get("published")
            and (board_now.counts.get(place, _NOTHING).get("delivered") or place.name in takers)
        }
        behind |= {place for place, lane in more.items() if lane == CALLBACK}
        made = [self._box(board, world, place, unacked, place in behind) for place in places]
        if now:
            made = [
                replace(box, note="not yet") if box.note in (DELETED, CLOSED, UNSEEN) and box.place not in board.counts
                else box for box in made
            ]
        # The callback queues of single clients come first: their clients are above the callback workers.
        shared = {box.place for box in made if box.lane and box.place.role == QUEUE and box.place.name not in owned}
        return sorted(made, key=lambda box: (*_column(box), box.place in shared, natural(box.name)))

    def consuming(self, world: World) -> list[tuple[str, Place]]:
        """Return each queue with each of its consumers."""
        return [(queue, self._cast.consumer(name, queue)) for queue, name in world.consumers]

    def _box(self, board: Board, world: World, place: Place, unacked: dict, behind: bool) -> Box:
        counts, chips = board.counts.get(place, _NOTHING), board.at(place)
        is_queue, is_person = place.role == QUEUE, place.role in (CLIENT, WORKER)
        name = self._shown(place.name) if is_queue else place.name
        lane = note = state = ""
        if is_queue:
            lane = CALLBACK if self._cast.is_callback(place.name) else ""
            unseen = place.name not in world.queues and not place.name.startswith(DIRECT_REPLY_TO)
            if unseen and world.connected is not None:
                note = DELETED if place.name in self._cast.deleted and counts else UNSEEN
        elif place.role == EXCHANGE:
            note = world.exchanges.get(place.name) or (UNSEEN if world.connected is not None else "")
        else:
            state = world.processes.get(place.name, "")
            if world.connected is not None and place.name not in world.connected and not state:
                note = CLOSED
            lane = CALLBACK if behind else ""
        return Box(
            place, name, lane, counts.get("published", 0),
            ready=0 if is_person else len(chips),
            unacked=len(chips) if is_person else unacked.get(place.name, 0) if is_queue else 0,
            done=counts.get("done", 0), note=note, state=state,
            chips=tuple(nsmallest(CHIPS_SHOWN, chips, key=lambda chip: (chip.message.number, chip.number))),
        )


def fewer(found: Iterable[Box], most: int = BOXES_SHOWN) -> list[Box]:
    """Return at most `most` boxes of each kind, and one box for all others.

    Of the empty ones that have ended, only the last few remain.
    """
    chosen = []
    for _, group in groupby(sorted(found, key=_column), key=_column):
        members = list(group)
        ended = [box for box in members if box.gone and not box.chips]
        present = [box for box in members if box not in ended]
        shown = [*present[:most], *ended[-ENDED_SHOWN:]][:most]
        rest = [box for box in members if box not in shown]
        if len(rest) == 1:
            shown, rest = members, []
        chosen += [box for box in members if box in shown]
        if rest:
            chosen.append(_together(rest))
    return chosen


def as_table(found: Iterable[Box]) -> Table:
    """Return a row for each box: what it is, and its counts."""
    rows = [
        {
            "what": _what(box), "name": box.name, "published": box.published, "ready": box.ready,
            "unacked": box.unacked, "done": box.done, "note": box.note or None,
        }
        for box in found
    ]
    columns = (*_COLUMNS, "note") if any(row["note"] for row in rows) else _COLUMNS
    return Table(columns, rows, empty="(nothing here yet)")


def _what(box: Box) -> str:
    if box.place.role == QUEUE and box.lane:
        return "callback queue"
    return "consumer" if box.place.role == WORKER else box.place.role


def _together(rest: list[Box]) -> Box:
    total = {name: sum(getattr(box, name) for box in rest) for name in ("published", "ready", "unacked", "done")}
    chips = nsmallest(CHIPS_SHOWN, (c for box in rest for c in box.chips), key=lambda chip: chip.message.number)
    note = OTHERS_ENDED if all(box.gone for box in rest) else ""
    first = replace(rest[0], **total, note=note, state="", chips=tuple(chips), others=len(rest))
    return replace(first, place=Place(first.place.role, f"\0others {first.lane}"), name=f"{len(rest)} more")


def _column(box: Box) -> tuple[int, str]:
    return _ORDER.index(box.place.role), box.lane


def natural(name: str) -> list:
    """Sort ``worker-10`` behind ``worker-9``."""
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in re.split(r"(\d+)", name)]
