"""Finds the queues that a message goes to, from the declarations of exchanges, queues and bindings.

The broker does not say where it puts a message until a consumer gets it. Its rules are those of
https://www.rabbitmq.com/docs/exchanges and https://www.rabbitmq.com/docs/dlx.
"""

from __future__ import annotations

import re
from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from pika import spec
from pika.amqp_object import Method

from rpclab.rpc.protocol import DIRECT_REPLY_TO
from rpclab.wire.bindings import Binding, takes
from rpclab.wire.events import Carrying, Event

PREDECLARED = {
    "amq.direct": "direct", "amq.fanout": "fanout", "amq.topic": "topic", "amq.headers": "headers",
    "amq.match": "headers",
}
Channel = tuple[int, int]  # the numbers of the connection and of the channel
OfQueue = (
    spec.Queue.Declare | spec.Queue.Bind | spec.Queue.Unbind | spec.Queue.Purge | spec.Queue.Delete
    | spec.Basic.Consume | spec.Basic.Get
)
BindingOf = spec.Queue.Bind | spec.Queue.Unbind | spec.Exchange.Bind | spec.Exchange.Unbind
# What the broker deletes by itself is not seen. Of more queues or exchanges than this, the oldest are forgotten.
MOST_DECLARED = 10_000
NO_QUEUE = re.compile(r"^NOT_FOUND - no queue '(.*)' in vhost ")


class Emptied(NamedTuple):
    """A queue that lost its messages: the ready ones only, or all because it was deleted."""

    queue: str
    deleted: bool


@dataclass(frozen=True)
class DeclaredQueue:
    """A queue's declaration.

    Attributes
    ----------
    name : str
        The broker's name for it.
    owner : int or None
        The number of the connection that it is exclusive to.
    arguments : mapping
        As they were declared.
    """

    name: str
    owner: int | None = None
    arguments: Mapping = field(default_factory=dict)

    @property
    def ttl(self) -> float | None:
        """Seconds that a message may wait in it."""
        milliseconds = self.arguments.get("x-message-ttl")
        return None if milliseconds is None else milliseconds / 1000


