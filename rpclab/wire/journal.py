"""What connections did besides moving messages: what they declared, consumed and limited, and how they ended."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from pika import spec

from rpclab.wire.events import Event
from rpclab.wire.records import BROKER_GONE, BY_BROKER, BY_CLIENT, CLIENT_GONE, Connection, Consumer, Declared, Refusal
from rpclab.wire.routing import Channel

# Below are the codes of an end in order: 200, and 0 from some clients.
FIRST_ERROR = 300
# How many of each kind are remembered; the oldest go first.
KEPT = 2_000


def _kept() -> deque[Any]:
    return deque(maxlen=KEPT)


@dataclass(eq=False)
class Journal:
    """Records what the connections of a tap do, from the tap's beginning.

    Attributes
    ----------
    declared, refusals : deque
        In order; see `Declared` and `Refusal`.
    opened : deque of tuple
        The number of a connection and the time, for each channel that it opened.
    bound : deque of tuple
        Exchange, routing key and queue of each binding.
    elsewhere : dict of str to int
        How many consumers a queue has that do not go through the tap, as far as the broker has said so.
    complete : bool
        Whether all programs of the virtual host go through the tap; see `rpclab.wire.registry.Registry`.
    """

    declared: deque[Declared] = field(default_factory=_kept)
    refusals: deque[Refusal] = field(default_factory=_kept)
    opened: deque[tuple[int, float]] = field(default_factory=_kept)
    bound: deque[tuple[str, str, str]] = field(default_factory=_kept)
    elsewhere: dict[str, int] = field(default_factory=dict)
    complete: bool = True

    def __post_init__(self) -> None:
        self._open: dict[int, Connection] = {}
        self._consuming: dict[tuple[int, int, str], Consumer] = {}
        self._getting: OrderedDict[tuple[int, int, str], Consumer] = OrderedDict()
        self._ended: deque[Connection] = _kept()
        self._ended_consumers: deque[Consumer] = _kept()
        self._prefetch: dict[Channel, int] = {}
        self._asked: dict[int, spec.Queue.Declare] = {}

    @property
    def connections(self) -> list[Connection]:
        """The connections, those that have ended first."""
        return [*list(self._ended), *list(self._open.values())]

    @property
    def consumers(self) -> list[Consumer]:
        """The consumers, those that have ended first."""
        return [
            *list(self._ended_consumers), *list(self._consuming.values()), *list(self._getting.values()),
        ]

    def take(self, event: Event) -> None:
        """Record an event, if it is one that matters here; messages and acknowledgements are a story's."""
        if step := _STEPS.get(type(event.method)):
            step(self, event, (event.link.number, event.channel))

    def consumes(self, event: Event, channel: Channel, tag: str, queue: str, auto_ack: bool) -> None:
        """Record that a channel consumes from a queue, or gets from it, which has no consumer tag."""
        consumer = Consumer(
            channel[0], channel[1], queue, auto_ack, self._prefetch.get(channel, 0), event.time, gets=not tag,
        )
        if tag:
            self._consuming[channel[0], channel[1], tag] = consumer
        else:
            self._getting.setdefault((channel[0], channel[1], queue), consumer)
            if len(self._getting) > KEPT:
                self._getting.popitem(last=False)

    def declares(self, event: Event, asked: spec.Queue.Declare, queue: str, elsewhere: int = 0) -> None:
        """Record a declaration that was granted; one that only asks for the queue says nothing of how it is."""
        self.elsewhere.pop(queue, None)
        if elsewhere > 0:
            self.elsewhere[queue] = elsewhere
            if len(self.elsewhere) > KEPT:
                del self.elsewhere[next(iter(self.elsewhere))]
        if not asked.passive:
            self.declared.append(Declared(
                queue, bool(asked.durable), bool(asked.exclusive), bool(asked.auto_delete), asked.arguments or {},
                event.link.number, event.time, not asked.queue,
            ))

    def to_dict(self, moment: Callable[[float | None], float | None]) -> dict:
        """Return it as plain data, with times as ``moment`` gives them."""
        written: dict[str, Any] = {
            name: [
                {key: moment(value) if key in _TIMES else value for key, value in asdict(entry).items()}
                for entry in list(getattr(self, name))
            ]
            for name in _KINDS
        }
        written["opened"] = [[link, moment(time)] for link, time in list(self.opened)]
        return {**written, "bound": list(self.bound), "elsewhere": dict(self.elsewhere), "complete": self.complete}

    @classmethod
    def from_dict(cls, data: dict, moment: Callable[[float | None], float | None]) -> Journal:
        """Return the journal that `to_dict` wrote."""
        journal = cls(elsewhere=data["elsewhere"], complete=data["complete"])
        kept: tuple[deque[Any], ...] = (journal._ended, journal._ended_consumers, journal.declared, journal.refusals)
        for (name, kind), entries in zip(_KINDS.items(), kept, strict=True):
            entries.extend(
                kind(**{key: moment(value) if key in _TIMES else value for key, value in entry.items()})
                for entry in data[name]
            )
        journal.opened.extend((link, float(moment(time) or 0)) for link, time in data["opened"])
        journal.bound.extend((exchange, key, queue) for exchange, key, queue in data["bound"])
        return journal

    def _named(self, event: Event[spec.Connection.StartOk], channel: Channel) -> None:
        link = event.link
        self._open[link.number] = Connection(link.number, link.name, link.pid, event.time)

    def _tuned(self, event: Event[spec.Connection.TuneOk], channel: Channel) -> None:
        if channel[0] in self._open:
            self._open[channel[0]].heartbeat = event.method.heartbeat or 0

    def _channel_opened(self, event: Event, channel: Channel) -> None:
        self._prefetch.pop(channel, None)
        self.opened.append((channel[0], event.time))

    def _limited(self, event: Event[spec.Basic.Qos], channel: Channel) -> None:
        self._prefetch[channel] = event.method.prefetch_count
        for key, consumer in self._consuming.items():
            if key[:2] == channel and event.method.global_qos:
                consumer.prefetch = event.method.prefetch_count  # one limit for all of the channel
            elif key[:2] == channel:
                consumer.prefetch_after = event.method.prefetch_count

    def _asks(self, event: Event[spec.Queue.Declare], channel: Channel) -> None:
        self._asked[channel[0]] = event.method

    def _binds(self, event: Event[spec.Queue.Bind], channel: Channel) -> None:
        entry = (event.method.exchange, event.method.routing_key, event.method.queue)
        if entry not in self.bound:
            self.bound.append(entry)

    def _deletes(self, event: Event[spec.Queue.Delete], channel: Channel) -> None:
        for key, consumer in self._consuming.items():
            consumer.cancelled |= key[0] == channel[0] and consumer.queue == event.method.queue

    def _cancelled(self, event: Event[spec.Basic.Cancel], channel: Channel) -> None:
        if consumer := self._consuming.pop((*channel, event.method.consumer_tag), None):
            consumer.ended = event.time
            consumer.cancelled |= event.from_client
            consumer.cancelled_by_broker = not consumer.cancelled
            self._ended_consumers.append(consumer)

    def _channel_closed(self, event: Event[spec.Channel.Close], channel: Channel) -> None:
        self._refused(event, event.channel)
        self._end_consumers(event, channel)
        self._prefetch.pop(channel, None)

    def _connection_closed(self, event: Event[spec.Connection.Close], channel: Channel) -> None:
        self._refused(event, 0)
        self._end(event, BY_CLIENT if event.from_client else BY_BROKER)

    def _gone(self, event: Event[None], channel: Channel) -> None:
        if event.link.disorder:
            self.refusals.append(Refusal(channel[0], 0, event.time, 505, f"UNEXPECTED_FRAME - {event.link.disorder}"))
        self._end(event, CLIENT_GONE if event.from_client else BROKER_GONE)
        self._asked.pop(channel[0], None)
        for key in [key for key in self._prefetch if key[0] == channel[0]]:
            del self._prefetch[key]

    def _end(self, event: Event, how: str) -> None:
        if connection := self._open.pop(event.link.number, None):
            connection.ended, connection.end = event.time, how
            self._ended.append(connection)
            connection.silence = max(0.0, event.time - event.link.heard) if event.link.heard else 0.0
        self._end_consumers(event, (event.link.number,))

    def _end_consumers(self, event: Event, where: Channel | tuple[int]) -> None:
        for known in (self._consuming, self._getting):
            for key in [key for key in known if key[: len(where)] == where]:
                consumer = known.pop(key)
                consumer.ended = event.time
                self._ended_consumers.append(consumer)

    def _refused(self, event: Event[spec.Channel.Close | spec.Connection.Close], channel: int) -> None:
        method, asked = event.method, self._asked.get(event.link.number)
        if event.from_client and (method.reply_code or 0) < FIRST_ERROR:
            return
        command: Any = spec.methods.get(method.class_id << 16 | method.method_id)
        self.refusals.append(Refusal(
            event.link.number, channel, event.time, method.reply_code, method.reply_text,
            command.NAME if command else "", asked.queue if asked else "", bool(asked and asked.passive),
            event.from_client,
        ))


_KINDS: dict[str, type] = {
    "connections": Connection, "consumers": Consumer, "declared": Declared, "refusals": Refusal,
}
_TIMES = ("opened", "ended", "begun", "time")
_STEPS: dict[type, Callable[[Journal, Event[Any, Any], Channel], None]] = {
    spec.Connection.StartOk: Journal._named,
    spec.Connection.TuneOk: Journal._tuned,
    spec.Connection.Close: Journal._connection_closed,
    spec.Channel.Open: Journal._channel_opened,
    spec.Channel.Close: Journal._channel_closed,
    spec.Queue.Declare: Journal._asks,
    spec.Queue.Bind: Journal._binds,
    spec.Queue.Delete: Journal._deletes,
    spec.Basic.Qos: Journal._limited,
    spec.Basic.Cancel: Journal._cancelled,
    type(None): Journal._gone,
}
