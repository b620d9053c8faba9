"""Which queues a message goes to, by the exchanges, queues and bindings that were seen being declared.

The broker does not say where it puts a message until somebody gets it. Its rules are those of
https://www.rabbitmq.com/docs/exchanges and https://www.rabbitmq.com/docs/dlx.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from pika import spec

from rpclab.rpc.queues import DIRECT_REPLY_TO
from rpclab.wire.bindings import Binding, takes
from rpclab.wire.frames import Event

PREDECLARED = {
    "amq.direct": "direct", "amq.fanout": "fanout", "amq.topic": "topic", "amq.headers": "headers",
    "amq.match": "headers",
}


class Emptied(NamedTuple):
    """A queue that lost its messages, as it is shown and as the broker knows it; the ready ones only, or all."""

    queue: str
    real_name: str
    deleted: bool


@dataclass(frozen=True)
class DeclaredQueue:
    """What a queue's declaration said.

    Attributes
    ----------
    name, real_name : str
        As it is shown, and as the broker knows it.
    owner : int or None
        The number of the connection that it is exclusive to.
    arguments : mapping
        As they were declared.
    """

    name: str
    real_name: str
    owner: int | None = None
    arguments: Mapping = field(default_factory=dict)

    @property
    def ttl(self) -> float | None:
        """For how many seconds a message may wait in it."""
        milliseconds = self.arguments.get("x-message-ttl")
        return None if milliseconds is None else milliseconds / 1000


class Routing:
    """Follows declarations, bindings and deletions.

    Parameters
    ----------
    shown : callable
        Turns a queue's name into the one that people are shown; all names here are of that kind.

    Attributes
    ----------
    queues : dict of str to DeclaredQueue
        Those that were seen being declared and not deleted.
    shown : callable
        As it was given.
    """

    def __init__(self, shown: Callable[[str], str]):
        self.queues: dict[str, DeclaredQueue] = {}
        self.shown = shown
        self._types = dict(PREDECLARED)
        self._bindings: defaultdict[str, list[Binding]] = defaultdict(list)
        self._asked: defaultdict[tuple, deque] = defaultdict(deque)
        self._last_declared: dict[tuple, str] = {}

    def take(self, event: Event) -> list[Emptied]:
        """Take note of an event, and return the queues that lost messages by it."""
        channel = event.link.number, event.channel
        if event.method is None:
            return self._connection_ended(event.link.number)
        if type(event.method) in _REQUESTS:
            self._asked[channel].append(event.method)
            return self._answered(event, channel, None) if getattr(event.method, "nowait", False) else []
        if type(event.method) in _ANSWERS:
            return self._answered(event, channel, event.method)
        if isinstance(event.method, spec.Channel.Close):
            self._asked.pop(channel, None)
        return []

    def concerns(self, event: Event) -> bool:
        """Tell whether `take` has any use for an event."""
        return type(event.method) in _CONCERNING

    def exchange_type(self, exchange: str) -> str | None:
        """Return an exchange's type, if its declaration was seen."""
        return self._types.get(exchange)

    def is_bound(self, queue: str) -> bool:
        """Tell whether a queue has a binding to an exchange with a name."""
        return any(
            binding.destination == queue and not binding.to_exchange
            for bindings in self._bindings.values() for binding in bindings
        )

    def queues_for(self, exchange: str, key: str, headers: Mapping | None) -> list[str] | None:
        """Return the queues that a message goes to; None if the exchange's declaration was not seen."""
        if not exchange:
            return [key]
        if exchange not in self._types:
            return None
        return list(self._reached(exchange, key, headers or {}, set()))

    def queues_of(self, published: Event) -> tuple[str, ...] | None:
        """Return the queues that a ``Basic.Publish`` put its message into; None if the exchange was not seen."""
        method = published.method
        if not method.exchange and not method.routing_key.startswith(DIRECT_REPLY_TO):
            name = self.shown(method.routing_key)
            return (name,) if name in self.queues else ()
        found = self.queues_for(method.exchange, method.routing_key, published.properties.headers)
        return None if found is None else tuple(map(self.shown, found))

    def dead_letter_queues(self, queue: str, key: str, headers: Mapping | None) -> list[str]:
        """Return the queues that a message goes to when this one gives it up; none if it is then gone."""
        declared = self.queues.get(queue)
        if declared is None or "x-dead-letter-exchange" not in declared.arguments:
            return []
        key = declared.arguments.get("x-dead-letter-routing-key", key)
        return self.queues_for(declared.arguments["x-dead-letter-exchange"], key, headers) or []

    def _reached(self, exchange: str, key: str, headers: Mapping, passed: set[str]) -> dict[str, None]:
        """Collect the queues behind an exchange, each once, as the broker does."""
        passed.add(exchange)
        queues: dict[str, None] = {}
        for binding in self._bindings[exchange]:
            if not takes(self._types[exchange], binding, key, headers):
                continue
            if not binding.to_exchange:
                queues[binding.destination] = None
            elif binding.destination in self._types and binding.destination not in passed:
                queues |= self._reached(binding.destination, key, headers, passed)
        return queues

    def _answered(self, event: Event, channel: tuple, answer) -> list[Emptied]:
        """Carry out what was asked for first on this channel: requests are answered in their order."""
        if not self._asked[channel]:
            return []
        asked = self._asked[channel].popleft()
        return _REQUESTS[type(asked)](self, asked, channel, answer) or []

    def _declare(self, asked, channel: tuple, answer) -> None:
        real_name = answer.queue if answer else asked.queue
        name = self.shown(real_name)
        self._last_declared[channel] = name
        if name not in self.queues or not asked.passive:
            owner = channel[0] if asked.exclusive else None
            self.queues[name] = DeclaredQueue(name, real_name, owner, asked.arguments or {})

    def _declare_exchange(self, asked, channel: tuple, answer) -> None:
        if not asked.passive:
            self._types[asked.exchange] = asked.type

    def _bind(self, asked, channel: tuple, answer) -> None:
        binding = self._binding(asked, channel)
        exchange = _source(asked)
        if binding not in self._bindings[exchange]:
            self._bindings[exchange].append(binding)

    def _unbind(self, asked, channel: tuple, answer) -> None:
        binding = self._binding(asked, channel)
        exchange = _source(asked)
        if binding in self._bindings[exchange]:
            self._bindings[exchange].remove(binding)

    def _binding(self, asked, channel: tuple) -> Binding:
        arguments = tuple(sorted((asked.arguments or {}).items()))
        if isinstance(asked, spec.Exchange.Bind | spec.Exchange.Unbind):
            return Binding(asked.destination, True, asked.routing_key, arguments)
        return Binding(self._queue_of(asked, channel), False, asked.routing_key, arguments)

    def _queue_of(self, asked, channel: tuple) -> str:
        """Return which queue is meant; without a name it is the one that the channel declared last."""
        return self.shown(asked.queue) if asked.queue else self._last_declared.get(channel, "")

    def _purge(self, asked, channel: tuple, answer) -> list[Emptied]:
        return [self._emptied(self._queue_of(asked, channel), deleted=False)]

    def _delete(self, asked, channel: tuple, answer) -> list[Emptied]:
        return [self.forget(self._queue_of(asked, channel))]

    def _delete_exchange(self, asked, channel: tuple, answer) -> None:
        self._types.pop(asked.exchange, None)
        self._bindings.pop(asked.exchange, None)

    def forget(self, queue: str) -> Emptied:
        """Take note that a queue is gone, with its bindings."""
        emptied = self._emptied(queue, deleted=True)
        self.queues.pop(queue, None)
        for bindings in self._bindings.values():
            bindings[:] = [binding for binding in bindings if binding.to_exchange or binding.destination != queue]
        return emptied

    def _emptied(self, queue: str, *, deleted: bool) -> Emptied:
        declared = self.queues.get(queue)
        return Emptied(queue, declared.real_name if declared else queue, deleted)

    def _connection_ended(self, link: int) -> list[Emptied]:
        """Forget what a connection asked for; its exclusive queues end with it."""
        for channel in [channel for channel in self._asked if channel[0] == link]:
            del self._asked[channel]
        return [self.forget(queue.name) for queue in list(self.queues.values()) if queue.owner == link]


def _source(asked) -> str:
    return asked.source if isinstance(asked, spec.Exchange.Bind | spec.Exchange.Unbind) else asked.exchange


_REQUESTS = {
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
