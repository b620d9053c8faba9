"""A story and its journal in the order in which rules need them."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable
from difflib import get_close_matches
from functools import cached_property
from math import inf
from typing import TypeVar

from rpclab.findings.rule import Evidence
from rpclab.rpc.protocol import DIRECT_REPLY_TO
from rpclab.story.story import Story
from rpclab.wire.messages import ACKED, AUTO_ACKED, HELD, MESSAGE, PUBLISHED, REPLY, REQUEST, Delivery, Message
from rpclab.wire.records import Connection, Consumer, Declared, Refusal
from rpclab.wire.registry import SERVER_NAMED
from rpclab.wire.routing import Channel

# While a story goes on, what may still be on its way is given this many seconds.
GRACE_SECONDS = 1.0

Given = tuple[Message, Delivery]
K = TypeVar("K")
V = TypeVar("V")


class Case:
    """What the rules look at.

    Attributes
    ----------
    messages : list of Message
        In the order of their numbers.
    now : float
        What the story's states refer to.
    begun : float
        When the story began, as far back as it remembers. What was delivered before is not known.
    due : float
        What happened before this time, anything that follows from it would have followed.
    """

    def __init__(self, story: Story, last: int | None = None):
        self.messages = story.messages[-last:] if last else story.messages
        self.now = story.now
        self.due = self.now if story.end else self.now - GRACE_SECONDS
        forgotten = bool(self.messages) and self.messages[0].number > 1
        self.begun = max(story.begun, self.messages[0].time) if forgotten else story.begun
        self.shown = story.shown
        self._journal = story.journal
        seen = [one.link for message in self.messages for one in message.deliveries if one.link]
        self._names = {link.number: link.name for link in seen} | {
            one.number: one.name for one in story.journal.connections
        }

    @cached_property
    def requests(self) -> list[Message]:
        """The requests, those that are sent again among them, but for what asks in the callback queue of a client."""
        asking = [message for message in self.messages if message.kind == REQUEST]
        callback = {message.properties.reply_to for message in asking}
        return [message for message in asking if message.exchange or message.routing_key not in callback]

    @cached_property
    def replies(self) -> list[Message]:
        """The messages that answer a request."""
        return [message for message in self.messages if message.kind == REPLY]

    @cached_property
    def asked(self) -> dict[str, list[Message]]:
        """The requests by the queue that their replies should go to; those with direct reply-to are not in it."""
        asking = ((request.properties.reply_to, request) for request in self.requests)
        return dict(grouped(one for one in asking if not one[0].startswith(DIRECT_REPLY_TO)))

    @cached_property
    def published_to(self) -> dict[str, list[Message]]:
        """The messages by the queues that they were put into."""
        return dict(grouped((queue, message) for message in self.messages for queue in message.places))

    @cached_property
    def published(self) -> dict[int, list[Message]]:
        """The messages that each connection published, in their order."""
        return dict(grouped((self.link_of(one), one) for one in self.messages if one.publisher is not None))

    @cached_property
    def given(self) -> dict[int, list[Given]]:
        """The deliveries of each connection, in their order."""
        found = grouped(
            (delivery.link.number, (message, delivery))
            for message in self.messages for delivery in message.deliveries if delivery.link
        )
        return {link: sorted(given, key=lambda one: one[1].time) for link, given in found}

    @cached_property
    def strays(self) -> dict[int, Message]:
        """The messages to a callback queue that answer no request, by number."""
        return {
            message.number: message for message in self.messages
            if message.kind == MESSAGE and not message.exchange and message.routing_key in self.asked
        }

    @cached_property
    def unanswered(self) -> dict[int, list[Given]]:
        """The requests that each connection has acknowledged, and that no program has answered or passed on.

        Of requests that look the same and have no id, none shows which one was answered.
        """
        alike = Counter((one.routing_key, one.body, one.properties.correlation_id) for one in self.requests)
        open_ones = {
            one.number for one in self.requests if not self.answers(one)
            and (one.properties.correlation_id or alike[one.routing_key, one.body, None] == 1)
        }
        found = {
            link: [
                (message, one) for message, one in given
                if message.number in open_ones and one.outcome in (ACKED, AUTO_ACKED)
                and (one.settled or 0) <= self.due and not self.passed_on(link, one)
            ]
            for link, given in self.given.items()
        }
        return {link: given for link, given in found.items() if given}

    @cached_property
    def consumers(self) -> dict[str, list[Consumer]]:
        """The consumers of each queue, also those that have ended."""
        return dict(grouped((consumer.queue, consumer) for consumer in self._journal.consumers))

    @cached_property
    def cancelled_by_broker(self) -> list[Consumer]:
        """The consumers that the broker cancelled while the story was recorded."""
        ended = (one for one in self._journal.consumers if one.cancelled_by_broker)
        return [one for one in ended if self.begun <= (one.ended or 0) <= self.now]

    @cached_property
    def declared(self) -> dict[str, Declared]:
        """The last declaration of each queue."""
        return {one.queue: one for one in list(self._journal.declared)}

    @cached_property
    def connections(self) -> dict[int, Connection]:
        """The connections by number, also those that have ended."""
        return {one.number: one for one in self._journal.connections}

    @cached_property
    def refusals(self) -> list[Refusal]:
        """What was refused while the story was recorded, but for what ended because the broker was stopped."""
        return [one for one in list(self._journal.refusals) if self.begun <= one.time <= self.now and one.code != 320]

    @cached_property
    def channels_opened(self) -> dict[int, list[float]]:
        """When each connection opened its channels."""
        return dict(grouped(list(self._journal.opened)))

    @cached_property
    def bindings(self) -> list[tuple[str, str, str]]:
        """Exchange, routing key and queue of each binding."""
        return list(self._journal.bound)

    def link_of(self, message: Message) -> int:
        """Return the number of the connection that published a message; 0 if that was not seen."""
        return next((step.link for step in message.steps if step.what == PUBLISHED), 0)

    def name(self, link: int) -> str:
        """Return the name of the connection with a number."""
        return self._names.get(link, f"connection {link}")

    def sent(self, link: int, begin: float, end: float) -> list[Message]:
        """Return what a connection published between two times."""
        published = self.published.get(link, [])
        first, last = (bisect_right(published, time, key=lambda one: one.time) for time in (begin, end))
        return published[first:last]

    def ended(self, given: Delivery) -> float | None:
        """Return when the channel of a delivery ended, or its connection; None if neither has."""
        link, channel = of_channel(given)
        connection = self.connections.get(link)
        ends = [connection.ended if connection else None] + [
            one.ended for one in self.consumers.get(given.queue, ())
            if (one.link, one.channel) == (link, channel) and not (one.cancelled or one.cancelled_by_broker)
        ]
        return min((end for end in ends if end is not None and given.time <= end <= self.due), default=None)

    def passed_on(self, link: int, given: Delivery) -> bool:
        """Return whether a connection sent a request while it had a delivery: to another service, or to try again."""
        return any(one.kind == REQUEST for one in self.sent(link, given.time, min(settled(given), self.now)))

    def read(self, queue: str) -> bool:
        """Return whether a queue has a consumer now, or a client that gets from it, or may have one."""
        return self._may_be_read(queue) or any(one.ended is None for one in self.consumers.get(queue, ()))

    def _may_be_read(self, queue: str) -> bool:
        """Return whether a queue has consumers that do not go through the tap, as far as that is known."""
        elsewhere = self._journal.elsewhere.get(queue)
        if elsewhere is None:
            return not (self._journal.complete or queue in self.declared)
        return elsewhere > 0

    def was_read(self, queue: str) -> bool:
        """Return whether a queue ever had a consumer, or a client that got from it."""
        given = any(one.was_in(queue) for one in self.published_to.get(queue, ()))
        return given or self._may_be_read(queue) or bool(self.consumers.get(queue))

    def waiting(self, queue: str) -> list[Message]:
        """Return the messages that have been ready in a queue since `due`."""
        return [
            one for one in self.published_to.get(queue, ())
            if one.time <= self.due and one.waits_in(queue) and one.state(self.now) in ("waiting", "waiting again")
            and not one.replies  # which a server that is not seen has taken
        ]

    def answers(self, request: Message) -> list[Message]:
        """Return all replies to a request, also those to the requests that repeat it."""
        return [*request.replies, *(request.repeats.replies if request.repeats else ())]

    def nearest(self, queue: str) -> str:
        """Return a sentence that names the queue whose name is nearest to one that does not exist; empty if none is."""
        names = [name for name in self.declared if not name.startswith((SERVER_NAMED, "amq.")) and name != queue]
        lower = {name.lower(): name for name in names}
        near = get_close_matches(queue.lower(), lower, n=1)
        return f" The nearest name of a queue that exists is {lower[near[0]]!r}." if near else ""

    def saw(self, messages: Iterable[Message]) -> list[Evidence]:
        """Return messages as evidence: where they were published, and what became of them."""
        return [Evidence(self.sentence(message), message.number) for message in messages]

    def sentence(self, message: Message) -> str:
        """Return in a line what was seen of a message."""
        where = f"exchange {message.exchange}" if message.exchange else f"queue {self.shown(message.routing_key)}"
        said = f"{self.called(message)} from {message.publisher or 'an unseen publisher'} to {where}"
        to = ", ".join(dict.fromkeys(delivery.to for delivery in message.deliveries))
        return f"{said}: {message.state(self.now)}{f', delivered to {to}' if to else ''}"

    def called(self, message: Message) -> str:
        """Return a message's name and body."""
        return f"{message.name} {message.text()!r}" if message.body else message.name

    def broken(self, refusal: Refusal) -> Evidence:
        """Return a channel or connection that was closed because of an error as evidence."""
        closer = self.name(refusal.link) if refusal.by_client else "the broker"
        what = f"channel {refusal.channel} of " if refusal.channel else ""
        by = f", because of {refusal.command}" if refusal.command else ""
        return Evidence(f"{closer} closed {what}{self.name(refusal.link)}{by}: {refusal.code} {refusal.text}")

    def step(self, message: Message, what: str, who: str, time: float) -> Evidence:
        """Return a step of a message as evidence; of two alike, the one nearest to a time."""
        alike = [one for one in message.steps if one.what == what and one.who == who]
        step = min(alike, key=lambda one: abs(one.time - time), default=None)
        verb = f"{who} published" if what == PUBLISHED else f"{who}, {what}:"
        return Evidence(f"{verb} {self.called(message)}", message.number, step.order if step else None)


def of_channel(delivery: Delivery) -> Channel:
    """Return the connection and the channel of a delivery."""
    return (delivery.link.number if delivery.link else 0), delivery.channel


def settled(delivery: Delivery) -> float:
    """Return when a delivery was settled; infinity if it is not."""
    return inf if delivery.settled is None or delivery.outcome == HELD else delivery.settled


def same_program(one: str, other: str) -> bool:
    """Return whether two names of connections differ in their numbers alone."""
    return one.rstrip("0123456789 ") == other.rstrip("0123456789 ")


def grouped(pairs: Iterable[tuple[K, V]]) -> list[tuple[K, list[V]]]:
    """Return each key with its values."""
    found: defaultdict[K, list[V]] = defaultdict(list)
    for key, value in pairs:
        found[key].append(value)
    return list(found.items())


def counted(count: int, noun: str) -> str:
    """Return a number with its noun: ``1 message``, ``2 messages``, ``2 replies``."""
    plural = f"{noun[:-1]}ies" if noun.endswith("ly") else f"{noun}s"
    return f"{count} {noun if count == 1 else plural}"
