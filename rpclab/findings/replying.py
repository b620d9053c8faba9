"""Rules on replies: without an id, with a wrong one, elsewhere, twice, late, and taken by another client."""

from __future__ import annotations

from bisect import bisect_left
from math import inf

from rpclab.findings.asking import has_id
from rpclab.findings.case import Case, Given, counted, grouped, of_channel, settled
from rpclab.findings.rule import ERROR, HINT, WARNING, Found, rule
from rpclab.rpc.protocol import DIRECT_REPLY_TO
from rpclab.wire.messages import ACKED, AUTO_ACKED, MESSAGE, PUBLISHED, REQUEST, Delivery, Message
from rpclab.wire.records import BY_CLIENT

# How many of the requests that a server had before a message are looked at for the one that it may answer.
LOOK_BACK = 200


def _had_one(case: Case, stray: Message) -> bool:
    """Return whether a stray reply's publisher had been given a request, with an id, for its callback queue."""
    given = case.given.get(case.link_of(stray), ())
    before = (one for one, delivery in given if one.kind == REQUEST and delivery.time < stray.time)
    return any(one.properties.reply_to == stray.routing_key and has_id(one) for one in before)


def _left_without(case: Case, message: Message, queue: str | None) -> Given | None:
    """Return a request that a message's publisher had in hand then, and has acknowledged without any reply."""
    unanswered = case.unanswered.get(case.link_of(message), ())
    earlier = bisect_left(unanswered, message.time, key=lambda one: one[1].time)
    for request, given in reversed(unanswered[max(0, earlier - LOOK_BACK) : earlier]):
        in_hand = given.outcome == AUTO_ACKED or message.time < settled(given)
        if in_hand and queue in (None, request.properties.reply_to):
            return request, given
    return None


@rule(
    "reply-without-correlation-id", ERROR,
    title="{server} sent {count} without the request's correlation id",
    meaning="The client cannot tell which of its requests is answered: one that compares ids waits until its timeout.",
    cure="Copy the id: properties=pika.BasicProperties(correlation_id=props.correlation_id).",
    see="lesson 05, Callback queues; lesson 06, Request and reply",
)
def reply_without_correlation_id(case: Case) -> Found:
    bare: list[tuple[str, tuple[Message | None, Message]]] = [
        (reply.publisher or "", (reply.request, reply)) for reply in case.replies
        if reply.request and not reply.properties.correlation_id and has_id(reply.request)
    ]
    bare += [
        (stray.publisher or "", (None, stray)) for stray in case.strays.values()
        if not stray.properties.correlation_id and _had_one(case, stray)
    ]
    for server, pairs in grouped(bare):
        seen = [message for pair in pairs for message in pair if message]
        yield {"server": server, "count": counted(len(pairs), "reply")}, case.saw(seen)


@rule(
    "wrong-correlation-id", ERROR,
    title="{server} sent {count} with a correlation id that is not the request's",
    meaning="It acknowledged {request} and sent no reply with its id. The client drops an id that it does not know, "
            "and waits until its timeout.",
    cure="Take correlation_id from the properties of the request that is being answered, in the same callback.",
    see="lesson 06, Request and reply",
)
def wrong_correlation_id(case: Case) -> Found:
    known = {one.properties.message_id for one in case.requests} | {None}
    odd = [one for one in case.strays.values() if one.properties.correlation_id not in known]
    odd += [reply for one in case.requests for reply in one.replies[1:]]
    wrong = [
        (reply.publisher, (left[0], reply)) for reply in sorted(odd, key=lambda one: one.number)
        if (left := _left_without(case, reply, _reply_to(reply)))
    ]
    for server, pairs in grouped(wrong):
        said = {"server": server, "count": counted(len(pairs), "reply"), "request": pairs[0][0].name}
        yield said, case.saw(message for pair in pairs for message in pair)