class Routing:
    """Follows declarations, bindings and deletions; all names here are the broker's.

    Parameters
    ----------
    complete : bool
        Whether every queue is declared where this is told of it. If not, one that was not seen may exist anyway, unless
        the broker said that it does not.

    Attributes
    ----------
    queues : dict of str to DeclaredQueue
        Those whose declaration was seen, and no deletion.
    """

    def __init__(self, *, complete: bool = True) -> None:
        self.queues: dict[str, DeclaredQueue] = {}
        self._complete = complete
        self._missing: dict[str, None] = {}
        self._types = dict(PREDECLARED)
        self._bindings: defaultdict[str, list[Binding]] = defaultdict(list)
        self._asked: defaultdict[Channel, deque[Method]] = defaultdict(deque)
        self._last_declared: dict[Channel, str] = {}

    def take(self, event: Event) -> list[Emptied]:
        """Record an event, and return the queues that it emptied."""
        channel = event.link.number, event.channel
        if event.method is None:
            return self._connection_ended(event.link.number)
        if type(event.method) in _REQUESTS:
            self._asked[channel].append(event.method)
            return self._unanswered(channel)
        if type(event.method) in _ANSWERS:
            return self._applied(channel, event.method) + self._unanswered(channel)
        if isinstance(event.method, spec.Channel.Close):
            self._asked.pop(channel, None)
            self._last_declared.pop(channel, None)
            if not event.from_client and (missing := NO_QUEUE.search(event.method.reply_text)):
                self._missing[missing[1]] = None
                if len(self._missing) > MOST_DECLARED:
                    self._missing.pop(next(iter(self._missing)))
        return []

    def concerns(self, event: Event) -> bool:
        """Return whether `take` needs an event."""
        return type(event.method) in _CONCERNING

    def exchange_type(self, exchange: str) -> str | None:
        """Return an exchange's type, if its declaration was seen."""
        return self._types.get(exchange)

    def is_bound(self, queue: str) -> bool:
        """Return whether a queue has a binding to an exchange with a name."""
        return any(
            binding.destination == queue and not binding.to_exchange
            for bindings in list(self._bindings.values()) for binding in list(bindings)
        )

    def queues_for(self, exchange: str, key: str, headers: Mapping | None) -> list[str] | None:
        """Return the queues that a message goes to; None if the exchange's declaration was not seen."""
        if not exchange:
            return [key]
        if exchange not in self._types:
            return None
        return list(self._reached(exchange, key, headers or {}, set()))

    def queues_of(self, published: Carrying[spec.Basic.Publish]) -> tuple[str, ...] | None:
        """Return the queues that a ``Basic.Publish`` put its message into; None if that is not known."""
        method = published.method
        if not method.exchange and not method.routing_key.startswith(DIRECT_REPLY_TO):
            if method.routing_key in self.queues:
                return (method.routing_key,)
            return () if self._complete or method.routing_key in self._missing else None
        found = self.queues_for(method.exchange, method.routing_key, published.properties.headers)
        return None if found is None else tuple(found)

    def dead_letter_queues(self, queue: str, key: str, headers: Mapping | None) -> list[str]:
        """Return the queues that a message is dead-lettered to; none if it is then dropped."""
        declared = self.queues.get(queue)
        if declared is None or "x-dead-letter-exchange" not in declared.arguments:
            return []
        key = declared.arguments.get("x-dead-letter-routing-key", key)
        return self.queues_for(declared.arguments["x-dead-letter-exchange"], key, headers) or []

    def _reached(self, exchange: str, key: str, headers: Mapping, passed: set[str]) -> dict[str, None]:
        """Collect the queues behind an exchange, each once, as the broker does."""
        passed.add(exchange)
        queues: dict[str, None] = {}
        for binding in self._bindings.get(exchange, ()):
            if not takes(self._types[exchange], binding, key, headers):
                continue
            if not binding.to_exchange:
                queues[binding.destination] = None
            elif binding.destination in self._types and binding.destination not in passed:
                queues |= self._reached(binding.destination, key, headers, passed)
        return queues

    def _applied(self, channel: Channel, answer: Method | None) -> list[Emptied]:
        """Apply the channel's first open command: the broker answers commands in their order."""
        if not self._asked.get(channel):
            return []
        asked = self._asked[channel].popleft()
        return _REQUESTS[type(asked)](self, asked, channel, answer) or []

    def _unanswered(self, channel: Channel) -> list[Emptied]:
        """Apply the commands that ask for no answer, up to one that waits for its own."""
        emptied = []
        while self._asked.get(channel) and getattr(self._asked[channel][0], "nowait", False):
            emptied += self._applied(channel, None)
        return emptied

    def _declare(self, asked: spec.Queue.Declare, channel: Channel, answer: spec.Queue.DeclareOk | None) -> None:
        name = answer.queue if answer else asked.queue
        self._missing.pop(name, None)
        self._last_declared[channel] = name
        if name not in self.queues or not asked.passive:
            owner = channel[0] if asked.exclusive else None
            self.queues[name] = DeclaredQueue(name, owner, asked.arguments or {})
        if len(self.queues) > MOST_DECLARED:
            self._complete = False
            self.forget(next(iter(self.queues)))

    def _declare_exchange(self, asked: spec.Exchange.Declare, channel: Channel, answer: object) -> None:
        if not asked.passive:
            self._types[asked.exchange] = asked.type
        if len(self._types) > MOST_DECLARED:
            self._forget_exchange(next(name for name in self._types if name not in PREDECLARED))

    def _bind(self, asked: spec.Queue.Bind | spec.Exchange.Bind, channel: Channel, answer: object) -> None:
        binding = self._binding(asked, channel)
        exchange = _source(asked)
        if binding not in self._bindings[exchange]:
            self._bindings[exchange].append(binding)

    def _unbind(self, asked: spec.Queue.Unbind | spec.Exchange.Unbind, channel: Channel, answer: object) -> None:
        binding = self._binding(asked, channel)
        exchange = _source(asked)
        if binding in self._bindings[exchange]:
            self._bindings[exchange].remove(binding)

    def _binding(self, asked: BindingOf, channel: Channel) -> Binding:
        arguments = tuple(sorted((asked.arguments or {}).items()))
        if isinstance(asked, spec.Exchange.Bind | spec.Exchange.Unbind):
            return Binding(asked.destination, True, asked.routing_key, arguments)
        return Binding(self.queue_meant(asked, channel), False, asked.routing_key, arguments)

    def queue_meant(self, asked: OfQueue, channel: Channel) -> str:
        """Return the queue of a method; without a name it is the one that the channel declared last."""
        return asked.queue or self._last_declared.get(channel, "")

    def _purge(self, asked: spec.Queue.Purge, channel: Channel, answer: object) -> list[Emptied]:
        return [Emptied(self.queue_meant(asked, channel), deleted=False)]

    def _delete(self, asked: spec.Queue.Delete, channel: Channel, answer: object) -> list[Emptied]:
        return [self.forget(self.queue_meant(asked, channel))]

    def _delete_exchange(self, asked: spec.Exchange.Delete, channel: Channel, answer: object) -> None:
        self._forget_exchange(asked.exchange)

    def _forget_exchange(self, exchange: str) -> None:
        self._types.pop(exchange, None)
        self._bindings.pop(exchange, None)
        self._unbind_from_all(exchange, is_exchange=True)

    def forget(self, queue: str) -> Emptied:
        """Record that a queue was deleted, with its bindings."""
        self.queues.pop(queue, None)
        self._unbind_from_all(queue, is_exchange=False)
        return Emptied(queue, deleted=True)

    def _unbind_from_all(self, destination: str, *, is_exchange: bool) -> None:
        for exchange, bindings in list(self._bindings.items()):
            bindings[:] = [one for one in bindings if (one.destination, one.to_exchange) != (destination, is_exchange)]
            if not bindings:
                del self._bindings[exchange]

    def _connection_ended(self, link: int) -> list[Emptied]:
        """Forget a connection's open commands, and delete its exclusive queues."""
        for known in (self._asked, self._last_declared):
            for channel in [channel for channel in known if channel[0] == link]:
                del known[channel]
        return [self.forget(queue.name) for queue in list(self.queues.values()) if queue.owner == link]


def _source(asked: BindingOf) -> str:
    return asked.source if isinstance(asked, spec.Exchange.Bind | spec.Exchange.Unbind) else asked.exchange


_REQUESTS: dict[type, Callable[[Routing, Any, Channel, Any], list[Emptied] | None]] = {
    spec.Queue.Declare: Routing._declare,
    spec.Queue.Bind: Routing._bind,
    spec.Queue.Unbind: Routing._unbind,
    spec.Queue.Purge: Routing._purge,
    spec.Queue.Delete: Routing._delete,
    spec.Exchange.Declare: Routing._declare_exchange,
    spec.Exchange.Delete: Routing._delete_exchange,
    spec.Exchange.Bind: Routing._bind,
    spec.Exchange.Unbind: Routing._unbind,
}
_ANSWERS = {
    spec.Queue.DeclareOk, spec.Queue.BindOk, spec.Queue.UnbindOk, spec.Queue.PurgeOk, spec.Queue.DeleteOk,
    spec.Exchange.DeclareOk, spec.Exchange.DeleteOk, spec.Exchange.BindOk, spec.Exchange.UnbindOk,
}
_CONCERNING = {*_REQUESTS, *_ANSWERS, spec.Channel.Close, type(None)}
