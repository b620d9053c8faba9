"""Rules on requests: what they lack, and whether anything reads the replies."""

from __future__ import annotations

from itertools import pairwise

from rpclab.findings.case import Case, counted, grouped
from rpclab.findings.rule import ERROR, HINT, WARNING, Found, rule
from rpclab.rpc.protocol import DIRECT_REPLY_TO
from rpclab.wire.messages import MESSAGE, REQUEST, Message


def has_id(request: Message) -> bool:
    """Return whether a reply can name a request: by its correlation id or, as some libraries do, by its message id."""
    return bool(request.properties.correlation_id or request.properties.message_id)


def _address(case: Case, request: Message) -> object:
    """Return where a request's reply should go; of direct reply-to, that is its connection."""
    reply_to = request.properties.reply_to
    return case.link_of(request) if reply_to.startswith(DIRECT_REPLY_TO) else reply_to


def _at_once(requests: list[Message]) -> tuple[Message, ...]:
    """Return the first two requests that wait for their replies at the same time."""
    for earlier, later in pairwise(requests):
        if not earlier.replies or earlier.replies[0].time > later.time:
            return earlier, later
    return ()


@rule(
    "missing-correlation-id", WARNING,
    title="{count} for queue {queue!r} without a correlation id",
    meaning="{why} A reply cannot say which request it answers.",
    cure="Give each request its own correlation_id (str(uuid.uuid4())), let the server copy it into the reply, and let "
         "the client take the reply that has it.",
    see="lesson 05, Callback queues: which reply is mine?",
)
def missing_correlation_id(case: Case) -> Found:
    seen = [one for one in case.requests if one.publisher is not None]
    for address, requests in grouped((_address(case, one), one) for one in seen):
        bare = [one for one in requests if not has_id(one)]
        together = _at_once(bare)
        declared = case.declared.get(str(address))
        own = isinstance(address, int) or (declared is not None and declared.exclusive)
        if not bare or (own and len(requests) == 1):
            continue
        why = "" if len(bare) == len(requests) else "Other requests that ask for replies there have one."
        if together:
            why = f"{together[0].name} and {together[1].name} waited for their replies at the same time."
        elif own and not why:
            continue  # one at a time, and no replies for other clients can come
        said = {
            "count": counted(len(bare), "request"), "queue": bare[0].routing_key, "gravity": ERROR if why else WARNING,
            "why": why or f"Replies to other requests may come to {case.shown(str(address))!r} as well.",
        }
        yield said, case.saw(bare)


@rule(
    "missing-reply-to", HINT,
    title="{count} to queue {queue!r} without reply_to, where others have it",
    meaning="The server does not know where to send the reply. One that expects reply_to may fail on it.",
    cure="Name the client's callback queue in reply_to, if the client waits for a reply.",
    see="lesson 05, Callback queues",
)
def missing_reply_to(case: Case) -> Found:
    for queue, messages in case.published_to.items():
        requests = [one for one in messages if one.kind == REQUEST]
        bare = [one for one in messages if one.kind == MESSAGE and one.publisher is not None]
        served = any(one.replies for one in requests)
        if bare and served and len(requests) >= len(bare) and queue not in case.asked:
            yield {"count": counted(len(bare), "message"), "queue": queue}, case.saw([*requests[:1], *bare])


@rule(
    "client-never-consumes", HINT,
    title="{client} asks for replies in {queue!r} and ends without them; its consumers are {others}",
    meaning="The client gets no reply: another program takes it, and without a correlation id that program cannot tell "
            "whose it is.",
    cure="If the client needs the reply, let it consume from a callback queue of its own, which it names in reply_to.",
    see="lesson 05, Callback queues: the client that never consumes",
)
def client_never_consumes(case: Case) -> Found:
    for queue, requests in case.asked.items():
        readers = case.consumers.get(queue, ())
        bare = [one for one in requests if not has_id(one) and one.publisher is not None]
        links = {case.link_of(one) for one in bare}
        consuming = {one.link for group in case.consumers.values() for one in group}
        ended = all(link in case.connections and case.connections[link].ended for link in links)
        if readers and bare and ended and not links & consuming:
            others = ", ".join(dict.fromkeys(case.name(one.link) for one in readers))
            said = {"client": bare[0].publisher, "queue": case.shown(queue), "others": others}
            yield said, case.saw([bare[0], *bare[0].replies])


@rule(
    "correlation-id-reused", ERROR,
    title="{count} with the correlation id of an earlier request, and another body",
    meaning="{first} has the same id and the same callback queue. A reply to either of them fits both.",
    cure="Make a new id for each request: correlation_id=str(uuid.uuid4()).",
    see="lesson 06, Request and reply",
)
def correlation_id_reused(case: Case) -> Found:
    again = ((one.repeats, one) for one in case.requests if one.repeats and one.body != one.repeats.body)
    for first, requests in grouped(again):
        if first:
            said = {"count": counted(len(requests), "request"), "first": first.name}
            yield said, case.saw([first, *requests])
