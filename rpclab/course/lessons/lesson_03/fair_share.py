"""A worker that sits on requests which another one could do."""

from __future__ import annotations

import time

from pika import spec

from rpclab.broker.connect import connect
from rpclab.course.evidence import acked, held, outcomes
from rpclab.course.exercise import Exercise
from rpclab.course.findings import not_consumed, refused, stopped
from rpclab.course.running import Running
from rpclab.course.trial import Trial
from rpclab.course.verdict import Mistake
from rpclab.environment import connection_parameters
from rpclab.rpc.queues import ADDITION_QUEUE
from rpclab.wire.messages import AUTO_ACKED, Message

REQUESTS = tuple(f"{number},{number}" for number in range(1, 7))


def serve_slowly(serve, slow: bool) -> None:
    """Run the learner's server with work that takes no time, or all the time there is."""
    def work(body: bytes) -> None:
        while slow:
            time.sleep(1)

    with connect(connection_parameters()) as connection:
        serve(connection.channel(), work)


def fair_share(trial: Trial, answer) -> str:
    """Start a worker that is busy with its first request, and then one that is quick."""
    trial.declare(ADDITION_QUEUE)
    requests = [trial.publish(ADDITION_QUEUE, body) for body in REQUESTS]
    slow = trial.run("Slow", serve_slowly, answer, True)
    trial.wait(lambda: requests[0].deliveries, slow)
    if not requests[0].deliveries:
        stopped(trial, slow)
        not_consumed(trial, ADDITION_QUEUE)
    quick = trial.run("Quick", serve_slowly, answer, False)
    trial.wait(lambda: all(map(acked, requests[1:])) or _too_many(requests, slow), quick)
    refused(trial)
    stopped(trial, slow)
    stopped(trial, quick)
    _one_at_a_time(trial, requests, slow)
    done = [request for request in requests if acked(request)]
    if len(done) < len(requests) - 1:
        raise Mistake(
            f"The slow worker holds one request, as it should, and the quick one has done {len(done)} of the other "
            f"{len(requests) - 1}. It holds {_hoarded(requests, quick)}, unacked: a request that is done is "
            "acknowledged, or nothing more comes."
        )
    return (
        f"The slow worker still holds its first request, and no other. The quick one, which came later, did the other "
        f"{len(done)}."
    )


def _to(requests: list[Message], running: Running) -> list[Message]:
    """Return what a worker was sent."""
    return [request for request in requests if request.deliveries and request.deliveries[-1].to == running.name]


def _too_many(requests: list[Message], slow: Running) -> bool:
    """Tell whether the slow worker was sent more than the one request that it is busy with."""
    return len(_to(requests, slow)) > 1


def _hoarded(requests: list[Message], running: Running) -> int:
    """Return how many unacked requests a worker has."""
    return sum(map(held, _to(requests, running)))


def _one_at_a_time(trial: Trial, requests: list[Message], slow: Running) -> None:
    """Judge what the worker has taken that is still busy with its first request."""
    taken = _to(requests, slow)
    if any(AUTO_ACKED in outcomes(request) for request in taken):
        raise Mistake(
            f"With `auto_ack=True` the broker counts a request as dealt with when it is sent. So nothing is unacked, "
            f"no limit holds, and all {len(taken)} requests went to the slow worker, which is still at the first."
        )
    if any(map(acked, taken)):
        raise Mistake(
            "The slow worker is still busy with its first request, and has acknowledged it: that was before the work, "
            "if there was any, and so the broker sent it the next one. `work(body)` first, then `basic_ack`."
        )
    if (count := _hoarded(requests, slow)) > 1:
        raise Mistake(
            f"The slow worker is busy with its first request and holds {count} of {len(requests)}, unacked. "
            f"{len(requests) - count} were left for the quick worker. {_why(trial, slow)}"
        )


def _why(trial: Trial, slow: Running) -> str:
    """Return what the limit was that the worker has asked for, and why it did not hold."""
    sent = [event for event in trial.events if event.link.name == slow.name]
    limits = [e for e in sent if isinstance(e.method, spec.Basic.Qos) and e.method.prefetch_count]
    consume = next(event for event in sent if isinstance(event.method, spec.Basic.Consume))
    if not limits:
        return "Nothing says how many it may hold, and so the broker sends what there is, to whoever comes first."
    if all(limit.channel != consume.channel for limit in limits):
        return "You have set a limit on another channel than the one that consumes, where it limits nobody."
    if all(sent.index(limit) > sent.index(consume) for limit in limits):
        return "You have set a limit after `basic_consume`: it holds for the consumers that come after it."
    return f"The limit that you have set is {limits[0].method.prefetch_count}."


EXERCISE = Exercise(
    id="03-fair-share",
    title="Spot and mend: one sits on the work",
    task="""
`serve` takes requests from the queue `addition`, works on each and acknowledges it. Two processes run it. When the
first has a request that takes long, the second is idle, though others wait. Mend it: a worker holds one request at a
time. The check hands over `work`; in the first process it takes for ever, in the second no time.
""",
    name="serve",
    starter="""\
def serve(channel, work):
    def on_request(ch, method, properties, body):
        work(body)
        ch.basic_ack(delivery_tag=method.delivery_tag)

    channel.basic_consume("addition", on_request)
    channel.start_consuming()
""",
    solved="""\
def serve(channel, work):
    def on_request(ch, method, properties, body):
        work(body)
        ch.basic_ack(delivery_tag=method.delivery_tag)

    channel.basic_qos(prefetch_count=1)
    channel.basic_consume("addition", on_request)
    channel.start_consuming()
""",
    hints=(
        "How many requests does the broker send to a consumer that has acknowledged none yet?",
        "As many as the prefetch count of its channel allows. Here nobody has set one.",
        "`channel.basic_qos(...)`, before the consumer is there.",
    ),
    judge=fair_share,
)
