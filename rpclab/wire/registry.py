"""Which connection consumes from which queue, and which one owns each queue that the broker named."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable
from typing import Any, NamedTuple

from pika import spec

from rpclab.rpc.protocol import DIRECT_REPLY_TO
from rpclab.wire.events import Carrying, Event
from rpclab.wire.journal import Journal
from rpclab.wire.routing import Channel, Routing

SERVER_NAMED = "amq.gen-"
# A story still shows the names of deleted queues. Of more queues than this, the oldest lose their owner's name.
OWNERS_KEPT = 20_000


class Source(NamedTuple):
    """The source of deliveries: the queue, and whether they count as acknowledged at once."""

    queue: str
    auto_ack: bool


class Registry:
    """Follows a lab's connections as they declare queues, consume, get, cancel and close.

    Parameters
    ----------
    complete : bool
        Whether all programs of the virtual host go through this tap. If not, nothing is known of queues that were not
        seen, nor of who else consumes from them.

    Attributes
    ----------
    journal : Journal
        What the connections did besides moving messages.
    """

    def __init__(self, *, complete: bool = True) -> None:
        self.journal = Journal(complete=complete)
        self._declaring: dict[Channel, deque[spec.Queue.Declare]] = defaultdict(deque)
        self._subscribing: dict[Channel, deque[Source]] = defaultdict(deque)
        self._getting: dict[Channel, deque[Source]] = defaultdict(deque)
        self._consumers: dict[tuple[int, int, str], Source] = {}
        self._owners: dict[str, str] = {}
        self._routing = Routing(complete=complete)
        self._names: dict[int, str] = {}
        self._steps: dict[type, Callable[[Event[Any, Any], Channel], Source | None]] = {
            spec.Connection.StartOk: self._named,
            spec.Queue.Declare: self._declare,
            spec.Queue.DeclareOk: self._declared,
            spec.Basic.Publish: self._published,
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
        """Record one event and return it, a message together with the queue that it comes from or goes to."""
        if event.method is None:
            self._names.pop(event.link.number, None)
            self._forget(event.link.number)
        step = self._steps.get(type(event.method))
        source = step(event, (event.link.number, event.channel)) if step else None
        self.journal.take(event)
        if self._routing.concerns(event):
            event.emptied = tuple(self._routing.take(event))
        if source:
            event.queue, event.auto_ack = source
        return event

    def consumers(self, queue: str) -> int:
        """Return how many consumers a queue has among the connections that were seen."""
        return sum(source.queue == queue for source in list(self._consumers.values()))

    def consuming(self, queue: str) -> list[str]:
        """Return the names of the connections that consume from a queue, sorted, one for each consumer."""
        links = [key[0] for key, source in list(self._consumers.items()) if source.queue == queue]
        return sorted(self._names.get(link, f"connection {link}") for link in links)

    def shown(self, queue: str) -> str:
        """Return a queue's name for people: the same in each run, even if the broker chose it."""
        if queue.startswith(DIRECT_REPLY_TO):
            return "direct reply-to"
        if not queue.startswith(SERVER_NAMED):
            return queue
        return f"callback queue of {self._owners.get(queue, 'another connection')}"

    def _named(self, event: Event[spec.Connection.StartOk], channel: Channel) -> None:
        """Give connections of one name different names: ``AddClient``, ``AddClient 2``, and so on."""
        name, number, taken = event.link.name, 1, set(self._names.values())
        while event.link.name in taken:
            number += 1
            event.link.name = f"{name} {number}"
        self._names[event.link.number] = event.link.name

    def _declare(self, event: Event[spec.Queue.Declare], channel: Channel) -> None:
        if event.method.nowait:
            self.journal.declares(event, event.method, event.method.queue)
        else:
            self._declaring[channel].append(event.method)

    def _declared(self, event: Event[spec.Queue.DeclareOk], channel: Channel) -> None:
        asked = self._declaring[channel].popleft() if self._declaring.get(channel) else None
        if asked is None:
            return
        elsewhere = (event.method.consumer_count or 0) - self.consumers(event.method.queue)
        self.journal.declares(event, asked, event.method.queue, elsewhere)
        if asked.exclusive and event.method.queue.startswith(SERVER_NAMED):
            self._owners[event.method.queue] = event.link.name
            if len(self._owners) > OWNERS_KEPT:
                self._owners.pop(next((name for name in self._owners if name not in self._routing.queues), ""), None)

    def _published(self, event: Carrying[spec.Basic.Publish], channel: Channel) -> None:
        event.queues = self._routing.queues_of(event)

    def _consume(self, event: Event[spec.Basic.Consume], channel: Channel) -> None:
        source = self._source(event, channel)
        if event.method.nowait:
            self._begun(event, channel, source)
        else:
            self._subscribing[channel].append(source)

    def _consuming(self, event: Event[spec.Basic.ConsumeOk], channel: Channel) -> None:
        if self._subscribing.get(channel):
            self._begun(event, channel, self._subscribing[channel].popleft())

    def _begun(self, event: Event[spec.Basic.Consume | spec.Basic.ConsumeOk], channel: Channel, source: Source) -> None:
        self._consumers[_consumer(event, channel)] = source
        self.journal.consumes(event, channel, event.method.consumer_tag, *source)

    def _source(self, event: Event[spec.Basic.Consume | spec.Basic.Get], channel: Channel) -> Source:
        return Source(self._routing.queue_meant(event.method, channel), event.method.no_ack)

    def _cancelled(self, event: Event[spec.Basic.Cancel], channel: Channel) -> Source | None:
        return self._consumers.pop(_consumer(event, channel), None)

    def _get(self, event: Event[spec.Basic.Get], channel: Channel) -> None:
        source = self._source(event, channel)
        self._getting[channel].append(source)
        self.journal.consumes(event, channel, "", *source)

    def _got(self, event: Event[spec.Basic.GetOk | spec.Basic.GetEmpty, Any], channel: Channel) -> Source | None:
        return self._getting[channel].popleft() if self._getting.get(channel) else None

    def _delivered(self, event: Carrying[spec.Basic.Deliver], channel: Channel) -> Source | None:
        source = self._consumers.get(_consumer(event, channel))
        if source and source.queue == DIRECT_REPLY_TO:
            # All clients consume with this name; the broker gives each a routing key, which serves as a queue's name.
            return source._replace(queue=event.method.routing_key)
        return source

    def _channel_closed(self, event: Event[spec.Channel.Close], channel: Channel) -> None:
        self._forget(*channel)

    def _forget(self, *where: int) -> None:
        kept: tuple[dict[Any, Any], ...] = (self._declaring, self._subscribing, self._getting, self._consumers)
        for known in kept:
            for key in [key for key in list(known) if key[: len(where)] == where]:
                known.pop(key, None)


def _consumer(
    event: Event[spec.Basic.Consume | spec.Basic.ConsumeOk | spec.Basic.Cancel | spec.Basic.Deliver], channel: Channel,
) -> tuple[int, int, str]:
    """Return a consumer's key: its tag, which is valid on its channel alone."""
    return (*channel, event.method.consumer_tag)
