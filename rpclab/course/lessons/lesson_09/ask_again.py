"""What a caller may ask again, and how often."""

from __future__ import annotations

import json
from contextlib import suppress

import pika

from rpclab.course.exercise import Exercise
from rpclab.course.findings import explain
from rpclab.course.running import Running
from rpclab.course.trial import Trial
from rpclab.course.verdict import Mistake
from rpclab.errors import LabError
from rpclab.rpc.arithmetic import AddClient
from rpclab.rpc.queues import ADDITION_QUEUE

QUESTIONS = CUT, BAD, SILENT = "3,5", "1,two", "9,9"
DEADLINE_SECONDS = 0.2
TRIES = 3
ENDLESS = 5


def ask_all(ask) -> list:
    """Ask three questions with a learner's function, and return what came of each; runs in a process."""
    found = []
    with AddClient(timeout=DEADLINE_SECONDS) as client:
        for body in QUESTIONS:
            try:
                found.append(ask(client, *body.split(",")))
            except LabError as error:
                found.append(type(error).__name__)
    return found


class Troublemaker:
    """An addition service: the first request's connection breaks, another cannot be done, a third is never answered."""

    def __init__(self, trial: Trial):
        self._trial = trial
        trial.declare(ADDITION_QUEUE)
        trial.channel.basic_consume(ADDITION_QUEUE, self._take)

    def asked(self, body: str) -> int:
        """Return how often a question was asked."""
        return sum(message.text() == body for message in self._trial.story.requests)

    def _take(self, channel, method, props: pika.BasicProperties, body: bytes) -> None:
        self._trial.lab.tap.catch_up()
        question = body.decode(errors="replace")
        reply = pika.BasicProperties(correlation_id=props.correlation_id)
        if question == CUT and self.asked(CUT) == 1:
            with suppress(LabError):  # a caller that has not waited is gone already
                self._trial.lab.tap.cut(self._trial.message(CUT).publisher)
        elif question == CUT:
            channel.basic_publish("", props.reply_to, "8", reply)
        elif question == BAD:
            reply.type = "error"
            told = json.dumps({"type": "ValueError", "message": "expected 2 integers"})
            channel.basic_publish("", props.reply_to, told, reply)
        channel.basic_ack(method.delivery_tag)


def ask_again(trial: Trial, answer) -> str:
    """Give a caller three kinds of trouble, and count how often it asks."""
    service = Troublemaker(trial)
    running = trial.run("Caller", ask_all, answer)
    endless = trial.wait(
        lambda: not running.alive or next((body for body in QUESTIONS if service.asked(body) > ENDLESS), None),
        running,
    )
    if isinstance(endless, str):
        meaning = "got the same error each time" if endless == BAD else "got no answer each time"
        raise Mistake(
            f"`{endless}` was asked more than {ENDLESS} times and {meaning}, and your function would go on like that "
            "for ever, at the cost of all who share the service."
        )
    _came_back(trial, running)
    _count(service)
    if running.outcome.value != [8, "RemoteError", "RpcTimeout"]:
        _told(running.outcome.value, explain(running))
    return (
        f"After the connection had broken, `{CUT}` was asked again, and answered. `{BAD}` was asked once, and its "
        f"error passed on. `{SILENT}` was asked {TRIES} times, and then its caller was told."
    )


def _came_back(trial: Trial, running: Running) -> None:
    asked = trial.story.requests
    if running.outcome.state == "raised":
        ended = running.outcome.explained
        raise Mistake(f"This is no error of the client, and nobody who calls `ask` expects it: {ended}")
    if not asked:
        raise Mistake(f"The service got no request. {explain(running)}")
    if running.alive:
        raise Mistake(
            f"`{asked[-1].text()}` was asked, and your function did not come back. The client has a deadline of its "
            "own; does your function wait longer than that?"
        )


def _count(service: Troublemaker) -> None:
    if service.asked(CUT) < 2:
        raise Mistake(
            f"The connection broke while `{CUT}` was under way, and it was not asked again. Nothing was wrong with the "
            "request, and the service is idempotent: a second try would have been answered."
        )
    if service.asked(BAD) > 1:
        raise Mistake(
            f"`{BAD}` was asked {service.asked(BAD)} times. The service had answered the first time, with an error: "
            "the request had arrived, and cannot be done. Asked again, it is the same request."
        )
    if service.asked(SILENT) != TRIES:
        times = "once" if service.asked(SILENT) == 1 else f"{service.asked(SILENT)} times"
        raise Mistake(f"`{SILENT}` got no answer by its deadline, and was asked {times}; the task says {TRIES} times.")


def _told(found: object, ended: str) -> None:
    """Tell what a caller learned, though the right requests were on the wire."""
    if not isinstance(found, list) or len(found) != len(QUESTIONS):
        raise Mistake(f"The requests are right, but then: {ended}")
    if found[0] != 8:
        raise Mistake(f"`{CUT}` was asked again and answered with `8`, and your function returned `{found[0]}`.")
    question, wanted, got = (
        (BAD, "RemoteError", found[1]) if found[1] != "RemoteError" else (SILENT, "RpcTimeout", found[2])
    )
    raise Mistake(
        f"`{question}` was asked as often as it should be, and then your function ended with `{got}` instead of the "
        f"error `{wanted}`. A caller that is not told takes that for an answer."
    )


EXERCISE = Exercise(
    id="09-ask-again",
    title="Spot and mend: the caller that never gives up",
    task="""
`ask` adds with an `rpclab.AddClient`. When the connection was lost or the time is up, it may ask again, three times in
all, for addition is idempotent; if the third fails as well, its caller gets that error. What the service answers with
an error is not asked again. As it stands, `ask` asks for ever.
""",
    name="ask",
    starter="""\
def ask(client, x, y):
    while True:
        try:
            return client.call(x, y)
        except rpclab.LabError as error:
            print("again, because of", type(error).__name__)
""",
    solved="""\
def ask(client, x, y):
    for attempt in (1, 2, 3):
        try:
            return client.call(x, y)
        except (rpclab.RpcTimeout, rpclab.ConnectionLost):
            if attempt == 3:
                raise
""",
    hints=(
        "Look at the table *What the caller knows*: which errors say that another try may help?",
        "Catch `rpclab.RpcTimeout` and `rpclab.ConnectionLost`, and no other: what is not caught reaches the caller.",
        "Count the tries with `for attempt in (1, 2, 3):`, and `raise` in the `except` branch of the third.",
    ),
    judge=ask_again,
)
