"""Lesson 06: unmatched replies, deadlines, error replies, and shared callback queues."""

from __future__ import annotations

import time
from collections.abc import Callable

from rpclab.broker.connect import connect
from rpclab.broker.environment import connection_parameters
from rpclab.course.addition import UNMATCHED, UNMATCHED_BODY, AdditionService, add_each, first_request, replies_taken
from rpclab.course.evidence import acked, delivered, held, times_requeued
from rpclab.course.exercise_runner import serve
from rpclab.course.findings import explain, refused, stopped, until_consuming
from rpclab.course.running import Running
from rpclab.course.trial import Trial
from rpclab.course.verdict import Mistake
from rpclab.errors import RemoteError, RpcTimeout
from rpclab.rpc.client import RpcClient, RpcFuture
from rpclab.rpc.protocol import ADDITION_QUEUE
from rpclab.wire.messages import REPLY, Message

# What clients should add, and the sums.
PAIRS, SUMS = [(3, 5), (20, 22), (7, 7)], [8, 42, 14]

UNANSWERED = "1,1"
SECONDS, LONG_SECONDS = 1.5, 10.0
ROUNDS = ((("3,5", UNANSWERED, "20,22"), SECONDS), (("40,2", "7,7"), LONG_SECONDS))
ANSWERS = ("[8, None, 42]", "[42, 14]")
# The unmatched replies of the first round come at 0, 0.25, 0.5 and 0.75 s. If each of them gives the whole time again,
# `add_all` returns after 2.25 s. On a busy machine the last one may be late, and must still come before the deadline.
UNMATCHED_REPLIES = 4
GRACE_SECONDS = 0.5
PATIENCE_SECONDS = 2.2
EARLY_SECONDS = 0.1

BAD = "3,five"
TOTALS = {"3,5": "8", BAD: None, "20,22": "42"}
TIMEOUT_SECONDS = 1.0
MOST_REQUEUED = 20

NO_ACCESS = (403, 405)


def unmatched_first(trial: Trial, answer: type) -> str:
    """Send an unmatched reply before each reply, and check which one the client takes."""
    AdditionService(trial, unmatched=1)
    running = trial.run("AddClient", add_each, answer, PAIRS[:2])
    trial.wait(lambda: trial.message("3,5", ADDITION_QUEUE), running)
    request = first_request(trial, running, "3,5")
    if request.properties.reply_to:
        trial.wait(lambda: not running.alive, running, seconds=1.5)
    refused(trial)
    if not request.properties.reply_to:
        raise Mistake("The request has no `reply_to`, so the service does not know where to reply.")
    # The reply may come when the client has ended.
    trial.wait(lambda: trial.message("8"), seconds=1)
    if running.outcome.value != SUMS[:2]:
        _wrong_reply(trial, running)
    replies_taken(trial, SUMS[:2])
    return (
        "An unmatched reply came before each reply, and `process_data_events` returned. Your client saw that its reply "
        "was missing, waited on, and took the one with its own correlation id."
    )


def _wrong_reply(trial: Trial, running: Running) -> None:
    """Raise a mistake: the client did not return the sums, and this is why."""
    outcome, ended = running.outcome, explain(running)
    if isinstance(outcome.value, list) and int(UNMATCHED_BODY) in outcome.value:
        raise Mistake(
            f"You took `{UNMATCHED_BODY}` for an answer. It came with the correlation id `{UNMATCHED}`, which you "
            f"never sent: drop unmatched replies, and wait on. {ended}"
        )
    if outcome.state == "running" and delivered(trial.story, "8"):
        raise Mistake(
            "The reply `8` was delivered to your client, and `add` did not return. While it waits, a client must let "
            "pika process what arrives, and stop at its reply."
        )
    if not delivered(trial.story, UNMATCHED_BODY):
        raise Mistake(f"Your client never consumed from its callback queue: nothing was delivered to it. {ended}")
    if outcome.state != "running" and not delivered(trial.story, "42"):
        raise Mistake(
            "Your client got an unmatched reply and stopped waiting, before its own reply came. "
            f"{ended} `process_data_events` returns after any event."
        )
    raise Mistake(f"{ended} It should have been `{SUMS[:2]}`.")


def two_rounds(add_all: Callable) -> None:
    """Let a function send two rounds of requests, and publish what it returned, and when; runs in a process."""
    with connect(connection_parameters()) as connection:
        channel = connection.channel()
        for requests, seconds in ROUNDS:
            answers = add_all(channel, list(requests), seconds)
            # On its own connection, so that it is on the wire at once, whatever happened to the other one.
            with connect(connection_parameters(), "what it returned") as reporting:
                reporting.channel().basic_publish("", "returned", repr(answers).encode())


