"""Rules on what is delivered again and again, or held by one consumer while others are idle."""

from __future__ import annotations

from collections.abc import Iterator
from math import inf

from rpclab.findings.acknowledging import vanished
from rpclab.findings.case import Case, counted, of_channel
from rpclab.findings.rule import ERROR, WARNING, Found, rule
from rpclab.wire.messages import LOST, REQUEUED, Delivery, Message
from rpclab.wire.records import Consumer

# How long one consumer has to hold what an idle one could do.
UNFAIR_SECONDS = 0.5
LOOPS, LOOP_SECONDS = 10, 1.0


@rule(
    "requeue-loop", ERROR,
    title="{message} goes back and forth between queue {queue!r} and {server}: requeued {times} times",
    meaning="The consumer gives it back with requeue=True, and the broker delivers it again at once. It costs all that "
            "the broker and the consumer have.",
    cure="Reject with requeue=False and a dead-letter exchange what fails again and again, or count the attempts.",
    see="lesson 04, Acknowledging: refusing a message",
)
def requeue_loop(case: Case) -> Found:
    for message in case.messages:
        back = [step for step in message.steps if step.what == REQUEUED]
        if len(back) < LOOPS or message.settled or back[-1].time - back[0].time > LOOP_SECONDS * len(back):
            continue
        servers = ", ".join(dict.fromkeys(step.who for step in back))
        said = {"message": message.name, "queue": case.shown(back[0].queue), "server": servers, "times": len(back)}
        yield said, [case.step(message, REQUEUED, step.who, step.time) for step in back]


@rule(
    "poison", WARNING,
    title="{count} ended with {message} in hand: {servers}",
    meaning="The connection of each vanished while it worked on {message}. The next worker that takes it may die too.",
    cure="Read what the worker printed. Catch exceptions in the callback, and dead-letter a message that no worker "
         "survives: RpcServer counts deliveries, and so does a quorum queue with x-delivery-limit.",
    see="lesson 09, When things fail: a request that kills",
)
def poison(case: Case) -> Found:
    for message in case.messages:
        died = {}
        for given in message.deliveries:
            link = of_channel(given)[0]
            if given.outcome == LOST and vanished(case, link) is not None and _in_work(case, link) is given:
                died[link] = given.to
        if len(died) > 1 and not message.settled and not message.dead_lettered and not message.replies:
            said = {
                "message": message.name, "count": counted(len(died), "worker"), "servers": ", ".join(died.values()),
                "gravity": ERROR if len(died) > 2 else WARNING,
            }
            yield said, case.saw([message])


def _in_work(case: Case, link: int) -> Delivery | None:
    """Return what a connection was working on when it ended: the first of the deliveries that it still held."""
    return next((given for _, given in case.given[link] if given.outcome == LOST), None)


@rule(
    "unlimited-prefetch", WARNING,
    title="{busy} held {count} of queue {queue!r} while {idle} had nothing to do",
    meaning="{busy} consumes without a prefetch limit: the broker gives it all that comes, whether it is busy or not."
            "{after}",
    cure="Call channel.basic_qos(prefetch_count=1), or a few more, before basic_consume.",
    see="lesson 03, Consuming: how many at once; lesson 07, Worker processes: fair shares",
)
def unlimited_prefetch(case: Case) -> Found:
    for queue, consumers in case.consumers.items():
        manual = [one for one in consumers if not one.auto_ack and not one.gets]
        if len({one.link for one in manual}) < 2 or all(one.prefetch for one in manual):
            continue
        found = _unfair(case, queue, manual)
        if found:
            busy, idle, messages = found
            after = f" It called basic_qos({busy.prefetch_after}) after basic_consume, which does not count for it."
            said = {
                "busy": case.name(busy.link), "idle": case.name(idle.link), "queue": case.shown(queue),
                "count": counted(len(messages), "message"), "after": after if busy.prefetch_after else "",
            }
            yield said, case.saw(messages)


def _unfair(case: Case, queue: str, consumers: list[Consumer]) -> tuple[Consumer, Consumer, list[Message]] | None:
    """Return a consumer without a limit that held several messages while another one was idle, and those messages."""
    spans = {(one.link, one.channel): _spans(case, one) for one in consumers}
    for busy in consumers:
        if busy.prefetch or len(spans[busy.link, busy.channel]) < 2:
            continue
        for idle in consumers:
            if idle.link == busy.link:
                continue
            for begin, end in _gaps(case, idle, spans[idle.link, idle.channel]):
                held = [message for message, start, stop in spans[busy.link, busy.channel]
                        if min(stop, end) - max(start, begin) >= UNFAIR_SECONDS]
                # The first of them is what it works on.
                if len(held) > 1:
                    return busy, idle, held
    return None


def _spans(case: Case, consumer: Consumer) -> list[tuple[Message, float, float]]:
    """Return what a consumer was given, from when until when it had it."""
    all_given = case.given.get(consumer.link, ())
    return [
        (message, given.time, min(given.settled or inf, case.now)) for message, given in all_given
        if given.queue == consumer.queue and given.channel == consumer.channel
    ]


def _gaps(
    case: Case, consumer: Consumer, spans: list[tuple[Message, float, float]],
) -> Iterator[tuple[float, float]]:
    """Yield the times at which a consumer held nothing, as far as that is known."""
    # One that is older than the story may have held something at its beginning.
    begin = consumer.begun if consumer.begun >= case.begun else spans[0][2] if spans else inf
    for _, start, stop in spans:
        if start - begin >= UNFAIR_SECONDS:
            yield begin, start
        begin = max(begin, stop)
    end = case.now if consumer.ended is None else consumer.ended
    if end - begin >= UNFAIR_SECONDS:
        yield begin, end
