"""The surroundings of messages at one moment: queues, exchanges, consumers, connections, and processes."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from types import MappingProxyType
from typing import NamedTuple

from pika import spec

from rpclab.wire.events import Event
from rpclab.wire.registry import Registry
from rpclab.wire.routing import DeclaredQueue, Emptied, Routing

_NOTHING: Mapping = MappingProxyType({})
# These change the consumers and connections.
_CONSUMERS_CHANGE = (
    spec.Connection.StartOk, spec.Basic.Consume, spec.Basic.ConsumeOk, spec.Basic.Cancel, spec.Channel.Close,
    type(None), spec.Queue.Declare, spec.Queue.DeclareOk,
)


class World(NamedTuple):
    """The surroundings at a moment; immutable, so that many moments can share one.

    Attributes
    ----------
    queues : mapping of str to DeclaredQueue
        The declared queues, by their real names.
    exchanges : mapping of str to str or None
        The types of the declared exchanges; None before the broker has confirmed one, and when it was deleted.
    consumers : tuple of (str, str)
        Each queue with the name of each connection that consumes from it.
    connected : frozenset of str or None
        The names of the open connections; None if unknown.
    processes : mapping of str to str
        The states of processes, if they are reported: ``running``, ``paused``, ``dead``, ...
    """

    queues: Mapping[str, DeclaredQueue] = _NOTHING
    exchanges: Mapping[str, str | None] = _NOTHING
    consumers: tuple[tuple[str, str], ...] = ()
    connected: frozenset[str] | None = None
    processes: Mapping[str, str] = _NOTHING


class Watcher:
    """Follows declarations, consumers and connections, event by event.

    Attributes
    ----------
    routing : Routing
        The declarations and bindings.
    world : World
        The present surroundings.
    """

    def __init__(self) -> None:
        self.routing = Routing()
        self.world = World(connected=frozenset())
        self._registry = Registry()
        self._links: dict[int, str] = {}

    def concerns(self, event: Event) -> bool:
        """Return whether `take` uses an event."""
        return type(event.method) in _CONSUMERS_CHANGE or self.routing.concerns(event)

    def take(self, event: Event) -> list[Emptied]:
        """Take an event, and return the queues that lost messages."""
        if isinstance(event.method, spec.Connection.StartOk):
            self._links[event.link.number] = event.link.name
        elif event.method is None:
            self._links.pop(event.link.number, None)
        if type(event.method) in _CONSUMERS_CHANGE:
            # A registry writes its knowledge of queues into an event, and the tap's registry has done so.
            self._registry.take(copy(event))
        emptied = self.routing.take(event) if self.routing.concerns(event) else []
        self.world = self.world._replace(
            queues=dict(self.routing.queues),
            exchanges={name: self.routing.exchange_type(name) for name in self._exchanges(event)},
            consumers=tuple(
                (queue.name, name) for queue in self.routing.queues.values()
                for name in self._registry.consuming(queue.name)
            ),
            connected=frozenset(self._links.values()),
        )
        return emptied

    def note_processes(self, processes: Mapping[str, str]) -> bool:
        """Record the states of processes; return whether they changed."""
        if processes == self.world.processes:
            return False
        self.world = self.world._replace(processes=dict(processes))
        return True

    def _exchanges(self, event: Event) -> dict[str, None]:
        known = dict.fromkeys(self.world.exchanges)
        if isinstance(event.method, spec.Exchange.Declare):
            known[event.method.exchange] = None
        return known