def _reply_to(reply: Message) -> str:
    return DIRECT_REPLY_TO if reply.routing_key.startswith(DIRECT_REPLY_TO) else reply.routing_key


@rule(
    "reply-elsewhere", ERROR,
    title="{server} replied to {count} in {where}, and not in {asked!r}",
    meaning="The client asked for the reply in {asked!r} and gets none there.",
    cure="Publish the reply with exchange='' and routing_key=props.reply_to.",
    see="lesson 05, Callback queues",
)
def reply_elsewhere(case: Case) -> Found:
    found = []
    for message in case.messages if case.unanswered else ():
        direct = message.routing_key.startswith(DIRECT_REPLY_TO)  # to a client that is gone, perhaps
        left = None if direct or message.kind != MESSAGE else _left_without(case, message, None)
        if left and message.number not in case.strays and _answers(case, message, *left):
            where = f"exchange {message.exchange!r}" if message.exchange else f"queue {message.routing_key!r}"
            asked = case.shown(left[0].properties.reply_to)
            found.append(((message.publisher, where, asked), (left[0], message)))
    for (server, where, asked), pairs in grouped(found):
        said = {"server": server, "where": where, "asked": asked, "count": counted(len(pairs), "request")}
        yield said, case.saw(message for pair in pairs for message in pair)


def _answers(case: Case, message: Message, request: Message, given: Delivery) -> bool:
    """Return whether a message has a request's id, or is all that its publisher sent while it had the request."""
    if request.properties.reply_to in message.places:
        return False
    if message.properties.correlation_id:
        return message.properties.correlation_id == request.properties.correlation_id
    alone = case.sent(case.link_of(message), given.time, settled(given)) == [message]
    return alone and given.outcome == ACKED


@rule(
    "two-replies", ERROR,
    title="{server} replied twice to {count}",
    meaning="The client takes the first reply. The other one is left over, and may be taken for the reply to the next "
            "request.",
    cure="Look for two paths through the callback that both publish, such as an except or finally after the reply.",
    see="lesson 06, Request and reply",
)
def two_replies(case: Case) -> Found:
    found = []
    repeated = {one.repeats for one in case.requests if one.repeats}
    for request in case.requests:
        first, *more = request.replies or (None,)
        if not first or not more or request in repeated or len(request.deliveries) != 1:
            continue
        alike = [one for one in more if case.link_of(one) == case.link_of(first) and
                 not _left_without(case, one, _reply_to(one))]
        if alike:
            # Another body may be the next part of a reply in several parts.
            gravity = ERROR if any(one.body == first.body for one in alike) else HINT
            found.append(((first.publisher, gravity), [request, first, *alike]))
    for (server, gravity), groups in grouped(found):
        said = {"server": server, "count": counted(len(groups), "request"), "gravity": gravity}
        yield said, case.saw(message for group in groups for message in group)


@rule(
    "late-reply", WARNING,
    title="{count} to {client} came too late: {why}",
    meaning="The work was done for nothing. A reply that is left in a shared callback queue may be taken for another.",
    cure="Let the client wait longer, or start more workers. Give requests an expiration, so that no worker begins "
         "what no client waits for any more.",
    see="lesson 09, When things fail: the answer comes too late",
)
def late_reply(case: Case) -> Found:
    late = []
    for request in case.requests:
        if not request.replies or request.publisher is None:
            continue
        reply, why = request.replies[0], ""
        if request.deadline is not None and reply.time > request.deadline:
            why = f"the request's expiration of {request.deadline - request.time:g} s was over"
        elif _gave_up(case, request, reply):
            why = f"no consumer read {case.shown(reply.routing_key)!r} any more"
        if why:
            late.append(((request.publisher, why), (request, reply)))
    for (client, why), pairs in grouped(late):
        said = {"client": client, "count": counted(len(pairs), "reply"), "why": why}
        yield said, case.saw(message for pair in pairs for message in pair)


