"""The messages of a client's errors: only what it has seen itself, and what the broker has reported."""

from __future__ import annotations

from rpclab.errors import LabError, QueueNotFound
from rpclab.rpc.reliability.queue_inspection import Counts
from rpclab.rpc.request import SentRequest
from rpclab.rpc.stats import Stats


def no_reply(request: SentRequest, queue: str, found: Counts | LabError | None, stats: Stats) -> str:
    """Return the message of a call's `RpcTimeout` while the connection is open.

    Parameters
    ----------
    request : SentRequest
        What was sent.
    queue : str
        Where to.
    found : Counts, LabError or None
        What a passive declare has just said of the queue; None if it has said nothing in time.
    stats : Stats
        The client's, for the replies that matched no request.
    """
    said = [first(request), _times(request), _taken(request), _queue(request, queue, found)]
    said += _unmatched(request, stats)
    return " ".join(each for each in said if each)


def not_connected(request: SentRequest, where: str, trouble: LabError | None) -> str:
    """Return the message of a call's `RpcTimeout` while there is no connection."""
    why = str(trouble) if trouble else f"{where} has not completed a connection in that time."
    sent = _times(request) or "The request was sent before that connection was lost."
    return f"{first(request)} {why} {sent if request.call.times_sent else 'The request was not sent.'}"


def first(request: SentRequest) -> str:
    """Return what is said of every timeout."""
    if request.reply_to:
        return (
            f"The broker has not confirmed the request within {request.call.timeout:g} s. It may have taken it, or may "
            "still take it."
        )
    if request.parts and request.parts.count:
        came = "1 reply" if request.parts.count == 1 else f"{request.parts.count} replies"
        return f"{came} came, and the last one did not within {request.call.timeout:g} s."
    return f"No reply within {request.call.timeout:g} s."


def rejection(queue: str) -> str:
    """Return what is known of a request that the broker has answered with ``basic.nack``."""
    return (
        f"The broker rejected the request (basic.nack): queue {queue!r} did not take it. A queue rejects when it is "
        "full and was declared with x-overflow=reject-publish: wait until its server has caught up, or raise its "
        "limit. It also rejects when its node fails at that moment."
    )


def no_queue(queue: str) -> str:
    """Return what is known of a request that the broker has returned."""
    return (
        f"There is no queue {queue!r}, so no server can get this request. Start the server that declares it; "
        "lab.queues() shows which queues there are, and whether the node of one is down."
    )


def blocked(reason: str, request: SentRequest) -> str:
    """Return what is known of a request that meets a broker without memory or disk space."""
    # The broker says that it is blocked and that it took a request in either order.
    known = "It may have taken this request before, or may take it then."
    if not request.call.times_sent:
        known = "This request was not sent."
    return (
        f"The broker takes no messages at present ({reason}). It goes on when it has memory or disk space again; "
        f"`rabbitmqctl status` shows its alarms. {known}"
    )


def attempts(request: SentRequest) -> str:
    """Return how often a request was sent, and in how long."""
    times = request.call.times_sent
    return f"It was rejected each of the {times} times it was sent within {request.call.timeout:g} s."


def _times(request: SentRequest) -> str:
    times, rejected = request.call.times_sent, request.rejected
    if rejected:
        return f"Of the {times} copies that were sent, the broker rejected {rejected}."
    return f"The request was sent {times} times." if times > 1 else ""


def _taken(request: SentRequest) -> str:
    if request.reply_to:
        return ""
    return "The broker took the request." if request.taken else "The broker has not confirmed that it took the request."


def _queue(request: SentRequest, queue: str, found: Counts | LabError | None) -> str:
    if found is None:
        return ""
    if isinstance(found, QueueNotFound):
        return f"There is no queue {queue!r} any more: it was deleted, or expired."
    if isinstance(found, LabError):
        return str(found)
    waiting = f"{found.ready} ready {'message' if found.ready == 1 else 'messages'}"
    consumers = f"{found.consumers} {'consumer' if found.consumers == 1 else 'consumers'}"
    if found.ready and not found.consumers:
        return f"Queue {queue!r} has {waiting} and no consumer: start its server."
    if found.ready:
        return f"Queue {queue!r} has {waiting} and {consumers}: the request may still be waiting for its turn."
    if found.consumers:
        # By then the request has expired if it was still in the queue.
        late = ", unless it expired in the queue" if found.heard > request.deadline else ""
        return f"Queue {queue!r} has no ready message and {consumers}: a server has probably taken the request{late}."
    return f"Queue {queue!r} has no ready message and no consumer: no server is running now."


def _unmatched(request: SentRequest, stats: Stats) -> list[str]:
    without, unknown = (now - then for now, then in zip(stats.unmatched, request.unmatched, strict=True))
    said = []
    if without:
        came = "1 reply without a correlation id" if without == 1 else f"{without} replies without a correlation id"
        said.append(f"{came} came during the call: a server must copy it from the request.")
    if unknown:
        came = "1 reply with an unknown correlation id" if unknown == 1 else f"{unknown} replies with unknown ids"
        said.append(f"{came} came during the call.")
    return said
