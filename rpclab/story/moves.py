"""From the steps of messages to the moves of chips: into a queue, to a consumer, or out of the picture."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable
from itertools import count

from rpclab.story.board import CLIENT, EXCHANGE, QUEUE, WORKER, Board, Chip, Move, Place, tally_of
from rpclab.wire.messages import ACKED, LOST, REJECTED, REPLY, REQUEST, REQUEUED, Message, Step
from rpclab.wire.routing import Emptied, Routing

_MEANT_FOR_ANSWERS = re.compile(r"callback|reply|replies|answer", re.IGNORECASE)


class Interpreter:
    """Turns events into moves, and applies them to a board.

    Parameters
    ----------
    routing : Routing
        The declarations and bindings.
    shown : callable
        Turns a queue's name into the one in the picture. Places and chips use the real names.

    Attributes
    ----------
    board : Board
        The present board.
    deleted : set of str
        Queues that were deleted; their boxes stay.
    """

    def __init__(self, routing: Routing, shown: Callable[[str], str] = str):
        self.routing = routing
        self._shown = shown
        self.board = Board()
        self.deleted: set[str] = set()
        self._moves: list[Move] = []
        self._numbers = count(1)
        self._of_message: defaultdict[int, list[int]] = defaultdict(list)
        self._expiring: dict[int, float] = {}
        self._answered_to: set[str] = set()

    def is_callback(self, queue: str) -> bool:
        """Return whether a queue is for replies: by its use, or by its name until it is used."""
        if queue in self._answered_to:
            return True
        return bool(_MEANT_FOR_ANSWERS.search(self._shown(queue))) and not self.routing.is_bound(queue)

    def consumer(self, name: str, queue: str) -> Place:
        """Return the place of a queue's consumer: consumers of replies are on the clients' side."""
        return Place(CLIENT if self.is_callback(queue) else WORKER, name)

    def take(self, step: Step) -> list[Move]:
        """Return the moves of one step of a message."""
        _STEPS[step.what](self, step)
        return self._made()

    def empty(self, emptied: Emptied) -> list[Move]:
        """Remove the messages of a purged or deleted queue."""
        for chip in self.board.at(Place(QUEUE, emptied.queue)):
            self._end(chip, "removed")
        if emptied.deleted:
            self.deleted.add(emptied.queue)
        return self._made()

    def expire(self, now: float) -> list[Move]:
        """Remove the messages that have expired."""
        due = [number for number, end in self._waiting() if end <= now]
        for number in due:
            self._give_up(self.board.chips[number], "expired", now, ("expired",))
        return self._made()

    def next_expiry(self) -> float | None:
        """Return when the next waiting message will expire, in seconds of ``time.monotonic()``."""
        return min((end for _, end in self._waiting()), default=None)

    def _waiting(self) -> list[tuple[int, float]]:
        return [each for each in self._expiring.items() if self.board.chips[each[0]].place.role == QUEUE]

    def _made(self) -> list[Move]:
        moves, self._moves = self._moves, []
        return moves

    def _published(self, step: Step) -> None:
        message, source = step.message, self._publisher(step)
        if message.kind == REQUEST:
            self._answered_to.add(message.properties.reply_to)
        elif message.kind == REPLY:
            self._answered_to.add(message.routing_key)
        chip = self._new(message, source)
        if not message.exchange:
            self._arrive(chip, message.routing_key, "published", step.time, message.deadline, tally_of(message))
            return
        exchange = Place(EXCHANGE, message.exchange)
        chip = self._move(chip, exchange, "published", tally=tally_of(message))
        if message.queues == ():
            self._end(chip, "no queue")
        for position, queue in enumerate(message.queues or ()):
            branch = self._new(message, exchange) if position else chip
            self._arrive(branch, queue, "routed", step.time, message.deadline)

    def _publisher(self, step: Step) -> Place:
        """Return the box that a message leaves from; for the messages of a server, the server's."""
        worker, client, known = Place(WORKER, step.who), Place(CLIENT, step.who), self.board.counts
        return worker if worker in known and (step.message.kind == REPLY or client not in known) else client

    def _arrive(
        self, chip: Chip, queue: str, how: str, now: float, deadline: float | None = None, tally: tuple[str, ...] = (),
    ) -> Chip:
        """Put a chip into a queue, where its time to live begins."""
        declared = self.routing.queues.get(queue)
        ends = [deadline, now + declared.ttl if declared and declared.ttl is not None else None]
        moved = self._move(chip, Place(QUEUE, queue), how, queue=queue, tally=tally)
        if known := [end for end in ends if end is not None]:
            self._expiring[moved.number] = min(known)
        else:
            self._expiring.pop(moved.number, None)
        return moved

    def _delivered(self, step: Step) -> None:
        target, chip = self.consumer(step.who, step.queue), self._to_deliver(step)
        redelivered = chip.redelivered or step.redelivered
        tally = ("delivered", "redelivered") if step.redelivered else ("delivered",)
        self._move(chip, target, "delivered", queue=step.queue, redelivered=redelivered, tally=tally)
        if step.auto_acked:
            self._acked(step)

    def _to_deliver(self, step: Step) -> Chip:
        """Return the chip of a delivery; a new one if the message was not seen on its path to this queue."""
        place, chips = Place(QUEUE, step.queue), self._chips(step.message)
        if found := [chip for chip in chips if chip.place == place]:
            return found[0]
        if routed := [chip for chip in chips if chip.place.role == EXCHANGE]:
            return self._arrive(routed[0], step.queue, "routed", step.time)
        return self._new(step.message, place)._replace(queue=step.queue)

    def _held(self, step: Step) -> Chip | None:
        """Return the unacked chip of a consumer, to acknowledge or requeue it."""
        holders = Place(CLIENT, step.who), Place(WORKER, step.who)
        return next((c for c in self._chips(step.message) if c.queue == step.queue and c.place in holders), None)

    def _acked(self, step: Step) -> None:
        if chip := self._held(step):
            self._end(chip, ACKED, ("acked",))
        else:
            self._count(step.message, "acked")

    def _rejected(self, step: Step) -> None:
        if chip := self._held(step):
            self._give_up(chip, REJECTED, step.time, ("rejected",))
        else:
            self._count(step.message, "rejected")

    def _put_back(self, step: Step) -> None:
        if chip := self._held(step):
            self._move(chip, Place(QUEUE, step.queue), step.what, redelivered=True)

    def _returned(self, step: Step) -> None:
        chips = self._chips(step.message)
        chip = chips[0] if chips else self._new(step.message, Place(EXCHANGE, step.message.exchange))
        self._end(self._move(chip, self._publisher(step), "returned", tally=("returned",)), "returned")

    def _dead_lettered(self, step: Step) -> None:
        """Follow a message to the queue that delivered it, if its path there was unknown before."""
        chips = self._chips(step.message)
        if any(chip.queue == step.queue for chip in chips):
            return
        behind = [chip for chip in chips if chip.queue == step.who]
        chip = behind[0] if behind else self._new(step.message, Place(QUEUE, step.who))
        self._arrive(chip, step.queue, step.what, step.time)

    def _give_up(self, chip: Chip, how: str, now: float, tally: tuple[str, ...]) -> None:
        """End a chip that is rejected or expired; a queue with a dead-letter exchange passes it on instead.

        The broker then removes the message's own expiration, or it would expire in the next queue, too.
        """
        message, source = chip.message, chip.place
        queues = self.routing.dead_letter_queues(chip.queue, message.routing_key, message.properties.headers)
        if not queues:
            self._end(chip, how, tally)
        for position, queue in enumerate(queues):
            branch = self._new(message, source) if position else chip._replace(redelivered=False)
            self._arrive(branch, queue, "dead-lettered", now, tally=() if position else tally)

    def _chips(self, message: Message) -> list[Chip]:
        return [self.board.chips[number] for number in self._of_message.get(message.number, ())]

    def _new(self, message: Message, place: Place) -> Chip:
        return Chip(next(self._numbers), message, place)

    def _count(self, message: Message, total: str) -> None:
        move = Move(0, message, Place(CLIENT, ""), None, "", tally=(total,))
        self.board.apply(move)
        self._moves.append(move)

    def _move(self, chip: Chip, target: Place | None, how: str, *, queue: str | None = None,
              redelivered: bool | None = None, tally: tuple[str, ...] = ()) -> Chip:
        """Move a chip to another place, or out of the picture; attributes that are not given stay."""
        queue = chip.queue if queue is None else queue
        redelivered = chip.redelivered if redelivered is None else redelivered
        move = Move(chip.number, chip.message, chip.place, target, how, queue, redelivered, tally)
        if chip.number not in self.board.chips:
            self._of_message[chip.message.number].append(chip.number)
        self.board.apply(move)
        self._moves.append(move)
        return Chip(chip.number, chip.message, target or chip.place, queue, redelivered)

    def _end(self, chip: Chip, how: str, tally: tuple[str, ...] = ()) -> None:
        self._move(chip, None, how, tally=tally)
        self._expiring.pop(chip.number, None)
        alike = self._of_message[chip.message.number]
        alike.remove(chip.number)
        if not alike:
            del self._of_message[chip.message.number]


_STEPS = {
    "published": Interpreter._published,
    "delivered": Interpreter._delivered,
    ACKED: Interpreter._acked,
    REJECTED: Interpreter._rejected,
    REQUEUED: Interpreter._put_back,
    LOST: Interpreter._put_back,
    "returned": Interpreter._returned,
    "dead-lettered": Interpreter._dead_lettered,
}
