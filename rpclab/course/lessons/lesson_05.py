"""Lesson 05: the case study's server and client with their bugs, and replies in any order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import NoReturn

from pika import spec

from rpclab.broker.connect import connect
from rpclab.broker.environment import connection_parameters
from rpclab.course.addition import UNMATCHED, AdditionService, add_each, replies_taken
from rpclab.course.evidence import acked, declared, methods, settled_before
from rpclab.course.exercise_runner import serve
from rpclab.course.findings import explain, not_consumed, refused, stopped
from rpclab.course.running import Running
from rpclab.course.trial import CHECK, Trial
from rpclab.course.verdict import Mistake
from rpclab.rpc.protocol import ADDITION_QUEUE, FIBONACCI_QUEUE
from rpclab.wire.messages import Message

FIBONACCI = {"10": b"55", "7": b"13"}
PAIRS = [(3, 5), (20, 22)]
ROUNDS = (("3,5", "20,22", "1,1"), ("40,2", "7,7", "2,3"))
ORDERS = ((2, 1, 0), (1, 2, 0))
SUMS = [[sum(map(int, body.split(","))) for body in bodies] for bodies in ROUNDS]


def fix_the_server(trial: Trial, answer: type) -> str:
    """Start the server on a broker without queues, send it two requests, and read the wire."""
    running = trial.run("FibonacciServer", serve, answer)
    if not trial.wait(lambda: trial.lab.tap.registry.consumers(FIBONACCI_QUEUE), running):
        stopped(trial, running, "The server was started on a broker without any queue. ")
        not_consumed(trial, FIBONACCI_QUEUE)
    callback = trial.channel.queue_declare("", exclusive=True).method.queue
    replies: list[tuple] = []
    trial.channel.basic_consume(callback, lambda *delivery: replies.append(delivery[2:]), auto_ack=True)
    requests = [trial.publish(FIBONACCI_QUEUE, n, reply_to=callback, correlation_id=f"fib {n}") for n in FIBONACCI]
    trial.wait(lambda: len(replies) >= len(FIBONACCI) or _elsewhere(trial, running, callback), running)
    if not replies:
        _no_reply(trial, running, requests[0])
    for properties, body in replies:
        _is_good_reply(properties.correlation_id, body)
    for request in requests:
        if request.replies and settled_before(request, request.replies[0].time):
            raise Mistake(
                f"The wire shows the acknowledgement of `{request.text()}` first and its reply afterwards. If the "
                "server dies in between, the request is lost. Reply, then acknowledge."
            )
    refused(trial)
    _all_handled(trial, running, requests, len(replies))
    return (
        "The server declared its queue, replied to both requests in the queue that they name, each time with the "
        "request's correlation id, and acknowledged after the reply."
    )


def _elsewhere(trial: Trial, running: Running, callback: str) -> list[Message]:
    """Return what the server has published to other queues than the check's callback queue."""
    return [m for m in trial.story.messages if m.publisher == running.name and m.routing_key != callback]


def _no_reply(trial: Trial, running: Running, first: Message) -> NoReturn:
    fate = "lost: it had been acknowledged before" if acked(first) else "back in the queue, for the next server"
    if running.outcome.error == "NameError" and "'props'" in running.outcome.text:
        raise Mistake(
            "`on_request` calls its third argument `properties` and then uses `props`, which is not defined. The first "
            f"request ended the server, and is {fate}."
        )
    stopped(trial, running, f"The first request, which is {fate}, ended the server: ")
    refused(trial)
    if elsewhere := _elsewhere(trial, running, first.properties.reply_to):
        raise Mistake(
            f"The server published its reply to `{trial.story.shown(elsewhere[0].routing_key)}`. It should publish it "
            "to the queue in the request's `reply_to`."
        )
    how = "acknowledged the request" if acked(first) else "took the request"
    raise Mistake(f"The server {how}, and published no reply within the time of this check.")


def _is_good_reply(correlation_id: str | None, body: bytes) -> None:
    text = body.decode(errors="replace")
    if correlation_id is None:
        raise Mistake(
            f"A reply came, `{text}`, without a correlation id: a client that has sent two requests cannot know which "
            "one it answers. Copy `correlation_id` from the request to the reply."
        )
    wanted = FIBONACCI.get(correlation_id.removeprefix("fib "))
    if wanted is None:
        raise Mistake(f"A reply has the correlation id `{correlation_id}`, which no request had. Copy the request's.")
    if body != wanted:
        raise Mistake(f"The reply to `{correlation_id}` is `{text}`, where `{wanted.decode()}` is right.")


def _all_handled(trial: Trial, running: Running, requests: list[Message], replies: int) -> None:
    if replies < len(FIBONACCI):
        stopped(trial, running, "The server replied to the first request, and then ended: ")
    if not trial.wait(lambda: all(map(acked, requests)), running, seconds=1):
        stopped(trial, running)
        raise Mistake(
            f"The server replied and did not acknowledge: {trial.counts(FIBONACCI_QUEUE)['unacked']} unacked. When it "
            "ends, the requests are redelivered, and the client gets duplicate replies."
        )
    if replies < len(FIBONACCI):
        raise Mistake(f"{replies} of {len(FIBONACCI)} requests were answered, and both acknowledged.")


