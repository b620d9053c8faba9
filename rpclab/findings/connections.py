"""Rules on connections and channels: what the broker refused, how they ended, and how many a program opens."""

from __future__ import annotations

import re
from collections.abc import Callable

from rpclab.broker.broker_errors import TRANSIENT
from rpclab.findings.acknowledging import TAG, held_too_long
from rpclab.findings.case import Case, counted, grouped, same_program
from rpclab.findings.rule import ERROR, HINT, WARNING, Evidence, Found, rule
from rpclab.wire.messages import LOST, PUBLISHED, REQUEST, Message
from rpclab.wire.records import BROKER_GONE, BY_CLIENT, Refusal

# This number of requests, each with something of its own, are a habit.
HABIT = 5
SECONDS_APART = 2.0
_NAME = re.compile(r"(?:queue|exchange) '(.*?)' in vhost")


def _refusal_rule(
    name: str, is_one: Callable[[Refusal], bool] | None, *, title: str, meaning: str, cure: str, see: str,
) -> None:
    """Make a rule on a kind of refusal, or on all that no other rule is about; those with the same text are one."""

    @rule(name, ERROR, title=title, meaning=meaning, cure=cure, see=see)
    def look(case: Case) -> Found:
        refusals = [one for one in case.refusals if one.by_client == (is_one is _by_client)]
        for _, alike in grouped(((one.command, one.text), one) for one in refusals if (is_one or _other)(one)):
            first, named = alike[0], _NAME.search(alike[0].text)
            queue = named[1] if named else first.queue
            said = {
                "client": ", ".join(dict.fromkeys(case.name(one.link) for one in alike)), "name": queue,
                "what": f"channel {first.channel}" if first.channel else "the connection", "code": first.code,
                "text": first.text, "near": case.nearest(queue),
                "because": f", because of {first.command}" if first.command else "",
            }
            yield said, [case.broken(one) for one in alike]

    if is_one:
        _SPECIAL.append(is_one)


def _passive(refusal: Refusal) -> bool:
    """Return whether the broker only answered a program that asked whether a queue or exchange exists."""
    return refusal.code == 404 and refusal.command in ("Queue.Declare", "Exchange.Declare")


def _by_client(refusal: Refusal) -> bool:
    return refusal.by_client


def _other(refusal: Refusal) -> bool:
    return not any(special(refusal) for special in _SPECIAL)


# What has a rule of its own, or needs none.
_SPECIAL: list[Callable[[Refusal], bool]] = [
    _passive,
    lambda one: TAG.search(one.text) is not None,
    lambda one: one.code == 406 and "timed out" in one.text,
]

_refusal_rule(
    "closed-by-broker", None,
    title="the broker closed {what} of {client}{because}: {code}",
    meaning="{text} A later call may raise the error, which is not what caused it.",
    cure="Look for the code {code} in the error clinic.",
    see="clinic, The broker closes the channel",
)

