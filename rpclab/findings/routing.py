"""Rules on where messages go: to no queue, or to one without a consumer."""

from __future__ import annotations

import re
from difflib import get_close_matches

from rpclab.findings.case import Case, counted, grouped
from rpclab.findings.rule import ERROR, HINT, WARNING, Found, rule
from rpclab.rpc.protocol import DIRECT_REPLY_TO
from rpclab.wire.messages import REPLY, REQUEST, Message

# How long a message has to be in a queue for its loss in a restart to be worth a hint.
STAYS_SECONDS = 1.0
# Names of queues that people look into, and no program reads.
DEAD_LETTERS = re.compile(r"dead|dlq|dlx|quarantine|parking|poison|invalid", re.IGNORECASE)


def _went_nowhere(message: Message) -> bool:
    return (message.queues == () or bool(message.returned)) and not message.deliveries


@rule(
    "unroutable", ERROR,
    title="{count} published to queue {queue!r}, which does not exist",
    meaning="The broker {did}.{near}",
    cure="Declare the queue before you publish: channel.queue_declare({queue!r}, durable=True). With mandatory=True "
         "and confirms, the publisher is told.",
    see="lesson 01, Publishing; clinic, Unroutable",
)
def unroutable(case: Case) -> Found:
    lost = ((one.routing_key, one) for one in case.messages
            if one.kind != REPLY and not one.exchange and one.publisher is not None and _went_nowhere(one)
            and one.routing_key not in case.asked and not one.routing_key.startswith(DIRECT_REPLY_TO))
    for queue, messages in grouped(lost):
        told = all(one.returned for one in messages)
        said = {
            "count": counted(len(messages), "message"), "queue": queue, "near": case.nearest(queue),
            "gravity": WARNING if told else ERROR,
            "did": ("returned" if told else "dropped") + " what no queue takes",
        }
        yield said, case.saw(messages)


@rule(
    "unroutable-request", ERROR,
    title="{count} published to exchange {exchange!r} with routing key {key!r}, which no binding takes",
    meaning="No server can get it, so no reply can come.{near}",
    cure="Bind the server's queue to the exchange with this routing key, or publish with a key that is bound.",
    see="lesson 02, Routing",
)
def unroutable_request(case: Case) -> Found:
    lost = (((one.exchange, one.routing_key), one) for one in case.requests if one.exchange and _went_nowhere(one))
    for (exchange, key), messages in grouped(lost):
        keys = [bound for source, bound, _ in case.bindings if source == exchange]
        near = get_close_matches(key, keys, n=1)
        said = {
            "count": counted(len(messages), "request"), "exchange": exchange, "key": key,
            "near": f" The nearest key that is bound is {near[0]!r}." if near else "",
        }
        yield said, case.saw(messages)


@rule(
    "reply-queue-missing", ERROR,
    title="the replies to {count} should go to queue {queue!r}, which does not exist",
    meaning="The server replied, and the broker dropped the reply, because no queue of that name was there.{near}",
    cure="The client should declare its callback queue before it publishes a request, and name that queue in reply_to.",
    see="lesson 05, Callback queues",
)
def reply_queue_missing(case: Case) -> Found:
    for queue, requests in case.asked.items():
        gone = [reply for one in requests for reply in one.replies if not reply.exchange and _went_nowhere(reply)]
        gone += [one for one in case.strays.values() if one.routing_key == queue and _went_nowhere(one)]
        if gone and queue not in case.declared and not queue.startswith("amq.") and not case.was_read(queue):
            said = {"count": counted(len(requests), "request"), "queue": queue, "near": case.nearest(queue)}
            yield said, case.saw([*requests[:2], *gone])


@rule(
    "reply-queue-without-consumer", ERROR,
    title="no consumer reads callback queue {queue!r}, where {count} wait{s}",
    meaning="The server replied as it was asked to. The client that sent the request never takes the reply.",
    cure="The client should call basic_consume on the queue that it names in reply_to before it publishes the request, "
         "and wait for the reply with its correlation id.",
    see="lesson 05, Callback queues: the client that never consumes",
)
def reply_queue_without_consumer(case: Case) -> Found:
    for queue, requests in case.asked.items():
        replies = [one for one in case.waiting(queue) if one.kind == REPLY or one.number in case.strays]
        if replies and not case.was_read(queue):
            said = {
                "queue": case.shown(queue), "count": counted(len(replies), "reply"),
                "s": "s" if len(replies) == 1 else "",
            }
            yield said, case.saw([*requests[:1], *replies])