def fix_the_client(trial: Trial, answer: type) -> str:
    """Let a client send requests to a service that replies at once, and check who takes the replies."""
    AdditionService(trial)
    running = trial.run("AddClient", add_each, answer, PAIRS)
    trial.wait(lambda: (asked := trial.message("3,5", ADDITION_QUEUE)) and not asked.properties.reply_to, running)
    request = trial.message("3,5", ADDITION_QUEUE)
    if request and request.properties.reply_to:
        trial.wait(lambda: trial.message("8"), seconds=1)  # the service is slower than a client that does not wait
    if running.outcome.value != [8, 42]:
        _way_of_the_reply(trial, running, request)
    if not request or not trial.message("20,22", ADDITION_QUEUE):
        raise Mistake("`add` returned the right sums, and the service got no request. Let it do the work.")
    replies_taken(trial, (8, 42))
    return (
        "Both requests were answered. Your client consumed the replies from its callback queue, and `add` returned the "
        "sums."
    )


def _way_of_the_reply(trial: Trial, running: Running, request: Message | None) -> NoReturn:
    """Raise a mistake: the request or its reply was lost, and this is where."""
    reply, outcome, ended = trial.message("8"), running.outcome, explain(running)
    if request is None:
        raise Mistake(f"No request `3,5` has reached the queue `{ADDITION_QUEUE}`. {ended}")
    refused(trial)
    if not request.properties.reply_to:
        raise Mistake("The request has no `reply_to`, so the service does not know where to reply.")
    if methods(trial.events, spec.Basic.GetEmpty):
        raise Mistake(
            "You looked into the callback queue with `basic_get`, which looks once, before the reply was there: the "
            f"service takes a moment. {ended} Consume instead, and wait until the reply comes."
        )
    if reply is None:
        raise Mistake(f"Your client ended before the service replied to its request. {ended}")
    if reply.returned and reply.routing_key not in declared(trial.events):
        raise Mistake(
            f"The service sent its reply `8` to `{reply.routing_key}`. No such queue exists, so it was dropped. The "
            "client must declare its callback queue before it sends a request."
        )
    if not reply.deliveries:
        nothing = "`add` returned `None`: y" if outcome.value == [None, None] else "Y"
        fate = "was deleted with its queue when your client ended" if reply.returned else "is still there"
        raise Mistake(
            f"{nothing}our client never consumed from its callback queue. The reply `8` reached "
            f"`{trial.story.shown(reply.routing_key)}` and {fate}. Publishing is half of a call; the other half is to "
            f"consume until the reply comes. {ended}"
        )
    if outcome.state == "running":
        raise Mistake(
            "The reply `8` was delivered to your client, and `add` did not return. While it waits, a client must let "
            "pika process what arrives (`connection.process_data_events(time_limit=1)`), and stop at the reply."
        )
    raise Mistake(f"The reply `8` was delivered to your client. {ended} `add` should return the sum as an integer.")


def two_rounds(add_all: Callable) -> list:
    """Let a function send two rounds of requests on one channel; runs in a process."""
    with connect(connection_parameters()) as connection:
        channel = connection.channel()
        return [add_all(channel, list(bodies)) for bodies in ROUNDS]


def whose_reply(trial: Trial, answer: Callable) -> str:
    """Reply to the requests of each round in another order, after an unmatched reply."""
    service = AdditionService(trial, ORDERS, unmatched=True)
    running = trial.run("Client", two_rounds, answer)
    trial.wait(lambda: _same_id(trial.story.requests), running)
    requests = trial.story.requests
    if not requests:
        raise Mistake(f"No request with a `reply_to` has reached the queue `{ADDITION_QUEUE}`. {explain(running)}")
    refused(trial)
    if service.one_by_one:
        raise Mistake(
            "You sent a request, waited for its reply, and sent the next. That gives the right answers, but costs a "
            "round trip for each request: send all requests first, then collect."
        )
    if running.outcome.value != SUMS:
        _wrong_answers(running, requests)
    if not all(m.deliveries for m in trial.story.messages if m.publisher == CHECK):
        raise Mistake("The answers are right, but your code took no replies. Let the service do the work.")
    return (
        "In each round the service replied in another order, and sent an unmatched reply first. Your function matched "
        "each reply to its request by the correlation id, and dropped the unmatched one."
    )


def _same_id(requests: list[Message]) -> str | None:
    """Return a correlation id that two requests of one round have in common."""
    ids = Counter((number // len(ROUNDS[0]), one.properties.correlation_id) for number, one in enumerate(requests))
    return next((id for (_, id), count in ids.items() if id and count > 1), None)


def _wrong_answers(running: Running, requests: list[Message]) -> NoReturn:
    outcome, value = running.outcome, running.outcome.value
    answers = [part for part in value if isinstance(part, list)] if isinstance(value, list) else []
    if None in [request.properties.correlation_id for request in requests[: len(ROUNDS[0])]]:
        raise Mistake(
            f"The service replied to {len(ROUNDS[0])} requests in another order, and your requests carry no "
            f"correlation id, so nothing matches replies to requests. {explain(running)}"
        )
    if same := _same_id(requests):
        raise Mistake(f"Several of your requests carry the same correlation id, `{same}`: each needs its own.")
    if any(999 in part for part in answers):
        raise Mistake(
            f"You took `999` for an answer. It came with the correlation id `{UNMATCHED}`, which you never sent: "
            f"drop unmatched replies. {explain(running)}"
        )
    # In another order, or as text.
    if [sorted(map(str, part)) for part in answers] == [sorted(map(str, right)) for right in SUMS]:
        raise Mistake(
            f"The answers should be integers, in the order of the requests: `{SUMS}`, not `{outcome.text}`. Replies "
            "come in any order; `properties.correlation_id` says which request each one answers."
        )
    if outcome.state == "running":
        raise Mistake(
            "The service replied to all requests, and your function did not return. Does it wait for more replies "
            "than requests, or for an id that was never sent?"
        )
    raise Mistake(f"{explain(running)} It should have been `{SUMS}`, one list for each round.")