_refusal_rule(
    "closed-by-client", _by_client,
    title="{client} closed {what} itself, because of an error: {code}",
    meaning="It said: {text}. Some libraries do that when a callback raises. What it held unacked is delivered again.",
    cure="Read what the program printed. Catch exceptions in the callback, and reply with an error.",
    see="lesson 09, When things fail: the function raises",
)
_refusal_rule(
    "missing-queue", lambda one: one.code == 404 and "no queue" in one.text and not _passive(one),
    title="{client} uses queue {name!r}, which does not exist",
    meaning="The broker closed {what} ({code}){because}.{near}",
    cure="Declare the queue first, in each program that uses it: channel.queue_declare({name!r}, durable=True).",
    see="lesson 03, Consuming; clinic, No such queue",
)
_refusal_rule(
    "missing-exchange", lambda one: one.code == 404 and "no exchange" in one.text and not _passive(one),
    title="{client} uses exchange {name!r}, which does not exist",
    meaning="The broker closed {what} ({code}){because}. Publishing has no answer, so a later call raises the error.",
    cure="Declare the exchange first, in each program that uses it: channel.exchange_declare({name!r}, 'direct').",
    see="lesson 02, Routing; clinic, No such exchange",
)
_refusal_rule(
    "exclusive-to-another", lambda one: one.code == 405 or "in exclusive use" in one.text,
    title="{client} uses queue {name!r}, which another connection has to itself",
    meaning="The broker closed {what} ({code}){because}. The other one declared the queue, or consumes from it, with "
            "exclusive=True.",
    cure="Declare and consume without exclusive=True what several connections use.",
    see="clinic, Resource locked",
)
_refusal_rule(
    "access-refused", lambda one: one.code == 403 and "in exclusive use" not in one.text,
    title="the broker refused {client} access",
    meaning="The broker closed {what} ({code}){because}: {text}",
    cure="Check the user's password and its permissions on the virtual host: rabbitmqctl list_user_permissions USER.",
    see="clinic, Access refused; clinic, Login refused",
)
_refusal_rule(
    "different-declaration", lambda one: one.code == 406 and "inequivalent arg" in one.text,
    title="{client} declares {name!r} in another way than it was declared before",
    meaning="The broker closed {what} ({code}){because}: {text}",
    cure="Use the same durable, exclusive, auto_delete and arguments in all programs. To change them, delete it first.",
    see="clinic, Inequivalent arg",
)
_refusal_rule(
    "transient-queue", lambda one: one.code == 541 and TRANSIENT in one.text,
    title="{client} declares queue {name!r} neither durable nor exclusive, which this broker refuses",
    meaning="RabbitMQ 4.3 closes the whole connection ({code}), not only the channel.",
    cure="Declare it with durable=True; a client's own callback queue with exclusive=True.",
    see="lesson 01, Publishing",
)
_refusal_rule(
    "mixed-frames", lambda one: one.code in (501, 505) or "second 'channel.open' seen" in one.text,
    title="two threads or processes write to {client} at the same time",
    meaning="The broker closed {what}: a frame came in the middle of another command ({text}). The call that raises "
            "need not be the one that interfered.",
    cure="Give each thread and each process its own connection. With pika, other threads hand work over with "
         "connection.add_callback_threadsafe; open the connection after the fork.",
    see="clinic, Two threads on one connection",
)
_refusal_rule(
    "direct-reply-to-misused",
    lambda one: one.code == 406 and any(text in one.text for text in ("fast reply", "reply consumer")),
    title="{client} uses direct reply-to in a way that the broker refuses",
    meaning="The broker closed {what} ({code}){because}: {text}",
    cure="On one channel, first consume from amq.rabbitmq.reply-to, once and with auto_ack=True; then publish the "
         "requests on that same channel.",
    see="lesson 06, Request and reply; clinic, No direct reply-to consumer",
)


@rule(
    "missed-heartbeats", ERROR,
    title="the broker gave up {client}, which sent no heartbeat for {silence} s{held}",
    meaning="Both ends had agreed on {heartbeat} s. A callback that works longer without returning to pika's loop "
            "sends none. What the client held is delivered again, and its acknowledgement fails.",
    cure="Do long work in a thread and acknowledge with connection.add_callback_threadsafe, or call "
         "connection.process_data_events() now and then.",
    see="lesson 09, When things fail: heartbeats; clinic, Missed heartbeats",
)
def missed_heartbeats(case: Case) -> Found:
    for connection in case.connections.values():
        ended = connection.ended or 0
        if connection.end != BROKER_GONE or not connection.heartbeat or not case.begun <= ended <= case.now:
            continue
        if connection.silence >= connection.heartbeat:
            lost = [message for message, given in case.given.get(connection.number, ()) if given.outcome == LOST]
            said = {
                "client": connection.name, "silence": round(connection.silence), "heartbeat": connection.heartbeat,
                "held": f", while it held {counted(len(lost), 'message')}" if lost else "",
            }
            ending = f"the broker ended {connection.name} without a word"
            yield said, [*case.saw(lost), Evidence(ending)]


