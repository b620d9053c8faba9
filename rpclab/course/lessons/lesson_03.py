"""Lesson 03: pull until the queue is empty, wait for later requests, and hold one at a time."""

from __future__ import annotations

import time
from collections.abc import Callable

from pika import spec

from rpclab.broker.connect import connect
from rpclab.broker.environment import connection_parameters
from rpclab.course.evidence import acked, held, methods, outcomes, polls, times_requeued
from rpclab.course.findings import explain, not_consumed, refused, stopped
from rpclab.course.running import Running
from rpclab.course.trial import Trial
from rpclab.course.verdict import Mistake
from rpclab.rpc.protocol import ADDITION_QUEUE
from rpclab.wire.messages import AUTO_ACKED, Message

BODIES = ("1,2", "", "3,5")
ALL_BODIES = [body.encode() for body in BODIES]
AT_ONCE, LATER, NOT_ASKED_FOR = ("1,2", "3,5"), "20,22", "7,7"
WANTED = [body.encode() for body in (*AT_ONCE, LATER)]
# Longer than three looks of one second each, when the first look finds two requests.
LATER_SECONDS = 2.25
REQUESTS = tuple(f"{number},{number}" for number in range(1, 7))


def collect(take: Callable, count: int | None = None) -> list:
    """Let a function take all messages by a channel, or a number by a connection; runs in a process."""
    with connect(connection_parameters()) as connection:
        return list(take(connection.channel()) if count is None else take(connection, count))


def empty_the_queue(trial: Trial, answer: Callable) -> str:
    """Let the answer take three messages, the second with an empty body."""
    trial.declare(ADDITION_QUEUE)
    messages = [trial.publish(ADDITION_QUEUE, body) for body in BODIES]
    running = trial.run("Reader", collect, answer)
    trial.wait(lambda: polls(trial.events), running)
    refused(trial)
    outcome, ended = running.outcome, explain(running)
    _all_taken(trial, messages, ended)
    if outcome.state == "running":
        raise Mistake(
            "All messages were taken, and your function did not return. From an empty queue `basic_get` returns "
            "`(None, None, None)` at once; your loop does not end there."
        )
    if outcome.value != ALL_BODIES:
        raise Mistake(f"All three messages were taken. {ended} It should have been `{ALL_BODIES}`.")
    return (
        "All three messages were taken and returned, the empty one as well. The fourth `basic_get` returned no "
        f"message, and `{ADDITION_QUEUE}` is empty."
    )


def _all_taken(trial: Trial, messages: list[Message], ended: str) -> None:
    """Judge which messages were acknowledged."""
    ready = trial.counts(ADDITION_QUEUE)["ready"]
    if not any(message.deliveries for message in messages):
        how = "They were purged or deleted: that is not taking them." if not ready else f"{ready} ready."
        raise Mistake(f"Your code took none of the three messages. {how} {ended}")
    taken = list(map(acked, messages))
    if any(map(times_requeued, messages)):
        raise Mistake(
            f"Your code took messages and acknowledged {taken.count(True) or 'none'} of them. The others were unacked "
            f"while its connection was open, and then requeued: {ready} ready in `{ADDITION_QUEUE}`. {ended}"
        )
    if taken == [True, True, False]:
        raise Mistake(
            f"Your code took two of three messages and stopped: `1,2`, and one whose body is empty, `b''`. That one is "
            f"lost, {ready} {'is' if ready == 1 else 'are'} left behind it. {ended} A message with an empty body is a "
            "message."
        )
    if not all(taken):
        raise Mistake(f"Taken: {taken.count(True)} of three messages. Left in the queue: {ready}. {ended}")


def wait_for_all(trial: Trial, answer: Callable) -> str:
    """Queue two requests, and send a third one long after the first two are done."""
    trial.declare(ADDITION_QUEUE)
    first = [trial.publish(ADDITION_QUEUE, body) for body in AT_ONCE]
    running = trial.run("Reader", collect, answer, len(WANTED))
    trial.wait(lambda: all(map(acked, first)), running)
    if running.alive and all(map(acked, first)):
        trial.wait(lambda: polls(trial.events), running, LATER_SECONDS)
    refused(trial)
    _waits_well(trial, running, first)
    later, fourth = (trial.publish(ADDITION_QUEUE, body) for body in (LATER, NOT_ASKED_FOR))
    trial.wait(lambda: acked(fourth), running)
    refused(trial)
    if acked(fourth):
        raise Mistake(
            f"`take` should return once it has {len(WANTED)} requests. Your code took a fourth as well, "
            f"`{NOT_ASKED_FOR}`."
        )
    if running.alive:
        taken = "was taken" if acked(later) else "came"
        raise Mistake(
            f"The third request {taken}, and `take` did not return. It should, once it has {len(WANTED)} requests."
        )
    if running.outcome.value != WANTED:
        raise Mistake(f"{explain(running)} It should have been `{WANTED}`.")
    return (
        f"Two requests were ready, the third came two seconds later, and `take` waited for it. The fourth, "
        f"`{NOT_ASKED_FOR}`, is left for another consumer: {trial.counts(ADDITION_QUEUE)['ready']} ready."
    )