def one_deadline(trial: Trial, answer: Callable) -> str:
    """Leave one request of the first round without a reply, and check how long that delays the other answers."""
    AdditionService(trial, unmatched=UNMATCHED_REPLIES, unanswered=(UNANSWERED,))
    trial.declare("returned")
    running = trial.run("Client", two_rounds, answer)
    trial.wait(lambda: trial.story.requests, running)
    trial.wait(lambda: len(_returned(trial)) == len(ROUNDS), running, seconds=PATIENCE_SECONDS)
    requests, returned = trial.story.requests, _returned(trial)
    if not requests:
        raise Mistake(f"No request with a `reply_to` has reached the queue `{ADDITION_QUEUE}`. {explain(running)}")
    refused(trial)
    if not returned and running.alive:
        raise Mistake(
            f"The service does not reply to `{UNANSWERED}`, and `add_all` did not return when its {SECONDS:g} s were "
            "over. One missing reply holds up all the others."
        )
    if not returned:
        raise Mistake(
            f"The service does not reply to `{UNANSWERED}`. {explain(running)} `add_all` should return the answers "
            "that came, and `None` in the place of the one that did not."
        )
    _in_time(returned[0], requests[0].time)
    for (bodies, _), message, wanted in zip(ROUNDS, returned, ANSWERS, strict=False):
        if (text := message.text()) != wanted:
            raise Mistake(f"For the requests `{list(bodies)}` it returned `{text}` instead of `{wanted}`.")
    if len(returned) < len(ROUNDS) and running.alive:
        raise Mistake(
            "In the second round all replies came at once, and `add_all` waited on, although its "
            f"{LONG_SECONDS:g} s were not over. It should return as soon as it has all answers."
        )
    if len(returned) < len(ROUNDS):
        raise Mistake(f"The first round was right. In the second, {running.outcome.explained}")
    return (
        f"The service did not reply to `{UNANSWERED}`, and unmatched replies kept coming. `add_all` returned at its "
        "deadline, with the answers that it had. In the second round it returned as soon as it had all of them."
    )


def _returned(trial: Trial) -> list[Message]:
    return [message for message in trial.story.messages if message.routing_key == "returned"]


def _in_time(returned: Message, sent: float) -> None:
    """Check that the function returned the answers of the first round when its time was over."""
    text, took = returned.text(), returned.time - sent
    if UNMATCHED_BODY in text:
        raise Mistake(f"`add_all` returned `{text}`: `{UNMATCHED_BODY}` came with an id that you never sent. Drop it.")
    if took > SECONDS + GRACE_SECONDS:
        raise Mistake(
            f"`add_all` should return after {SECONDS:g} s, and returned too late. Unmatched replies came, and each of "
            "them gave it the whole time again. Compute the deadline once, before the loop."
        )
    if text != ANSWERS[0] and took < SECONDS - EARLY_SECONDS:
        raise Mistake(
            f"`add_all` returned `{text}` before its {SECONDS:g} s were over, and before the other replies came. "
            "An unmatched reply came first: any event ends one `process_data_events`."
        )


def error_is_a_reply(trial: Trial, answer: type) -> str:
    """Send three requests with the course's own client, one of which no server can read."""
    running = trial.run("AdditionServer", serve, answer)
    until_consuming(trial, running, ADDITION_QUEUE)
    with RpcClient(ADDITION_QUEUE, timeout=TIMEOUT_SECONDS) as client:
        futures = {body: client.submit(body) for body in TOTALS}
        trial.wait(lambda: all(future.done() for future in futures.values()) or _loops(trial), running)
        trial.wait(lambda: acked(trial.message("20,22")) or _loops(trial), running, seconds=0.5)
        _error_reply(trial, running, futures[BAD])
        for body, total in TOTALS.items():
            _handled(trial, body, total, futures[body])
        stopped(trial, running)
    return (
        f"The reply to `{BAD}` is an error: the client's `call` raised `RemoteError` at once, instead of waiting until "
        "its timeout. The server acknowledged the request, and replied to the other two as before."
    )


def _loops(trial: Trial) -> bool:
    return times_requeued(trial.message(BAD)) > MOST_REQUEUED