def _gave_up(case: Case, request: Message, reply: Message) -> bool:
    """Return whether all consumers of a reply's queue had ended in order before it came, and none has taken it."""
    readers = case.consumers.get(reply.routing_key, ())
    if reply.deliveries or not readers or any(one.ended is None or one.ended > reply.time for one in readers):
        return False
    last = max(readers, key=lambda one: one.ended or 0)
    connection = case.connections.get(last.link)
    closed = connection is not None and connection.end == BY_CLIENT
    return (last.ended or 0) > request.time and not last.gets and (last.cancelled or closed)


@rule(
    "stolen-reply", ERROR,
    title="{count} to {asker} went to {taker}, which shares callback queue {queue!r}",
    meaning="Both clients consume from the same callback queue, and the broker gives each reply to either of them. The "
            "one that asked waits until its timeout.",
    cure="Give each client a callback queue of its own: channel.queue_declare('', exclusive=True), or direct reply-to.",
    see="lesson 06, Request and reply: whose callback queue?",
)
def stolen_reply(case: Case) -> Found:
    stolen = []
    sharing = {
        queue: {case.link_of(one) for one in requests} & {one.link for one in case.consumers.get(queue, ())}
        for queue, requests in case.asked.items()
    }
    for reply in case.replies:
        if reply.request is None or reply.request.publisher is None:
            continue
        asker, clients = case.link_of(reply.request), sharing.get(reply.routing_key, set())
        for given in reply.deliveries:
            taker = of_channel(given)[0]
            if taker != asker and {taker, asker} <= clients and _reads(case, asker, reply.routing_key, given.time):
                stolen.append(((reply.request.publisher, given.to, reply.routing_key), reply))
    for (client, taker_name, queue), replies in grouped(stolen):
        said = {
            "count": counted(len(replies), "reply"), "asker": client, "taker": taker_name, "queue": case.shown(queue),
        }
        yield said, case.saw([one for reply in replies for one in (reply.request, reply) if one])


def _reads(case: Case, link: int, queue: str, time: float) -> bool:
    """Return whether a connection consumed from a queue at a time."""
    return any(
        one.link == link and one.begun < time and (one.ended is None or one.ended > time)
        for one in case.consumers.get(queue, ())
    )


@rule(
    "acked-before-reply", WARNING,
    title="{server} acknowledges {count} from queue {queue!r} before the reply",
    meaning="{meaning}",
    cure="Publish the reply first, and call basic_ack as the last thing in the callback.",
    see="lesson 04, Acknowledging",
)
def acked_before_reply(case: Case) -> Found:
    early, lost = [], set()
    for request in case.requests:
        for given in request.deliveries:
            link, replies = of_channel(given)[0], case.answers(request)
            first = next((one.time for one in replies if case.link_of(one) == link and one.time > given.time), -inf)
            if given.outcome == ACKED and settled(given) < first and not case.passed_on(link, given):
                early.append(((given.to, given.queue), request))
    for link, left in case.unanswered.items():
        # A reply to a client with direct reply-to that is gone cannot be told from any other.
        direct = any(one.routing_key.startswith(DIRECT_REPLY_TO) for one in case.published.get(link, ()))
        for request, given in left:
            if given.outcome == ACKED and not direct and case.ended(given):
                lost.add(request)
                early.append(((given.to, given.queue), request))
    for (server, queue), requests in grouped(early):
        meaning = "If the server fails in between, the request is lost: no other server gets it."
        gone_too = [one for one in requests if one in lost]
        if gone_too:
            meaning = f"The server ended in between, and {gone_too[0].name} is lost: no other server gets it."
        said = {
            "server": server, "queue": queue, "count": counted(len(requests), "request"), "meaning": meaning,
            "gravity": ERROR if gone_too else WARNING,
        }
        evidence = [
            step for one in requests for step in (
                case.step(one, ACKED, server, 0.0),
                *(case.step(reply, PUBLISHED, server, reply.time) for reply in one.replies[:1]),
            )
        ]
        yield said, evidence
