"""Who consumes from which queue, and whose the queues are that the broker named, kept up to date from the frames."""

from __future__ import annotations

from collections import defaultdict, deque

from pika import spec

from rpclab.wire.frames import Event

SERVER_NAMED = "amq.gen-"


class Registry:
    """Follows a lab's connections as they declare queues, consume, cancel and close."""

    def __init__(self):
        self._declaring: dict[tuple, deque[bool]] = defaultdict(deque)
        self._subscribing: dict[tuple, deque[str]] = defaultdict(deque)
        self._consumers: dict[tuple, str] = {}
        self._owners: dict[str, str] = {}
        self._names: dict[int, str] = {}
        self._steps = {
            spec.Connection.StartOk: self._named,
            spec.Queue.Declare: self._declare,
            spec.Queue.DeclareOk: self._declared,
            spec.Basic.Consume: self._consume,
            spec.Basic.ConsumeOk: self._consuming,
            spec.Basic.Cancel: self._cancelled,
            spec.Channel.Close: self._channel_closed,
        }

    def take(self, event: Event) -> None:
        """Take note of one event."""
        if event.method is None:
            self._names.pop(event.link.number, None)
            self._forget(event.link.number)
            return
        step = self._steps.get(type(event.method))
        if step:
            step(event, (event.link.number, event.channel))

    def consumers(self, queue: str) -> int:
        """Return how many consumers a queue has among the connections that were seen."""
        return sum(name == queue for name in list(self._consumers.values()))

    def queue_of(self, delivery: Event) -> str | None:
        """Return the queue that a ``Basic.Deliver`` came from, or None if its consumer was not seen."""
        return self._consumers.get((delivery.link.number, delivery.channel, delivery.method.consumer_tag))

    def shown(self, queue: str) -> str:
        """Return a queue's name as people are shown it: the same in each run, also where the broker made it up."""
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
        self._subscribing[channel].append(event.method.queue)

    def _consuming(self, event: Event, channel: tuple) -> None:
        if self._subscribing[channel]:
            self._consumers[(*channel, event.method.consumer_tag)] = self._subscribing[channel].popleft()

    def _cancelled(self, event: Event, channel: tuple) -> None:
        self._consumers.pop((*channel, event.method.consumer_tag), None)

    def _channel_closed(self, event: Event, channel: tuple) -> None:
        self._forget(*channel)

    def _forget(self, *where: int) -> None:
        for known in (self._declaring, self._subscribing, self._consumers):
            for key in [key for key in list(known) if key[: len(where)] == where]:
                known.pop(key, None)
