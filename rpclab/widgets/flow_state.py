"""Where each message of a lab is, step by step: at whom, in which queue, held by which consumer, or gone."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping

from rpclab.widgets.flow_chips import CLIENT, EXCHANGE, HOLDERS, QUEUE, WORKER, Chip, Chips, Place
from rpclab.wire.messages import ACKED, AUTO_ACKED, LOST, REJECTED, REPLY, REQUEST, REQUEUED, Step
from rpclab.wire.routing import Emptied, Routing

TOTALS = ("published", "delivered", "acked", "replies", "redelivered", "returned", "rejected", "expired")

_MEANT_FOR_ANSWERS = re.compile(r"callback|reply|replies|answer", re.IGNORECASE)


class FlowState:
    """The places, the chips in them, and counts of all that happened.

    Parameters
    ----------
    routing : Routing
        What was declared and bound.

    Attributes
    ----------
    chips : Chips
        The messages that are somewhere.
    totals : collections.Counter
        How often each of `TOTALS` happened. Replies count as published, too, and auto-acked deliveries as acked.
    places : dict of Place to collections.Counter
        What each place has seen so far: ``published`` (by a client or worker; into a queue or exchange) and ``done``
        (acknowledged).
    deleted : set of str
        Queues that are gone; their boxes stay.
    """

    def __init__(self, routing: Routing):
        self.routing = routing
        self.chips = Chips()
        self.totals: Counter[str] = Counter()
        self.places: defaultdict[Place, Counter[str]] = defaultdict(Counter)
        self.deleted: set[str] = set()
        self._answered_to: set[str] = set()

    def is_callback(self, queue: str) -> bool:
        """Tell whether a queue is for answers: because it is used so, or, until it is used, by its name."""
        if queue in self._answered_to:
            return True
        return bool(_MEANT_FOR_ANSWERS.search(queue)) and not self.routing.is_bound(queue)

    def consumer(self, name: str, queue: str) -> Place:
        """Return where the picture has the consumer of a queue: who takes answers is on the clients' side."""
        return Place(CLIENT if self.is_callback(queue) else WORKER, name)

    def take(self, step: Step) -> None:
        """Take note of one step of a message."""
        _STEPS[step.what](self, step)

    def empty(self, emptied: Emptied) -> None:
        """Take the messages out of a queue that was purged or deleted."""
        for chip in self.chips.at(Place(QUEUE, emptied.queue)):
            self.chips.end(chip, "removed")
        if emptied.deleted:
            self.deleted.add(emptied.queue)

    def expire(self, now: float) -> None:
        """Give up the messages that waited for too long."""
        for chip in self.chips.expired(now):
            self.totals["expired"] += 1
            self._give_up(chip, "expired", now)

    def _published(self, step: Step) -> None:
        message, source = step.message, self._publisher(step)
        self.totals["published"] += 1
        self.places[source]["published"] += 1
        if message.kind == REQUEST:
            self._answered_to.add(self.routing.shown(message.properties.reply_to))
        elif message.kind == REPLY:
            self._answered_to.add(message.routing_key)
            self.totals["replies"] += 1
        if message.exchange:
            self._routed(step, source)
        else:
            self._arrive(self.chips.new(message, source), message.routing_key, "published", step.time, message.deadline)

    def _publisher(self, step: Step) -> Place:
        """Return whose box a message leaves from; what a server sends while it serves leaves from the server's."""
        worker, client = Place(WORKER, step.who), Place(CLIENT, step.who)
        return worker if worker in self.places and (step.message.kind == REPLY or client not in self.places) else client

    def _routed(self, step: Step, source: Place) -> None:
        message, exchange = step.message, Place(EXCHANGE, step.message.exchange)
        self.places[exchange]["published"] += 1
        queues = self.routing.queues_for(message.exchange, message.routing_key, message.properties.headers)
        chip = self.chips.new(message, source)
        self.chips.move(chip, exchange, "published")
        if queues == []:
            self.chips.end(chip, "no queue")
        for position, queue in enumerate(queues or ()):
            branch = self.chips.new(message, exchange) if position else chip
            self._arrive(branch, queue, "routed", step.time, message.deadline)

    def _arrive(self, chip: Chip, queue: str, how: str, now: float, deadline: float | None = None) -> None:
        """Put a chip into a queue, where its time to live begins."""
        self.places[Place(QUEUE, queue)]["published"] += 1
        chip.queue = queue
        declared = self.routing.queues.get(queue)
        ends = [deadline, now + declared.ttl if declared and declared.ttl is not None else None]
        self.chips.limit(chip, min((end for end in ends if end is not None), default=None))
        self.chips.move(chip, Place(QUEUE, queue), how)

    def _delivered(self, step: Step) -> None:
        target = self.consumer(step.who, step.queue)
        chip = self._to_deliver(step)
        if chip.place.role in HOLDERS:
            # It was given up before, though the end of the connection that held it is still on its way.
            self.chips.move(chip, Place(QUEUE, step.queue), LOST)
        chip.redelivered = chip.redelivered or step.redelivered
        self.totals["delivered"] += 1
        self.totals["redelivered"] += step.redelivered
        self.places[target]["delivered"] += 1
        self.chips.move(chip, target, "delivered")
        if _is_auto_acked(step):
            self._acked(step)

    def _to_deliver(self, step: Step) -> Chip:
        """Return the chip that a delivery brings; a new one for what was not seen to get into this queue."""
        place = Place(QUEUE, step.queue)
        chips = self.chips.of(step.message)
        here = [chip for chip in chips if chip.queue == step.queue]
        if found := [chip for chip in here if chip.place == place] or (here if step.redelivered else []):
            return found[0]
        if routed := [chip for chip in chips if chip.place.role == EXCHANGE]:
            self._arrive(routed[0], step.queue, "routed", step.time)
            return routed[0]
        chip = self.chips.new(step.message, place)
        chip.queue = step.queue
        self.places[place]["published"] += 1
        return chip

    def _held(self, step: Step) -> Chip | None:
        """Return the chip that somebody holds, to acknowledge it or to give it back."""
        holders = Place(CLIENT, step.who), Place(WORKER, step.who)
        chips = self.chips.of(step.message)
        return next((chip for chip in chips if chip.queue == step.queue and chip.place in holders), None)

    def _acked(self, step: Step) -> None:
        self.totals["acked"] += 1
        if chip := self._held(step):
            self.places[chip.place]["done"] += 1
            self.places[Place(QUEUE, step.queue)]["done"] += 1
            self.chips.end(chip, ACKED)

    def _rejected(self, step: Step) -> None:
        self.totals["rejected"] += 1
        if chip := self._held(step):
            self._give_up(chip, REJECTED, step.time)

    def _put_back(self, step: Step) -> None:
        if chip := self._held(step):
            chip.redelivered = True
            self.chips.move(chip, Place(QUEUE, step.queue), step.what)

    def _returned(self, step: Step) -> None:
        self.totals["returned"] += 1
        chips = self.chips.of(step.message) or [self.chips.new(step.message, Place(EXCHANGE, step.message.exchange))]
        self.chips.move(chips[0], self._publisher(step), "returned")
        self.chips.end(chips[0], "returned")

    def _dead_lettered(self, step: Step) -> None:
        """Follow a message to the queue in which it turned up, if its way there was not known before."""
        chips = self.chips.of(step.message)
        if any(chip.queue == step.queue for chip in chips):
            return
        behind = [chip for chip in chips if chip.queue == step.who]
        chip = behind[0] if behind else self.chips.new(step.message, Place(QUEUE, step.who))
        self._arrive(chip, step.queue, step.what, step.time)

    def _give_up(self, chip: Chip, how: str, now: float) -> None:
        """End a chip that is refused or too old; a queue with a dead-letter exchange passes it on instead.

        The broker takes the message's own expiration from it then, or it would expire in the next queue as well.
        """
        message, source = chip.message, chip.place
        queues = self.routing.dead_letter_queues(chip.queue, message.routing_key, message.properties.headers)
        if not queues:
            self.chips.end(chip, how)
        for position, queue in enumerate(queues):
            branch = self.chips.new(message, source) if position else chip
            branch.redelivered = False
            self._arrive(branch, queue, "dead-lettered", now)


_STEPS = {
    "published": FlowState._published,
    "delivered": FlowState._delivered,
    ACKED: FlowState._acked,
    REJECTED: FlowState._rejected,
    REQUEUED: FlowState._put_back,
    LOST: FlowState._put_back,
    "returned": FlowState._returned,
    "dead-lettered": FlowState._dead_lettered,
}


def summary(totals: Mapping[str, int]) -> str:
    """Return the totals in words; what seldom happens is left out if it did not."""
    often = TOTALS[:4]
    said = [(name, totals[name]) for name in TOTALS if name in often or totals[name]]
    return ", ".join(f"{count:,} {'reply' if (name, count) == ('replies', 1) else name}" for name, count in said)


def _is_auto_acked(step: Step) -> bool:
    return any(
        delivery.outcome == AUTO_ACKED and delivery.time == step.time and delivery.to == step.who
        for delivery in reversed(step.message.deliveries)
    )
