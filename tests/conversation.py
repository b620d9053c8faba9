"""Connections that one can make up, method by method, and the story that they tell."""

from __future__ import annotations

import itertools

from pika import BasicProperties, spec

from rpclab.story.story import Story
from rpclab.wire.events import Event, Link
from rpclab.wire.registry import Registry


class Wire:
    """A registry and a story that follow some connections; each event comes a little after the last."""

    def __init__(self, *, seconds_between: float = 0.01, **options):
        self.registry = Registry()
        self.story = Story(self.registry.shown, journal=self.registry.journal, **options)
        self.time = 0.0
        self._seconds_between = seconds_between
        self._numbers = itertools.count(1)

    def peer(self, name: str, pid: int | None = None) -> Peer:
        return Peer(self, Link(next(self._numbers), name), pid)

    def pass_on(self, link: Link, channel: int, from_client: bool, method, *content) -> Event:
        self.time = round(self.time + self._seconds_between, 6)
        event = self.registry.take(Event(self.time, link, channel, from_client, method, *content))
        self.story.take(event)
        self.story.end = self.time
        return event


class Peer:
    """One connection."""

    def __init__(self, wire: Wire, link: Link, pid: int | None):
        self._wire, self._link = wire, link
        self._tags = itertools.count(1)
        link.pid = pid
        self.says(spec.Connection.StartOk(client_properties={"connection_name": link.name}), channel=0)

    def says(self, method, *content, channel: int = 1) -> None:
        self._wire.pass_on(self._link, channel, True, method, *content)

    def hears(self, method, *content, channel: int = 1) -> None:
        self._wire.pass_on(self._link, channel, False, method, *content)

    def publishes(
        self, key: str, body: str | bytes = "", *, exchange: str = "", mandatory: bool = False, channel: int = 1,
        **properties,
    ) -> None:
        method = spec.Basic.Publish(exchange=exchange, routing_key=key, mandatory=mandatory)
        self.says(method, *_content(body, properties), channel=channel)

    def consumes(self, queue: str, *, auto_ack: bool = False, channel: int = 1) -> None:
        self.says(spec.Basic.Consume(queue=queue, no_ack=auto_ack), channel=channel)
        self.hears(spec.Basic.ConsumeOk(consumer_tag=queue), channel=channel)

    def declares(self, queue: str, **arguments: str) -> None:
        given = {name.replace("_", "-"): value for name, value in arguments.items()}
        self.says(spec.Queue.Declare(queue=queue, durable=True, arguments=given))
        self.hears(spec.Queue.DeclareOk(queue=queue))

    def declares_its_own(self, queue: str) -> None:
        self.says(spec.Queue.Declare(queue="", exclusive=True))
        self.hears(spec.Queue.DeclareOk(queue=queue))

    def gets(
        self, queue: str, body: str | bytes = "", *, exchange: str = "", key: str | None = None,
        redelivered: bool = False, channel: int = 1, **properties,
    ) -> int:
        """Have a message delivered and return its delivery tag."""
        tag = next(self._tags)
        method = spec.Basic.Deliver(
            consumer_tag=queue, delivery_tag=tag, redelivered=redelivered, exchange=exchange,
            routing_key=queue if key is None else key,
        )
        self.hears(method, *_content(body, properties), channel=channel)
        return tag

    def acks(self, tag: int, *, multiple: bool = False, channel: int = 1) -> None:
        self.says(spec.Basic.Ack(delivery_tag=tag, multiple=multiple), channel=channel)

    def limits(self, prefetch: int, *, channel: int = 1) -> None:
        self.says(spec.Basic.Qos(prefetch_count=prefetch), channel=channel)

    def gives_back(self, tag: int, *, channel: int = 1) -> None:
        self.says(spec.Basic.Nack(delivery_tag=tag, requeue=True), channel=channel)

    def is_refused(self, method: type, code: int, text: str, *, channel: int = 1) -> None:
        """Have the broker close the channel, or the connection if it is channel 0, because of a method."""
        kind = spec.Channel.Close if channel else spec.Connection.Close
        self.hears(kind(code, text, method.INDEX >> 16, method.INDEX & 0xFFFF), channel=channel)

    def closes(self) -> None:
        self.says(spec.Connection.Close(reply_code=200), channel=0)
        self.ends()

    def ends(self) -> None:
        self._wire.pass_on(self._link, 0, True, None)

    def is_given_up(self, *, heartbeat: int, silence: float) -> None:
        """Have the broker end the TCP connection, some seconds after the client's last byte."""
        self.says(spec.Connection.TuneOk(heartbeat=heartbeat), channel=0)
        self._link.heard = self._wire.time
        self._wire.time += silence
        self._wire.pass_on(self._link, 0, False, None)


def _content(body: str | bytes, properties: dict) -> tuple:
    data = body.encode() if isinstance(body, str) else body
    return BasicProperties(**properties), data, len(data)
