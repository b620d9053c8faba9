"""Lesson 09: JSON with a version, calling again, and workers that are killed."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress

import pika
from pika.adapters.blocking_connection import BlockingChannel
from pika.spec import Basic

from rpclab.course.evidence import acked, held, times_requeued
from rpclab.course.exercise_runner import serve
from rpclab.course.findings import explain, refused, stopped, until, until_consuming
from rpclab.course.lessons.lesson_09_killed import order_once as order_once
from rpclab.course.lessons.lesson_09_killed import quarantine_poison as quarantine_poison
from rpclab.course.running import Running
from rpclab.course.trial import Trial
from rpclab.course.verdict import Mistake
from rpclab.errors import LabError, RemoteError
from rpclab.rpc.arithmetic import AddClient
from rpclab.rpc.client import RpcClient, RpcFuture
from rpclab.rpc.protocol import ADDITION_QUEUE
from rpclab.wire.messages import Message

REPLY_SECONDS = 0.6
ROUNDS = 20
UNREADABLE = {
    "3,5": "It is no JSON",
    '{"version": 3, "x": 3, "y": 5}': "Version 3 is unknown to this server, and may give `x` and `y` another meaning",
    '{"x": 3, "y": 5}': "It does not say its version",
}
READABLE = {
    '{"version": 1, "x": 3, "y": 5}': {"version": 1, "sum": 8},
    '{"version": 2, "numbers": [3, 5, 7]}': {"version": 2, "sum": 15},
}

BODIES = CUT, BAD, SILENT = "3,5", "1,two", "9,9"
CALL_SECONDS = 0.2
TRIES = 3
ENDLESS = 5


def json_version(trial: Trial, answer: type) -> str:
    """Send a server what it cannot read, and then a good request in each version."""
    running = trial.run("AdditionServer", serve, answer)
    until_consuming(trial, running, ADDITION_QUEUE)
    with RpcClient(ADDITION_QUEUE, timeout=REPLY_SECONDS, parameters=trial.lab.parameters) as client:
        for body, reason in UNREADABLE.items():
            _is_refused(trial, running, client.submit(body), reason)
        for body, expected in READABLE.items():
            _is_answered(trial, running, client.submit(body), expected)
    return (
        f"{len(UNREADABLE)} bodies that your server cannot read got an error reply at once, and the server survived. "
        "Then it answered version 1 in version 1, and version 2 in version 2."
    )


def _is_refused(trial: Trial, running: Running, future: RpcFuture, reason: str) -> None:
    """Check that a bad request gets an error reply, and is acknowledged."""
    trial.wait(future.done, running)
    request = trial.sent(future.body, ADDITION_QUEUE)
    refused(trial)
    again = "" if acked(request) else "It is requeued, and would end the next server too. "
    stopped(trial, running, f"`{future.body}` ended the server. {again}")
    if times_requeued(request) > ROUNDS and not request.replies:
        raise Mistake(
            f"`{future.body}` loops: it was requeued more than {ROUNDS} times. It cannot succeed next time either."
        )
    if not request.replies:
        how = "stays unacked" if held(request) else "was acknowledged" if acked(request) else "was rejected"
        raise Mistake(
            f"`{future.body}` {how} and got no reply: its client waited until its deadline. `RpcTimeout` does not say "
            "what was wrong with the request; an error reply does."
        )
    _is_an_error(request, future, reason)
    ended = f"The server sent an error reply to `{future.body}`, and then it ended. "
    until(trial, lambda: acked(request), running, ended)
    if not acked(request):
        raise Mistake(
            f"`{future.body}` got its error reply and was not acknowledged: it stays unacked, and the server gets no "
            "further request. An error reply ends a request too."
        )


def _is_an_error(request: Message, future: RpcFuture, reason: str) -> None:
    reply, error = request.replies[0], future.exception()
    if reply.properties.correlation_id != request.properties.correlation_id:
        raise Mistake(
            f"The reply `{reply.text()}` does not have its request's correlation id. The client dropped it, and waited "
            "until its deadline."
        )
    if reply.properties.type != "error":
        raise Mistake(
            f"`{future.body}` got the reply `{reply.text()}`, which its client takes for an answer: the reply's "
            f"property `type` is not `error`. {reason}, so it should get an error reply."
        )
    if not isinstance(error, RemoteError) or error.type == "UnreadableError":
        raise Mistake(
            f"The body of the error reply, `{reply.text()}`, is not a JSON object with `type` and `message`. The "
            f"client could not read it: `{error}`."
        )


def _is_answered(trial: Trial, running: Running, future: RpcFuture, expected: dict) -> None:
    """Check that a good request is answered in its own version."""
    until(trial, future.done, running, f"`{future.body}` ended the server. ")
    if error := future.exception():
        raise Mistake(f"`{future.body}` is a good request, and its client got `{type(error).__name__}: {error}`")
    text = future.result()
    try:
        found = json.loads(text)
    except ValueError:
        raise Mistake(f"`{future.body}` got the reply `{text}`, which is no JSON.") from None
    if not isinstance(found, dict) or found.get("version") != expected["version"]:
        raise Mistake(
            f"`{future.body}` got the reply `{text}`. Its client knows version {expected['version']} and no other: "
            "reply in the version of the request."
        )
    if found != expected:
        raise Mistake(f"`{future.body}` got the reply `{text}`. It should be `{json.dumps(expected)}`.")


def call_all(add: Callable) -> list:
    """Make three calls with a learner's function, and return each answer or error's name; runs in a process."""
    found = []
    with AddClient(timeout=CALL_SECONDS) as client:
        for body in BODIES:
            try:
                found.append(add(client, *body.split(",")))
            except LabError as error:
                found.append(type(error).__name__)
    return found


class Troublemaker:
    """An addition service: it cuts the first request's connection, sends an error reply, and never answers a third."""

    def __init__(self, trial: Trial):
        self._trial = trial
        trial.declare(ADDITION_QUEUE)
        trial.channel.basic_consume(ADDITION_QUEUE, self._take)

    def sent(self, body: str) -> int:
        """Return how often a request was sent."""
        return sum(message.text() == body for message in self._trial.story.requests)

    def _take(
        self, channel: BlockingChannel, method: Basic.Deliver, properties: pika.BasicProperties, body: bytes
    ) -> None:
        self._trial.lab.tap.catch_up()
        request = body.decode(errors="replace")
        reply = pika.BasicProperties(correlation_id=properties.correlation_id)
        if request == CUT and self.sent(CUT) == 1:
            with suppress(LabError):  # a client that has not waited is closed already
                self._trial.lab.tap.cut(self._trial.sent(CUT).publisher or "")
        elif request == CUT:
            channel.basic_publish("", properties.reply_to, b"8", reply)
        elif request == BAD:
            reply.type = "error"
            error = json.dumps({"type": "ValueError", "message": "expected 2 integers"})
            channel.basic_publish("", properties.reply_to, error.encode(), reply)
        channel.basic_ack(method.delivery_tag)


