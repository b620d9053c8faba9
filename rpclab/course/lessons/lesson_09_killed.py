"""Lesson 09: work that must not happen twice, and a request that kills its worker."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from typing import Any

from pika.channel import Channel

from rpclab.broker.connect import connect
from rpclab.broker.environment import connection_parameters
from rpclab.course.evidence import acked, held, outcomes, times_requeued
from rpclab.course.exercise_runner import serve
from rpclab.course.findings import refused, stopped, until, until_consuming
from rpclab.course.running import Running
from rpclab.course.trial import Trial
from rpclab.course.verdict import Mistake
from rpclab.wire.messages import LOST, Message

ORDERS, BEGUN, SHOP = "orders", "begun", "shop"
BODY = "a book"

PHOTOS, DEAD = "photos", "photos.dead"
POISON = "huge"
MOST_WORKERS = 3
ROUNDS = 20


def order_and_report(cls: type) -> None:
    """Run an order server: the first process hangs before the work, the second between the work and its ack."""
    number = multiprocessing.current_process().name.rpartition("-")[2]
    ordered = []

    class Watched(cls):
        def order(self, body: bytes) -> None:
            with connect(connection_parameters(), "the work") as connection:
                connection.channel().basic_publish("", BEGUN if number == "0" else SHOP, body)
            while number == "0":
                time.sleep(1)
            ordered.append(body)

    acknowledge = Channel.basic_ack

    def never_acknowledge(*arguments: Any, **options: Any) -> None:
        while ordered:
            time.sleep(1)
        acknowledge(*arguments, **options)

    if number == "1":
        Channel.basic_ack = never_acknowledge  # type: ignore[method-assign]  # here it should hang
    serve(Watched)


def order_once(trial: Trial, answer: type) -> str:
    """Kill one worker before its work and one after it, and count the orders in the shop."""
    trial.declare(BEGUN, SHOP)
    running = trial.run("OrderServer", order_and_report, answer)
    until_consuming(trial, running, ORDERS)
    callback = trial.channel.queue_declare("", exclusive=True).method.queue
    first = trial.publish(ORDERS, BODY, reply_to=callback, correlation_id="order 1")
    _dies_before_its_work(trial, running, first)
    running.again()
    _dies_after_its_work(trial, running, first)
    running.again()
    until(trial, lambda: acked(first), running)
    if len(_ordered(trial)) > 1:
        raise Mistake(
            f"`{BODY}` was ordered twice. The second worker ordered it, replied, and died before its acknowledgement. "
            "The request was redelivered, and the third worker ordered it once more. It is a new process, and does not "
            "know the variables of a dead one."
        )
    if not acked(first):
        raise Mistake(f"`{BODY}` was ordered once, and the third worker does not acknowledge it: it stays unacked.")
    second = trial.publish(ORDERS, BODY, reply_to=callback, correlation_id="order 2")
    until(trial, lambda: acked(second) and second.replies, running)
    if len(_ordered(trial)) == 1:
        raise Mistake(
            f"Then another customer ordered `{BODY}`, in a request with its own correlation id, and got none: your "
            "server took it for the first one. Two requests may have the same body."
        )
    missing = [what for what, there in (("answered", second.replies), ("acknowledged", acked(second))) if not there]
    if missing:
        raise Mistake(f"A second request, `{BODY}` for another customer, was not {' and not '.join(missing)}.")
    return (
        f"The first worker died before it had ordered `{BODY}`, the second one after it. The request was delivered "
        "three times and the book ordered once. Another customer, who wanted the same book, got one as well."
    )


def _ordered(trial: Trial) -> list[Message]:
    return [message for message in trial.story.messages if message.routing_key == SHOP]


def _dies_before_its_work(trial: Trial, running: Running, first: Message) -> None:
    until(trial, lambda: trial.message(BODY, BEGUN) or first.replies, running)
    if not trial.message(BODY, BEGUN):
        raise Mistake(f"`{BODY}` was delivered, and not ordered: your server must call `self.order(body)` for it.")
    _kill(trial, running)
    if acked(first):
        raise Mistake(
            f"The first worker was killed before it had ordered `{BODY}`, and had acknowledged it already. The broker "
            "has deleted the request, so no worker ever orders the book."
        )


def _dies_after_its_work(trial: Trial, running: Running, first: Message) -> None:
    trial.wait(lambda: first.replies or acked(first), running)
    if not _ordered(trial) and (first.replies or acked(first)):
        raise Mistake(
            f"No worker has ordered `{BODY}`. The first worker died before it did; the second took the request, which "
            "was marked redelivered, for one that is done. `redelivered` says that a worker had it, and not whether "
            "the work was done."
        )
    stopped(trial, running)
    refused(trial)
    if not _ordered(trial) or not first.replies:
        raise Mistake(
            f"The second worker took `{BODY}` and {'did not reply' if _ordered(trial) else 'did not order it'} within "
            "the time of this check."
        )
    _kill(trial, running)


def _kill(trial: Trial, running: Running) -> None:
    """Kill a worker, and return when the broker has noticed."""
    running.kill()
    trial.wait(lambda: not trial.counts(ORDERS)["consumers"] and not trial.counts(ORDERS)["unacked"])


def shrink_or_die(cls: type) -> None:
    """Run a photo server that one of the photos kills, as one too large for its memory would."""

    class Fragile(cls):
        def shrink(self, photo: bytes | str) -> object:
            if photo in (POISON, POISON.encode()):
                os.kill(os.getpid(), signal.SIGKILL)
            return super().shrink(photo)

    serve(Fragile)


def quarantine_poison(trial: Trial, answer: type) -> str:
    """Send a photo that kills between two that do not, and replace each worker that dies."""
    trial.declare(DEAD)
    running = trial.run("PhotoServer", shrink_or_die, answer)
    until_consuming(trial, running, PHOTOS)
    photos = trial.ask(PHOTOS, "cat", POISON, "dog")
    poison = photos[1]
    for died in range(MOST_WORKERS + 1):
        trial.wait(lambda: _is_over(trial, photos) or times_requeued(poison) > ROUNDS, running)
        if running.alive or running.outcome.state != "gone":
            break
        if died == MOST_WORKERS:
            raise Mistake(
                f"`{POISON}` has killed {died + 1} workers, one after the other, and is at the front of the queue "
                "again, before `dog`, which no worker has reached. Your server should count how often it was "
                "delivered, and move it to `photos.dead`."
            )
        running.again()
    if times_requeued(poison) > ROUNDS:
        raise Mistake(f"`{POISON}` kills no worker any more, and loops: it was requeued more than {ROUNDS} times.")
    refused(trial)
    stopped(trial, running)
    if died and LOST not in outcomes(poison):
        raise Mistake(
            f"`{POISON}` is lost: it was acknowledged before its work, and then killed its worker. The broker had "
            "deleted it by then, so you cannot find out what it was."
        )
    _where_it_went(trial, *photos)
    cost = {0: "no worker", 1: "one worker"}.get(died, f"{died} workers")
    return (
        f"`{POISON}` cost {cost}, and was then moved to `{DEAD}`, where a person can look at it. `dog`, which had "
        "waited behind it, was answered."
    )


def _is_over(trial: Trial, photos: list[Message]) -> bool:
    """Return whether nothing waits any more; what a quorum queue dead-letters by itself is not seen on the wire."""
    cat, _, dog = photos
    if not (acked(cat) and acked(dog)):
        return False
    # A server may count by publishing a photo again.
    return all(m.settled for m in trial.story.messages if m.routing_key == PHOTOS) or trial.counts(DEAD)["ready"] > 0


def _where_it_went(trial: Trial, cat: Message, poison: Message, dog: Message) -> None:
    dead = trial.wait(lambda: trial.counts(DEAD)["ready"], seconds=0.5)
    if held(poison):
        raise Mistake(f"`{POISON}` was delivered and neither acknowledged nor rejected: it stays unacked.")
    if not dead:
        raise Mistake(
            f"`{POISON}` kills no worker any more, and is lost: `{DEAD}` is empty. Publish it there before you "
            "acknowledge it, so that a person can look at it."
        )
    answered = [photo for photo in (cat, dog) if photo.replies and acked(photo)]
    if len(answered) < 2 or dead > 1:
        raise Mistake(
            f"`{DEAD}` should hold `{POISON}` alone, and holds {dead}. Of the 2 harmless photos, {len(answered)} got a "
            "reply."
        )
