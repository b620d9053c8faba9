"""The places of the picture, the chips in them, and their moves, which can be replayed."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from rpclab.wire.messages import REPLY, Message

CLIENT, EXCHANGE, QUEUE, WORKER = "client", "exchange", "queue", "worker"
HOLDERS = (CLIENT, WORKER)
TOTALS = ("published", "delivered", "acked", "replies", "redelivered", "returned", "rejected", "expired")


class Place(NamedTuple):
    """A box of the picture. A process that is both client and worker has two."""

    role: str
    name: str


class Chip(NamedTuple):
    """A message in one place: a fanout exchange makes several chips of one message.

    ``queue`` is the queue that it is in or was delivered from; empty while that is unknown.
    """

    number: int
    message: Message
    place: Place
    queue: str = ""
    redelivered: bool = False


class Move(NamedTuple):
    """The move of a chip: from one place to another, or its end where it was (``target`` is None).

    ``how`` is ``published``, ``routed``, ``delivered``, ``acked``, ``rejected``, ``requeued``, ``lost``, ``returned``,
    ``expired``, ``dead-lettered``, ``no queue`` or ``removed``. ``queue`` and ``redelivered`` are the chip's after it,
    and ``tally`` names the totals that it adds to. A move without a chip (number 0) only adds to totals.
    """

    chip: int
    message: Message
    source: Place
    target: Place | None
    how: str
    queue: str = ""
    redelivered: bool = False
    tally: tuple[str, ...] = ()


class Board:
    """Where each chip is, and the counts of each place, after a number of moves.

    Attributes
    ----------
    chips : dict of int to Chip
        The chips in a place, by number.
    counts : dict of Place to collections.Counter
        The counts of each place so far: ``published`` (by a client or worker; into a queue or exchange), ``delivered``
        and ``done`` (acknowledged).
    totals : collections.Counter
        The counts of `TOTALS`. Replies count as published, too, and auto-acked deliveries as acked.
    """

    def __init__(self) -> None:
        self.chips: dict[int, Chip] = {}
        self.counts: dict[Place, Counter[str]] = {}
        self.totals: Counter[str] = Counter()
        self._at: dict[Place, dict[int, None]] = {}

    def copy(self) -> Board:
        """Return an independent copy."""
        other = Board()
        other.chips = dict(self.chips)
        other.counts = {place: Counter(counts) for place, counts in self.counts.items()}
        other.totals = Counter(self.totals)
        other._at = {place: dict(numbers) for place, numbers in self._at.items() if numbers}
        return other

    def at(self, place: Place) -> list[Chip]:
        """Return the chips in a place, in the order of their arrival."""
        return [self.chips[number] for number in self._at.get(place, ())]

    def unacked(self) -> Counter[str]:
        """Return the number of unacked messages of each queue."""
        return Counter(
            self.chips[number].queue for place, numbers in self._at.items() if place.role in HOLDERS
            for number in numbers
        )

    def apply(self, move: Move) -> None:
        """Apply a move."""
        for name in move.tally:
            self.totals[name] += 1
        if not move.chip:
            return
        source = self._counts(move.source)
        if move.chip in self.chips:
            self._at[move.source].pop(move.chip, None)
        elif move.source.role in HOLDERS:
            source["published"] += "published" in move.tally
        elif move.how == "delivered":
            # It was there before the recording began.
            source["published"] += 1
        if move.target is None:
            self.chips.pop(move.chip, None)
            if move.how == "acked":
                source["done"] += 1
                self._counts(Place(QUEUE, move.queue))["done"] += 1
            return
        target = self._counts(move.target)
        if move.how in ("published", "routed", "dead-lettered"):
            target["published"] += 1
        elif move.how == "delivered":
            target["delivered"] += 1
        self.chips[move.chip] = Chip(move.chip, move.message, move.target, move.queue, move.redelivered)
        self._at.setdefault(move.target, {})[move.chip] = None

    def _counts(self, place: Place) -> Counter[str]:
        return self.counts.setdefault(place, Counter())


def tally_of(message: Message) -> tuple[str, ...]:
    """Return the totals that publishing a message adds to."""
    return ("published", "replies") if message.kind == REPLY else ("published",)


def summary(totals: Counter) -> str:
    """Return the totals as text; rare ones only if they are not 0."""
    often = TOTALS[:4]
    said = [(name, totals[name]) for name in TOTALS if name in often or totals[name]]
    return ", ".join(f"{count:,} {'reply' if (name, count) == ('replies', 1) else name}" for name, count in said)