def call_again(trial: Trial, answer: Callable) -> str:
    """Give a function three kinds of trouble, and count its calls."""
    service = Troublemaker(trial)
    running = trial.run("Caller", call_all, answer)
    endless = trial.wait(
        lambda: not running.alive or next((body for body in BODIES if service.sent(body) > ENDLESS), None), running,
    )
    if isinstance(endless, str):
        meaning = "got the same error each time" if endless == BAD else "got no reply each time"
        raise Mistake(
            f"`{endless}` was sent more than {ENDLESS} times and {meaning}. Your function would go on like that "
            "forever, and all other clients of the service would wait longer."
        )
    if running.outcome.state == "raised":
        ended = running.outcome.explained
        raise Mistake(f"This is no error of the client, and no program that calls `add` expects it: {ended}")
    if not (requests := trial.story.requests):
        raise Mistake(f"The service got no request. {explain(running)}")
    if running.alive:
        raise Mistake(
            f"`{requests[-1].text()}` was sent, and your function did not return. The client has its own deadline; "
            "does your function wait longer than that?"
        )
    if service.sent(CUT) < 2:
        raise Mistake(
            f"The connection was cut while `{CUT}` was in flight, and it was not sent again. Nothing was wrong with "
            "the request, and the service is idempotent: a second call would have been answered."
        )
    if service.sent(BAD) > 1:
        raise Mistake(
            f"`{BAD}` was sent {service.sent(BAD)} times. The first time, the service sent an error reply: the request "
            "had arrived, and cannot be done. Sent again, it is the same request."
        )
    if (tries := service.sent(SILENT)) != TRIES:
        times = "once" if tries == 1 else f"{tries} times"
        raise Mistake(f"`{SILENT}` got no reply by its deadline, and was sent {times}; the task says {TRIES} times.")
    _has_ended_right(running)
    return (
        f"The connection was cut, and `{CUT}` was sent again, and answered. `{BAD}` was sent once, and its error "
        f"passed on. `{SILENT}` was sent {TRIES} times, and then `add` raised the error."
    )


def _has_ended_right(running: Running) -> None:
    """Check what became of the three calls, all of which sent the right requests."""
    found = running.outcome.value
    if not isinstance(found, list):
        raise Mistake(f"The requests are right, but then: {explain(running)}")
    if found[0] != 8:
        raise Mistake(f"`{CUT}` was sent again and answered with `8`, and your function returned `{found[0]}`.")
    for body, wanted, got in ((BAD, "RemoteError", found[1]), (SILENT, "RpcTimeout", found[2])):
        if got != wanted:
            raise Mistake(
                f"`{body}` was sent as often as it should be. Then your function ended with `{got}` instead of the "
                f"error `{wanted}`, and its caller takes that for an answer."
            )