@rule(
    "consumer-cancelled", WARNING,
    title="the broker cancelled the consumer of {client} on queue {queue!r}",
    meaning="The queue was deleted or its node went down, or, with a quorum queue from RabbitMQ 4.3 on, a message was "
            "held for too long. The program gets no more messages and no error: pika's start_consuming() returns.",
    cure="Find out who deletes the queue. With channel.add_on_cancel_callback() the program can declare it and consume "
         "again.",
    see="lesson 03, Consuming: cancelling a consumer",
)
def consumer_cancelled(case: Case) -> Found:
    for consumer in case.cancelled_by_broker:
        name, queue = case.name(consumer.link), case.shown(consumer.queue)
        later = [one for one in case.consumers[consumer.queue] if one.begun >= (consumer.ended or 0)]
        consumes_again = any(same_program(case.name(one.link), name) for one in later)
        if not consumes_again and not held_too_long(case, consumer):
            said = {"client": name, "queue": queue}
            yield said, [Evidence(f"the broker cancelled the consumer of {name} on queue {queue}")]


@rule(
    "connection-per-request", HINT,
    title="{count} came by a connection of its own each{pid}",
    meaning="To open a connection takes many times as long as a request, and the broker keeps a process and memory for "
            "each.",
    cure="Open one connection when the program starts, and use it for all requests.",
    see="lesson 06, Request and reply",
)
def connection_per_request(case: Case) -> Found:
    single = []
    for link, published in case.published.items():
        connection = case.connections.get(link)
        if connection and connection.end == BY_CLIENT and len(published) == 1 and published[0].kind == REQUEST:
            name = connection.name.rstrip("0123456789 ")
            single.append(((published[0].routing_key, name, connection.pid), (connection, published[0])))
    for (_, _, pid), alike in grouped(single):
        span = alike[-1][0].opened - alike[0][0].opened
        if len(alike) >= HABIT and span <= SECONDS_APART * (len(alike) - 1):
            said = {
                "count": counted(len(alike), "request"), "pid": f", from process {pid}" if pid else "",
                "gravity": WARNING if pid else HINT,
            }
            yield said, case.saw(request for _, request in alike)


def _asked_by(case: Case) -> list[tuple[int, list[Message]]]:
    """Return the requests of each connection that sent enough of them to have habits."""
    asked = [(link, [one for one in sent if one.kind == REQUEST]) for link, sent in case.published.items()]
    return [(link, requests) for link, requests in asked if len(requests) >= HABIT]


@rule(
    "callback-queue-per-request", WARNING,
    title="{client} declares a callback queue for each of its {count}",
    meaning="Each takes the broker a declaration, a consumer and a deletion, which costs more than the request.",
    cure="Declare one callback queue for each client, and match the replies by correlation id.",
    see="lesson 06, Request and reply: whose callback queue?",
)
def callback_queue_per_request(case: Case) -> Found:
    for link, requests in _asked_by(case):
        own = {one.properties.reply_to for one in requests}
        declared = [case.declared[name] for name in own if name in case.declared]
        if len(own) == len(requests) and sum(one.link == link for one in declared) >= HABIT:
            yield {"client": case.name(link), "count": counted(len(requests), "request")}, case.saw(requests)


@rule(
    "channel-per-request", WARNING,
    title="{client} opens a channel for each of its {count}",
    meaning="Opening a channel takes a round trip, as long as the request itself; one that is never closed stays until "
            "the connection ends.",
    cure="Open one channel for each thread, and publish all requests on it.",
    see="lesson 06, Request and reply",
)
def channel_per_request(case: Case) -> Found:
    for link, requests in _asked_by(case):
        opened, before, own = case.channels_opened.get(link, ()), 0.0, 0
        for request in requests:
            own += any(before < time < request.time for time in opened)
            before = request.time
        if own >= HABIT and own >= 0.9 * len(requests):
            evidence = [case.step(one, PUBLISHED, case.name(link), one.time) for one in requests]
            yield {"client": case.name(link), "count": counted(len(requests), "request")}, evidence
