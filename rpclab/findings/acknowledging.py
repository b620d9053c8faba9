"""Rules on acknowledgements: none, twice, too late, on another channel, or before a death."""

from __future__ import annotations

import re
from collections.abc import Callable

from rpclab.findings.case import Case, Given, counted, grouped, of_channel, same_program, settled
from rpclab.findings.rule import ERROR, HINT, Evidence, Found, rule
from rpclab.wire.messages import ACKED, AUTO_ACKED, HELD, LOST, REJECTED, REQUEST, REQUEUED, Message
from rpclab.wire.records import CLIENT_GONE, Consumer, Refusal

# How long a worker may sit on messages without an acknowledgement before it is worth a hint.
IDLE_SECONDS = 5.0
DIED_SECONDS = 5.0
TAG = re.compile(r"unknown delivery tag (\d+)")


@rule(
    "never-acked", ERROR,
    title="{server} took {count} from queue {queue!r} and has acknowledged none",
    meaning="{meaning}",
    cure="Call channel.basic_ack(method.delivery_tag) when the work is done, on every path through the callback.",
    see="lesson 04, Acknowledging",
)
def never_acked(case: Case) -> Found:
    for link, all_given in case.given.items():
        channels = grouped((of_channel(given), (message, given)) for message, given in all_given)
        for channel, given in channels:
            kept = [one for one in given if one[1].outcome in (HELD, LOST)]
            if not kept or any(one[1].outcome in (ACKED, REJECTED, REQUEUED) for one in given):
                continue
            replied = [
                one for one in kept
                if any(case.link_of(reply) == link and one[1].time < reply.time <= case.due for reply in one[0].replies)
            ]
            held = [one for one in kept if one[1].outcome == HELD]
            queue = kept[-1][1].queue
            limit, waiting = _limit(case, channel, queue), case.waiting(queue)
            full = 0 < limit <= len(held)
            idle = bool(full and len(held) > 1 and waiting and case.now - held[0][1].time >= IDLE_SECONDS)
            if not idle and not any(one in held for one in replied) and len(replied) < 2:
                continue
            meaning = "What is not acknowledged goes to another worker when this one ends, and is done again."
            if full and waiting:
                meaning = (
                    f"Its prefetch limit of {limit} is used up: the broker sends it nothing more, and "
                    f"{counted(len(waiting), 'message')} wait{'s' if len(waiting) == 1 else ''}."
                )
            if not replied:
                meaning += " If it is done with them, it forgets to acknowledge."
            said = {
                "server": kept[0][1].to, "count": counted(len(kept), "message"), "queue": case.shown(queue),
                "meaning": meaning, "gravity": ERROR if replied else HINT,
            }
            yield said, case.saw(one for one, _ in (replied or kept))


def _limit(case: Case, channel: tuple[int, int], queue: str) -> int:
    """Return the prefetch limit of a channel's consumer of a queue; 0 for none."""
    return max((one.prefetch for one in case.consumers.get(queue, ()) if (one.link, one.channel) == channel), default=0)


def _here(case: Case, refusal: Refusal, tag: int) -> Given | None:
    """Return the delivery that a channel was given last under a tag."""
    found = [one for one in case.given.get(refusal.link, ()) if one[1].tag == tag and one[1].time < refusal.time]
    return next((one for one in reversed(found) if one[1].channel == refusal.channel), None)


def _settled_before(case: Case, refusal: Refusal, tag: int) -> Given | None:
    one = _here(case, refusal, tag)
    return one if one and one[1].outcome != AUTO_ACKED else None


def _with_auto_ack(case: Case, refusal: Refusal, tag: int) -> Given | None:
    one = _here(case, refusal, tag)
    return one if one and one[1].outcome == AUTO_ACKED else None


def _elsewhere(case: Case, refusal: Refusal, tag: int) -> Given | None:
    """Return a delivery that came under a tag by another channel of the connection, if none came by this one."""
    found = [one for one in case.given.get(refusal.link, ()) if one[1].tag == tag and one[1].time < refusal.time]
    return found[-1] if found and not _here(case, refusal, tag) else None


def _earlier(case: Case, refusal: Refusal, tag: int) -> Given | None:
    """Return a delivery under a tag that was lost with an earlier connection of the same program."""
    program = case.connections.get(refusal.link)
    if program is None or _here(case, refusal, tag) or _elsewhere(case, refusal, tag):
        return None
    for link, given in case.given.items():
        other = case.connections.get(link)
        if other and other.ended and link < refusal.link and same_program(other.name, program.name):
            for one in reversed(given):
                if one[1].tag == tag and one[1].outcome == LOST:
                    return one
    return None


def _tag_rule(
    name: str, pick: Callable[[Case, Refusal, int], Given | None], *, title: str, why: str, cure: str,
) -> None:
    """Make a rule on an acknowledgement that the broker refused, by the delivery that it was meant for."""

    @rule(
        name, ERROR, title=title, cure=cure, see="lesson 04, Acknowledging; clinic, Unknown delivery tag",
        meaning=f"{why} The broker closed channel {{channel}} (406, unknown delivery tag) and requeued what it held. "
                "A later call on the channel raises the error.",
    )
    def look(case: Case) -> Found:
        for refusal in case.refusals:
            if found := TAG.search(refusal.text):
                tag = int(found[1])
                if one := pick(case, refusal, tag):
                    said = {
                        "server": case.name(refusal.link), "message": one[0].name, "channel": refusal.channel,
                        "other": f"channel {one[1].channel} of {one[1].to}",
                    }
                    yield said, [*case.saw([one[0]]), case.broken(refusal)]