def _error_reply(trial: Trial, running: Running, future: RpcFuture) -> None:
    """Check that the client of the bad request got an error reply."""
    request = trial.sent(BAD)
    if _loops(trial):
        raise Mistake(
            f"`{BAD}` loops: you requeue it, get it again, and still cannot read it. It needs a reply, not another try."
        )
    stopped(trial, running, f"`{BAD}` ended the server, and is requeued to end the next one. ")
    refused(trial)
    if not future.done() or isinstance(future.exception(), RpcTimeout):
        _no_reply(trial, request)
    reply, error = request.replies[0], future.exception()
    if reply.properties.type != "error":
        raise Mistake(
            f"The reply to `{BAD}` is `{reply.text()}`, and nothing marks it as an error: the client takes it for the "
            "sum. Set the property `type` of the reply."
        )
    if not isinstance(error, RemoteError) or error.type != "ValueError" or not error.message:
        raise Mistake(
            f"The error reply to `{BAD}` is `{reply.text()}`, which the client cannot read. Its body should be JSON "
            'like `{"type": "ValueError", "message": "..."}`, with the name and the text of the error.'
        )
    if len(request.replies) > 1:
        raise Mistake(f"`{BAD}` got {len(request.replies)} replies. Send one reply to each request.")


def _no_reply(trial: Trial, request: Message) -> None:
    """Raise a mistake: the client got no reply, and this is why."""
    seen = trial.shown_by("reply-without-correlation-id", "reply-elsewhere")
    if bare := [message for message in seen if message.properties.correlation_id is None]:
        raise Mistake(
            f"You sent the reply `{bare[0].text()}` without a correlation id. The client cannot know which of its "
            "requests failed, and dropped it. Its call timed out."
        )
    if not acked(request):
        fate = "stays unacked" if held(request) else "was rejected"
        raise Mistake(
            f"You published no reply to `{BAD}`, and the request {fate}. The client waited until its timeout."
        )
    raise Mistake(
        f"You acknowledged `{BAD}` and published no reply. The client waited until its timeout, and cannot know "
        "whether the server is slow or dead."
    )


def _handled(trial: Trial, body: str, total: str | None, future: RpcFuture) -> None:
    """Check that a request was acknowledged, and got its sum as a reply unless it is the bad one."""
    if held(trial.message(body)):
        raise Mistake(
            f"You replied to `{body}` and did not acknowledge it: {trial.counts(ADDITION_QUEUE)['unacked']} "
            "unacked. When the server ends, it is redelivered."
        )
    if total and (not future.done() or future.exception()):
        raise Mistake(f"`{BAD}` gets a reply now, and `{body}` does not: its client got no sum.")
    if total and future.result() != total:
        raise Mistake(f"The reply to `{body}` is `{future.result()}`, where `{total}` is right.")


def add_and_stay(cls: type) -> None:
    """Send one request, and stay connected; runs in a process."""
    client = cls()
    client.add(1, 1)
    while True:
        time.sleep(1)


def stolen_replies(trial: Trial, answer: type) -> str:
    """Let one client send requests while another one, which has its answer, is still connected."""
    AdditionService(trial)
    other = trial.run("OtherClient", add_and_stay, answer)
    # Its reply is delivered, so it consumes. One that consumes only while it waits takes no other client's reply later.
    if not trial.wait(lambda: trial.message("1,1", ADDITION_QUEUE), other):
        stopped(trial, other)
    first_request(trial, other, "1,1")
    trial.wait(lambda: delivered(trial.story, "2"), other, seconds=1)
    refused(trial)
    stopped(trial, other, "One client alone does not work. ")
    client = trial.run("AddClient", add_each, answer, PAIRS)
    trial.wait(lambda: not client.alive, client)
    _whose(trial, client)
    other.kill()
    client.kill()
    # The broker deletes exclusive queues now.
    trial.wait(lambda: len(trial.lab.queues()) == 1, seconds=1)
    if left := len(trial.lab.queues()) - 1:
        raise Mistake(
            f"Each client got its own replies. But both have ended, and the broker still has {left} callback "
            f"{'queue' if left == 1 else 'queues'} that no client will use again. Each new client adds one."
        )
    return (
        "Two clients sent requests, and each got the replies to its own. When they ended, the broker deleted their "
        "callback queues."
    )


def _whose(trial: Trial, client: Running) -> None:
    """Check that each reply went only to the client that sent the request."""
    if found := next((refusal for refusal in trial.case.refusals if refusal.code in NO_ACCESS), None):
        raise Mistake(
            "The first client has the callback queue to itself, and the broker refused it to the second "
            f"(`{found.code} {found.text.split(' - ')[0]}`). While both use the same name, only one of them works."
        )
    refused(trial)
    if stolen := [message for message in trial.shown_by("stolen-reply") if message.kind == REPLY]:
        raise Mistake(
            f"{len(stolen)} of {len(SUMS)} replies for `AddClient` went to `OtherClient`: both consume from "
            f"`{trial.story.shown(stolen[0].queue)}`, and a queue shares its messages among its consumers. "
            f"{explain(client)}"
        )
    if client.outcome.value != SUMS:
        raise Mistake(f"{explain(client)} It should have been `{SUMS}`.")
    replies_taken(trial, SUMS)