def _waits_on_purpose(case: Case, queue: str) -> bool:
    """Return whether messages should wait in a queue: to be moved on in time, read again and again, or looked into."""
    declared = case.declared.get(queue)
    arguments = declared.arguments if declared else {}
    kept = "x-dead-letter-exchange" in arguments or arguments.get("x-queue-type") == "stream"
    return kept or DEAD_LETTERS.search(queue) is not None


@rule(
    "queue-without-consumer", WARNING,
    title="{count} wait{s} in queue {queue!r}, and no consumer reads it",
    meaning="They wait until a program consumes from this queue.{ended}",
    cure="Start the program that should consume from {queue!r}, and compare the names that both sides use.",
    see="lesson 03, Consuming",
)
def queue_without_consumer(case: Case) -> Found:
    for queue in case.published_to:
        callback = queue in case.asked or queue.startswith(DIRECT_REPLY_TO)
        if callback or case.read(queue) or _waits_on_purpose(case, queue):
            continue
        waiting = [one for one in case.waiting(queue) if one.publisher is not None]
        if waiting:
            last = [f" Its last consumer, {case.name(one.link)}, has ended." for one in case.consumers.get(queue, ())]
            said = {
                "queue": case.shown(queue), "count": counted(len(waiting), "message"),
                "s": "s" if len(waiting) == 1 else "", "ended": "".join(last[-1:]),
            }
            yield said, case.saw(waiting)


@rule(
    "transient-in-durable-queue", HINT,
    title="{count} in durable {queues} {are} not persistent",
    meaning="A restart of the broker keeps the queue and loses these messages.",
    cure="Publish with delivery_mode=2 (pika.DeliveryMode.Persistent) what should survive a restart.",
    see="lesson 01, Publishing: what survives a restart",
)
def transient_in_durable_queue(case: Case) -> Found:
    yield from _mismatched(case, durable=True)


@rule(
    "persistent-in-transient-queue", HINT,
    title="{count} in {queues} {are} persistent, and not the queue",
    meaning="A restart of the broker deletes the queue, and the persistent messages with it.",
    cure="Declare the queue with durable=True, in all programs that declare it. Its arguments cannot be changed later: "
         "delete it first, or take a new name.",
    see="lesson 01, Publishing: what survives a restart",
)
def persistent_in_transient_queue(case: Case) -> Found:
    yield from _mismatched(case, durable=False)


def _mismatched(case: Case, *, durable: bool) -> Found:
    found: dict[str, list[Message]] = {}
    for queue, messages in case.published_to.items():
        declared = case.declared.get(queue)
        if declared is None or declared.durable != durable or declared.exclusive or declared.auto_delete:
            continue
        # Of requests and replies, and of what comes between them, no client waits any more after a restart.
        if declared.arguments.get("x-queue-type", "classic") != "classic" or queue in case.asked or any(
            one.kind == REQUEST for one in messages
        ):
            continue
        mismatched = [
            one for one in messages
            if one.publisher is not None and not one.properties.correlation_id and _stays(case, one, queue)
            and (one.properties.delivery_mode == 2) != durable
        ]
        if mismatched:
            found[queue] = mismatched
    if found:
        messages = [one for mismatched in found.values() for one in mismatched]
        said = {
            "count": counted(len(messages), "message"), "are": "is" if len(messages) == 1 else "are",
            "queues": ("queue " if len(found) == 1 else "queues ") + ", ".join(map(repr, found)),
        }
        yield said, case.saw(messages)


def _stays(case: Case, message: Message, queue: str) -> bool:
    """Return whether a message is or was in a queue for so long that a restart of the broker could have met it."""
    taken = next((one.time for one in message.deliveries if one.queue == queue), case.now)
    return message.waits_in(queue) or taken - message.time >= STAYS_SECONDS
