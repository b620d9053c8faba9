"""When a server acknowledges: seen on its own connection, or concluded from the counts of its queue."""

from __future__ import annotations

import time

from rpclab.broker.management import LIVE, Management
from rpclab.check.lines import NOT_TRIED
from rpclab.check.served import OR_START_IT, SETTLING_SECONDS, Served
from rpclab.errors import BrokerRefused, BrokerUnavailable
from rpclab.story.story import Story
from rpclab.watch.target import Target
from rpclab.wire.messages import ACKED, AUTO_ACKED, HELD

ACKNOWLEDGES = "acknowledges each request"
AFTER = "acknowledges after its reply"


def by_wire(server: Served, story: Story) -> None:
    """See acknowledgements on the server's own connection."""
    asked = story.request(server.asker.sent[-1])
    given = asked.deliveries[-1] if asked and asked.deliveries else None
    if asked is None or given is None or not asked.replies:
        for name in (ACKNOWLEDGES, AFTER):
            server.lines.add(name, NOT_TRIED, "the server's connection does not lead through check's port: it has "
                            "to take its broker's address from AMQP_URL, or from the variable that --env names")
        return
    server.asker.until(lambda: given.outcome != HELD, SETTLING_SECONDS)
    done = given.outcome in (ACKED, AUTO_ACKED)
    server.lines.add(ACKNOWLEDGES, done, given.outcome if done else f"{given.outcome}, {SETTLING_SECONDS} s later")
    if given.outcome == AUTO_ACKED:
        server.lines.add(AFTER, False, "it consumes with auto-ack: acknowledged before it began to work")
    elif given.outcome != ACKED or given.settled is None:
        server.lines.add(AFTER, NOT_TRIED, "it did not acknowledge")
    else:
        late = given.settled >= asked.replies[0].time
        server.lines.add(AFTER, late, "reply, then acknowledgement" if late else "acknowledgement, then reply")


def by_counts(server: Served, target: Target, before: int | None) -> None:
    """Conclude from the queue's counts when a request was acknowledged.

    Parameters
    ----------
    server : Served
        The server, which has replied to one request.
    target : Target
        Its broker.
    before : int or None
        How many messages were in the queue before; None if the management API did not say so.
    """
    asker, row = server.asker, counted(target, server.asker.queue)
    if before is None or before or row.get("type") != "classic":
        why = f"it is a {row.get('type')} queue"
        if before is None:
            why = "the management API does not answer (RPCLAB_MANAGEMENT says where it is)"
        elif before:
            why = f"{before} other messages are in the queue"
        for name in (ACKNOWLEDGES, AFTER):
            server.lines.add(name, NOT_TRIED, f"the counts do not say it: {why}; take another queue, {OR_START_IT}")
        return
    # The acknowledgement follows the reply.
    if not asker.until(lambda: not counted(target, asker.queue).get("messages"), SETTLING_SECONDS):
        server.lines.add(ACKNOWLEDGES, False, "the request is still unacked after its reply")
        server.lines.add(AFTER, NOT_TRIED, "it did not acknowledge")
        return
    server.lines.add(ACKNOWLEDGES, True, "nothing is unacked in the queue")
    replied = asker.make_reply_queue()  # without a consumer, so that its count says when the reply came
    asker.send(server.request, reply_to=replied)
    held, deadline = 0, time.monotonic() + asker.timeout
    while not asker.counts(replied).message_count and time.monotonic() < deadline:
        seen = counted(target, asker.queue)
        # It counts only if the reply was not there yet when the counts had been taken.
        if asker.counts(replied).message_count or not seen or seen.get("messages_ready"):
            continue
        if not seen.get("messages"):
            server.lines.add(AFTER, False, "nothing was unacked in the queue before the reply came")
            return
        held += 1
    if held:
        server.lines.add(AFTER, True, f"unacked each time the queue was looked at before the reply ({held})")
    else:
        server.lines.add(AFTER, NOT_TRIED, "it replied before the queue could be looked at; give a request that "
                        f"takes longer, {OR_START_IT}")


def counted(target: Target, queue: str) -> dict:
    """Return the queue's row in the management API, with live counts, or nothing if it does not answer."""
    try:
        with Management(target.broker) as api:
            # Asked for by its name, a queue comes without the live counts.
            rows = api.get("queues", target.vhost, **LIVE) or ()
    except (BrokerUnavailable, BrokerRefused):
        return {}
    return next((row for row in rows if row["name"] == queue), {})
