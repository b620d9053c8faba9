"""Who consumes from which queue, and whose the queues are that the broker named, kept up to date from the frames."""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import replace
from typing import NamedTuple

from pika import spec

from rpclab.rpc.queues import DIRECT_REPLY_TO
from rpclab.wire.frames import Event
from rpclab.wire.routing import Routing

SERVER_NAMED = "amq.gen-"


class Source(NamedTuple):
    """Where deliveries come from: the queue, and whether they count as acknowledged at once."""

    queue: str
    auto_ack: bool


class Registry:
    """Follows a lab's connections as they declare queues, consume, get, cancel and close."""

    def __init__(self):
        self._declaring: dict[tuple, deque[bool]] = defaultdict(deque)
        self._subscribing: dict[tuple, deque[Source]] = defaultdict(deque)
        self._getting: dict[tuple, deque[Source]] = defaultdict(deque)
        self._consumers: dict[tuple, Source] = {}
        self._owners: dict[str, str] = {}
        self._routing = Routing(self.shown)
        self._names: dict[int, str] = {}
        self._steps = {
            spec.Connection.StartOk: self._named,
            spec.Queue.Declare: self._declare,
            spec.Queue.DeclareOk: self._declared,
            spec.Basic.Consume: self._consume,
            spec.Basic.ConsumeOk: self._consuming,
            spec.Basic.Cancel: self._cancelled,
            spec.Basic.Get: self._get,
            spec.Basic.GetEmpty: self._got,
            spec.Basic.GetOk: self._got,
            spec.Basic.Deliver: self._delivered,
            spec.Channel.Close: self._channel_closed,
        }

    def take(self, event: Event) -> Event:
        """Take note of one event and return it, a message together with the queue that it comes from or goes to."""
        if event.method is None:
            self._names.pop(event.link.number, None)
            self._forget(event.link.number)
        step = self._steps.get(type(event.method))
        source = step(event, (event.link.number, event.channel)) if step else None
        # After the steps: a queue that the broker named is shown with its owner.
        if self._routing.concerns(event) and (emptied := self._routing.take(event)):
            event = replace(event, emptied=tuple(emptied))
        if isinstance(event.method, spec.Basic.Publish):
            return replace(event, queues=self._routing.queues_of(event))
        return replace(event, queue=source.queue, auto_ack=source.auto_ack) if source else event

    def consumers(self, queue: str) -> int:
        """Return how many consumers a queue has among the connections that were seen."""
        return sum(source.queue == queue for source in list(self._consumers.values()))

    def consuming(self, queue: str) -> list[str]:
        """Return the names of the connections that consume from a queue, sorted, one for each consumer."""
        links = [key[0] for key, source in list(self._consumers.items()) if source.queue == queue]
        return sorted(self._names.get(link, f"connection {link}") for link in links)

    def shown(self, queue: str) -> str:
        """Return a queue's name as people are shown it: the same in each run, also where the broker made it up."""
        if queue.startswith(DIRECT_REPLY_TO):
            return "direct reply-to"
        if not queue.startswith(SERVER_NAMED):
            return queue
        return f"callback queue of {self._owners.get(queue, 'another connection')}"

    def _named(self, event: Event, channel: tuple) -> None:
        """Tell connections of one name apart: ``AddClient``, ``AddClient 2``, and so on."""
        name, number = event.link.name, 1
        while event.link.name in self._names.values():
            number += 1
            event.link.name = f"{name} {number}"
        self._names[event.link.number] = event.link.name

    def _declare(self, event: Event, channel: tuple) -> None:
        self._declaring[channel].append(event.method.exclusive)

    def _declared(self, event: Event, channel: tuple) -> None:
        if self._declaring[channel] and self._declaring[channel].popleft():
            self._owners[event.method.queue] = event.link.name

    def _consume(self, event: Event, channel: tuple) -> None:
        self._subscribing[channel].append(Source(event.method.queue, event.method.no_ack))

    def _consuming(self, event: Event, channel: tuple) -> None:
        if self._subscribing[channel]:
            self._consumers[(*channel, event.method.consumer_tag)] = self._subscribing[channel].popleft()

    def _cancelled(self, event: Event, channel: tuple) -> None:
        self._consumers.pop((*channel, event.method.consumer_tag), None)

    def _get(self, event: Event, channel: tuple) -> None:
        self._getting[channel].append(Source(event.method.queue, event.method.no_ack))

    def _got(self, event: Event, channel: tuple) -> Source | None:
        return self._getting[channel].popleft() if self._getting[channel] else None

    def _delivered(self, event: Event, channel: tuple) -> Source | None:
        return self._consumers.get((*channel, event.method.consumer_tag))

    def _channel_closed(self, event: Event, channel: tuple) -> None:
        self._forget(*channel)

    def _forget(self, *where: int) -> None:
        for known in (self._declaring, self._subscribing, self._getting, self._consumers):
            for key in [key for key in list(known) if key[: len(where)] == where]:
                known.pop(key, None)