_tag_rule(
    "acked-twice", _settled_before,
    title="{server} acknowledged {message} twice",
    why="A delivery tag is valid once.",
    cure="Look for two paths through the callback that both acknowledge, or an earlier acknowledgement with "
         "multiple=True.",
)
_tag_rule(
    "acked-with-auto-ack", _with_auto_ack,
    title="{server} acknowledged {message}, which it consumes with auto_ack",
    why="With auto_ack (noAck) a delivery counts as acknowledged when it is sent.",
    cure="Consume without auto_ack and keep basic_ack, so that a message survives its worker; or leave out basic_ack.",
)
_tag_rule(
    "acked-on-another-channel", _elsewhere,
    title="{server} acknowledged {message} on channel {channel}, and it came by {other}",
    why="Each channel numbers its own deliveries.",
    cure="Acknowledge on the channel that the callback was given as its first argument.",
)
_tag_rule(
    "acked-after-reconnect", _earlier,
    title="{server} acknowledged {message}, which had come by an earlier connection",
    why="{message} went back to its queue when that connection ended.",
    cure="Drop what was taken before when the connection is lost: the broker delivers it again.",
)


@rule(
    "acked-unknown-tag", ERROR,
    title="{server} acknowledged delivery tag {tag}, which it was never given",
    meaning="The broker closed channel {channel} (406, unknown delivery tag) and requeued what it held.",
    cure="Take the tag from method.delivery_tag of the delivery.",
    see="lesson 04, Acknowledging; clinic, Unknown delivery tag",
)
def acked_unknown_tag(case: Case) -> Found:
    for refusal in case.refusals:
        found = TAG.search(refusal.text)
        if found and not any(
            pick(case, refusal, int(found[1])) for pick in (_here, _elsewhere, _earlier)
        ):
            said = {"server": case.name(refusal.link), "tag": found[1], "channel": refusal.channel}
            yield said, [case.broken(refusal)]


@rule(
    "acknowledgement-timeout", ERROR,
    title="{server} held {message} longer than the broker allows",
    meaning="The broker {ended} and requeued what it held. The work goes on, is done again by another worker, and its "
            "acknowledgement {late}.",
    cure="Make the work shorter, acknowledge and keep the state elsewhere, or raise consumer_timeout.",
    see="lesson 09, When things fail: held too long; clinic, Held too long",
)
def acknowledgement_timeout(case: Case) -> Found:
    for refusal in case.refusals:
        if refusal.code == 406 and "timed out" in refusal.text and "delivery acknowledgement" in refusal.text:
            lost = _lost(case, refusal.link, refusal.channel)
            said = {"server": case.name(refusal.link), "message": lost[0].name if lost else "a message"}
            yield said | {"ended": "closed the channel", "late": "fails"}, [*case.saw(lost), case.broken(refusal)]
    for consumer in case.cancelled_by_broker:
        if lost := held_too_long(case, consumer):
            said = {
                "server": case.name(consumer.link), "message": lost[0].name, "late": "has no effect",
                "ended": "cancelled the consumer, which ends pika's start_consuming() without an error,",
            }
            yield said, [*case.saw(lost), Evidence(f"the broker cancelled a consumer of {said['server']}")]


def held_too_long(case: Case, consumer: Consumer) -> list[Message]:
    """Return what a consumer held too long that the broker cancelled for it, as RabbitMQ does from 4.3 on."""
    declared = case.declared.get(consumer.queue)
    quorum = declared is not None and declared.arguments.get("x-queue-type") == "quorum"
    return _lost(case, consumer.link, consumer.channel, consumer.queue) if quorum else []


def _lost(case: Case, link: int, channel: int, queue: str | None = None) -> list[Message]:
    """Return what was taken back from a channel, of all queues or of one."""
    return [
        message for message, given in case.given.get(link, ())
        if given.outcome == LOST and given.channel == channel and queue in (None, given.queue)
    ]


def vanished(case: Case, link: int) -> float | None:
    """Return when a connection ended without a goodbye at its client's end; None if it did not."""
    connection = case.connections.get(link)
    if connection is None or connection.end != CLIENT_GONE or not case.begun <= (connection.ended or 0) <= case.due:
        return None
    return connection.ended


@rule(
    "died-after-ack", ERROR,
    title="{server} ended after it took {message}, without a reply or a goodbye",
    meaning="Its process died with {message}, most likely of an exception in the callback. It was the last thing that "
            "this connection was given.",
    cure="Read the traceback that the process printed. Catch exceptions in the callback and reply with an error.",
    see="lesson 03, Consuming; lesson 09, When things fail: the function raises",
)
def died_after_ack(case: Case) -> Found:
    for link, given in case.given.items():
        ended, (last, delivery) = vanished(case, link), given[-1]
        if ended is None or delivery.outcome != ACKED or given[-1] not in case.unanswered.get(link, ()):
            continue
        if ended - settled(delivery) <= DIED_SECONDS:
            yield {"server": delivery.to, "message": last.name}, case.saw([last])


@rule(
    "auto-ack-loss", ERROR,
    title="{server} ended with {count} in hand that it consumed with auto_ack",
    meaning="With auto_ack the broker deletes a message when it sends it: these are lost, and no reply will come.",
    cure="Consume without auto_ack, and acknowledge after the reply.",
    see="lesson 04, Acknowledging: the same with auto_ack",
)
def auto_ack_loss(case: Case) -> Found:
    for link, given in case.given.items():
        connection = case.connections.get(link)
        if connection is None or connection.ended is None or not case.begun <= connection.ended <= case.due:
            continue
        lost = [one for one, each in given
                if one.kind == REQUEST and each.outcome == AUTO_ACKED and not case.answers(one)]
        if lost:
            yield {"server": connection.name, "count": counted(len(lost), "request")}, case.saw(lost)