def _waits_well(trial: Trial, running: Running, first: list[Message]) -> None:
    """Judge how the code waits."""
    if polls(trial.events):
        raise Mistake(
            "Your code polls the empty queue with `basic_get`. The task asks for push: keep `basic_consume`, and let "
            "pika wait for what the broker sends."
        )
    taken = list(map(acked, first)).count(True)
    if not running.alive:
        # The count depends on when the second one came; the mistake does not.
        how = "with nothing taken" if not taken else f"before {len(WANTED)} requests were taken"
        raised = "" if running.outcome.state == "returned" else f" {explain(running)}"
        raise Mistake(
            f"`take` returned {how}.{raised} `process_data_events` returns after any event, or when its time is up: "
            "your code must check whether it has enough requests."
        )
    if any(map(held, first)) and not taken:
        raise Mistake(
            f"`{first[0].text()}` was delivered to your connection and is unacked: your callback was not called, or "
            "does not acknowledge. pika calls back only while your code runs `process_data_events`."
        )
    if taken < len(first):
        raise Mistake(
            f"Your code took {taken} of two ready requests, and not the other. Does it run `process_data_events` often "
            "enough, and acknowledge each request?"
        )


def serve_slowly(serve: Callable, slow: bool) -> None:
    """Run the learner's server with work that takes no time, or never ends."""
    def work(body: bytes) -> None:
        while slow:
            time.sleep(1)

    with connect(connection_parameters()) as connection:
        serve(connection.channel(), work)


def fair_share(trial: Trial, answer: Callable) -> str:
    """Start a worker that is busy with its first request, and then a quick one."""
    trial.declare(ADDITION_QUEUE)
    requests = [trial.publish(ADDITION_QUEUE, body) for body in REQUESTS]
    slow = trial.run("Slow", serve_slowly, answer, True)
    trial.wait(lambda: requests[0].deliveries, slow)
    if not requests[0].deliveries:
        stopped(trial, slow)
        not_consumed(trial, ADDITION_QUEUE)
    quick = trial.run("Quick", serve_slowly, answer, False)
    trial.wait(lambda: all(map(acked, requests[1:])) or len(_sent(requests, slow)) > 1, quick)
    refused(trial)
    stopped(trial, slow)
    stopped(trial, quick)
    _one_at_a_time(trial, requests, slow)
    done = sum(map(acked, requests))
    if done < len(requests) - 1:
        raise Mistake(
            f"The slow worker holds one request, as it should, and the quick one has done {done} of the other "
            f"{len(requests) - 1}. It holds {sum(map(held, _sent(requests, quick)))}, unacked: acknowledge each "
            "request when it is done, or no more are sent."
        )
    return (
        f"The slow worker still holds its first request, and no other. The quick one, which started later, did the "
        f"other {done}."
    )


def _sent(requests: list[Message], running: Running) -> list[Message]:
    """Return the requests that a worker was sent."""
    return [request for request in requests if request.deliveries and request.deliveries[-1].to == running.name]


def _one_at_a_time(trial: Trial, requests: list[Message], slow: Running) -> None:
    """Judge what the slow worker was sent."""
    taken = _sent(requests, slow)
    if any(AUTO_ACKED in outcomes(request) for request in taken):
        raise Mistake(
            f"With `auto_ack=True` the broker counts a request as handled when it is sent. So nothing is unacked, no "
            f"limit applies, and all {len(taken)} requests went to the slow worker, which is still at the first."
        )
    if any(map(acked, taken)):
        raise Mistake(
            "The slow worker acknowledged its first request before the work, or without it, and so the broker sent it "
            "the next one. `work(body)` first, then `basic_ack`."
        )
    if (count := sum(map(held, taken))) > 1:
        raise Mistake(
            f"The slow worker is busy with its first request and holds {count} of {len(requests)}, unacked. "
            f"{len(requests) - count} were left for the quick worker. {_limit(trial, slow, count)}"
        )


def _limit(trial: Trial, slow: Running, count: int) -> str:
    """Return which limit the slow worker has set, and why it did not apply to what it holds."""
    case = trial.case
    consumers = [one for one in case.consumers[ADDITION_QUEUE] if case.name(one.link) == slow.name]
    limits = [one.prefetch for one in consumers]
    if consumers[0].gets:
        return "You take them with `basic_get`, to which no limit applies."
    # A limit for the whole channel that is set later counts, but not for what was sent before.
    if any(one.prefetch_after for one in consumers) or (all(limits) and sum(limits) < count):
        return "You have set a limit after `basic_consume`: it applies only to later consumers."
    if all(limits):
        return f"The limit that you have set is {limits[0]}."
    if any(limit.prefetch_count for limit in methods(trial.events, spec.Basic.Qos)):
        return "You have set a limit on another channel than the one that consumes, where it has no effect."
    return "Nothing limits how many it may hold, so the broker sends all of them to the first consumer."
