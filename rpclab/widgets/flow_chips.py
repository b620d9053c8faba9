"""The boxes of the picture, the chips in them, and the ways that they go."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from itertools import count
from typing import NamedTuple

from rpclab.wire.messages import Message

CLIENT, EXCHANGE, QUEUE, WORKER = "client", "exchange", "queue", "worker"
HOLDERS = (CLIENT, WORKER)


class Place(NamedTuple):
    """A box of the picture. A process that both asks and serves has two: as a client and as a worker."""

    role: str
    name: str


@dataclass(eq=False)
class Chip:
    """A message as it is in one place: a fanout exchange makes several of one message.

    Attributes
    ----------
    number : int
        Its own, other than the message's.
    message : Message
        Which message it is.
    place : Place
        Where it is.
    queue : str
        The queue it is in or was delivered from; empty while that is not known.
    redelivered : bool
        Whether it was delivered before and came back.
    expires : float or None
        When it expires if it is waiting then, in seconds of ``time.monotonic()``.
    """

    number: int
    message: Message
    place: Place
    queue: str = ""
    redelivered: bool = False
    expires: float | None = None


class Move(NamedTuple):
    """What happened to a chip: it went from one place to another, or ended where it was (``target`` is None).

    ``how`` is ``published``, ``routed``, ``delivered``, ``acked``, ``rejected``, ``requeued``, ``lost``, ``returned``,
    ``expired``, ``dead-lettered``, ``no queue`` or ``removed``.
    """

    chip: Chip
    source: Place
    target: Place | None
    how: str
    redelivered: bool


class Chips:
    """All chips there are.

    Attributes
    ----------
    moves : list of Move
        In order; emptied by whoever shows them.
    """

    def __init__(self):
        self.moves: list[Move] = []
        self._numbers = count(1)
        self._of_message: defaultdict[int, list[Chip]] = defaultdict(list)
        self._at: defaultdict[Place, dict[int, Chip]] = defaultdict(dict)
        self._expiring: dict[int, Chip] = {}

    def at(self, place: Place) -> list[Chip]:
        """Return the chips in a place, in the order in which they came there."""
        return list(self._at[place].values()) if place in self._at else []

    def of(self, message: Message) -> list[Chip]:
        """Return the chips of a message that have not ended."""
        return list(self._of_message.get(message.number, ()))

    def unacked(self) -> Counter:
        """Return for each queue how many of its messages are held by consumers."""
        held = [chips.values() for place, chips in self._at.items() if place.role in HOLDERS]
        return Counter(chip.queue for chips in held for chip in chips)

    def new(self, message: Message, place: Place) -> Chip:
        """Make a chip."""
        chip = Chip(next(self._numbers), message, place)
        self._of_message[message.number].append(chip)
        self._at[place][chip.number] = chip
        return chip

    def move(self, chip: Chip, target: Place, how: str) -> None:
        """Bring a chip to another place."""
        self.moves.append(Move(chip, chip.place, target, how, chip.redelivered))
        del self._at[chip.place][chip.number]
        self._at[target][chip.number] = chip
        chip.place = target

    def end(self, chip: Chip, how: str) -> None:
        """Take a chip out of the picture."""
        self.moves.append(Move(chip, chip.place, None, how, chip.redelivered))
        del self._at[chip.place][chip.number]
        self._expiring.pop(chip.number, None)
        alike = self._of_message[chip.message.number]
        alike.remove(chip)
        if not alike:
            del self._of_message[chip.message.number]

    def limit(self, chip: Chip, expires: float | None) -> None:
        """Say when a chip expires, if it is waiting then."""
        chip.expires = expires
        if expires is None:
            self._expiring.pop(chip.number, None)
        else:
            self._expiring[chip.number] = chip

    def expired(self, now: float) -> list[Chip]:
        """Return the chips that wait although their time is over."""
        return [chip for chip in self._expiring.values() if chip.place.role == QUEUE and chip.expires <= now]

    def next_expiry(self) -> float | None:
        """Return when the next chip that waits will expire, in seconds of ``time.monotonic()``."""
        return min((chip.expires for chip in self._expiring.values() if chip.place.role == QUEUE), default=None)
