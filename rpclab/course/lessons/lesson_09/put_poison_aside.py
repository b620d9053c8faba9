"""A request that kills its worker has to cost a few workers, and not all of them."""

from __future__ import annotations

import os
import signal

from rpclab.course.evidence import acked, outcomes, went_round
from rpclab.course.exercise import Exercise
from rpclab.course.findings import refused, stopped
from rpclab.course.inside import serve
from rpclab.course.lessons.lesson_09.starting import start
from rpclab.course.trial import Trial
from rpclab.course.verdict import Mistake
from rpclab.wire.messages import HELD, LOST, Message

QUEUE, DEAD = "photos", "photos.dead"
POISON = "huge"
MOST_WORKERS = 3
ROUNDS = 20


def shrink_or_die(cls: type) -> None:
    """Run a photo server that one of the photos kills, as one too large for its memory would."""

    class Fragile(cls):
        def shrink(self, photo):
            if photo in (POISON, POISON.encode()):
                os.kill(os.getpid(), signal.SIGKILL)
            return super().shrink(photo)

    serve(Fragile)


def put_poison_aside(trial: Trial, answer: type) -> str:
    """Send a photo that kills between two that do not, and replace each worker that dies."""
    trial.declare(DEAD)
    running = start(trial, "PhotoServer", shrink_or_die, answer, QUEUE)
    callback = trial.channel.queue_declare("", exclusive=True).method.queue
    photos = [
        trial.publish(QUEUE, photo, reply_to=callback, correlation_id=photo) for photo in ("cat", POISON, "dog")
    ]
    for died in range(MOST_WORKERS + 1):
        trial.wait(lambda: _is_over(trial, photos) or went_round(photos[1]) > ROUNDS, running)
        if running.alive or running.outcome.state != "gone":
            break
        if died == MOST_WORKERS:
            raise Mistake(
                f"{died + 1} workers have died of `{POISON}`, one after the other, and it is at the front of the queue "
                f"again. `dog` waits behind it, and none of them has come to it. Who counts how often `{POISON}` is "
                "taken?"
            )
        running.again()
    if went_round(photos[1]) > ROUNDS:
        raise Mistake(f"`{POISON}` kills nobody any more, and goes round instead: delivered more than {ROUNDS} times.")
    refused(trial)
    stopped(trial, running)
    if died and LOST not in outcomes(photos[1]):
        raise Mistake(
            f"`{POISON}` is gone: it was acknowledged before its work, and the worker died of it afterwards. The "
            "broker had forgotten it by then, and nobody will find out what it was."
        )
    _where_it_went(trial, photos)
    cost = {0: "no worker", 1: "one worker"}.get(died, f"{died} workers")
    return (
        f"`{POISON}` cost {cost}, and was then put into `{DEAD}`, where somebody can look at it. `dog`, which had "
        "waited behind it, was served."
    )


def _is_over(trial: Trial, photos: list[Message]) -> bool:
    """Tell whether nothing waits any more; what a quorum queue puts aside by itself is not seen on the wire."""
    cat, _, dog = photos
    if not (acked(cat) and acked(dog)):
        return False
    # A server may count by publishing a photo again.
    return all(m.settled for m in trial.story.messages if m.routing_key == QUEUE) or trial.counts(DEAD)["ready"] > 0


def _where_it_went(trial: Trial, photos: list[Message]) -> None:
    poison = photos[1]
    dead = trial.wait(lambda: trial.counts(DEAD)["ready"], seconds=0.5)
    if outcomes(poison)[-1:] == [HELD]:
        raise Mistake(f"`{POISON}` was delivered, and nobody has said what became of it: it stays unacked.")
    if not dead:
        raise Mistake(
            f"`{POISON}` kills nobody any more, and is gone: `{DEAD}` is empty. It has to be put there before it is "
            "acknowledged, so that somebody can look at it."
        )
    answered = [photo for photo in (photos[0], photos[2]) if photo.replies and acked(photo)]
    if len(answered) < 2 or dead > 1:
        raise Mistake(
            f"`{DEAD}` holds {dead}, where `{POISON}` alone belongs there, and {len(answered)} of the 2 photos that "
            "are harmless were answered."
        )


EXERCISE = Exercise(
    id="09-put-poison-aside",
    title="Spot and mend: the request that kills",
    task="""
This server makes photos smaller. One request is `huge`, and the process that works on it is killed by its operating
system. Whoever starts another server has it killed, too, and the other photos are never done. Mend it: `huge` may cost
three workers at the most, and has to end up in the queue `photos.dead`, which is there. (Leave `shrink` as it is.)
""",
    name="PhotoServer",
    starter="""\
class PhotoServer(rpclab.BaseServer):
    def __init__(self):
        super().__init__("photos")

    def shrink(self, photo):
        return b"a small " + photo

    def on_request(self, ch, method, props, body):
        reply = pika.BasicProperties(correlation_id=props.correlation_id)
        ch.basic_publish("", props.reply_to, self.shrink(body), reply)
        ch.basic_ack(method.delivery_tag)
""",
    solved="""\
class PhotoServer(rpclab.BaseServer):
    def __init__(self):
        super().__init__("photos")

    def shrink(self, photo):
        return b"a small " + photo

    def on_request(self, ch, method, props, body):
        if method.redelivered:
            ch.basic_publish("", "photos.dead", body, props)
        else:
            reply = pika.BasicProperties(correlation_id=props.correlation_id)
            ch.basic_publish("", props.reply_to, self.shrink(body), reply)
        ch.basic_ack(method.delivery_tag)
""",
    hints=(
        "No `try` helps against `kill -9`. What does the *next* worker know of a request that killed the last one?",
        "`method.redelivered` says that somebody had it before. `RpcServer` can count, too: `max_deliveries`.",
        "If it is redelivered, publish it to `photos.dead` and acknowledge it, instead of working on it.",
    ),
    judge=put_poison_aside,
)
