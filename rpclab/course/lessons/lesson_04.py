"""Lesson 04: when to acknowledge, where impossible requests go, and on which channel to acknowledge."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable

from rpclab.broker.connect import connect
from rpclab.broker.environment import connection_parameters
from rpclab.course.evidence import acked, held, outcomes, settled_before, times_requeued
from rpclab.course.exercise_runner import consume, serve
from rpclab.course.findings import not_consumed, refused, stopped
from rpclab.course.running import Running
from rpclab.course.trial import Trial
from rpclab.course.verdict import Mistake
from rpclab.wire.messages import ACKED, AUTO_ACKED, REJECTED, Message

REPORTS = ("report 1", "report 2", "report 3")
POISON = "three,five"
SUMS = ("1,2", POISON, "20,22")
# A message that is requeued more often than this loops.
ROUNDS = 20


def work_and_report(cls: type) -> None:
    """Run a report server whose work shows on the wire; the first process never finishes."""
    hangs = multiprocessing.current_process().name.endswith("-0")

    class Watched(cls):
        def work(self, body: bytes) -> None:
            # A connection that is opened now and closed at once: on the wire, this message is in order with what the
            # server sends before and after it.
            with connect(connection_parameters(), "the work") as connection:
                connection.channel().basic_publish("", "journal", body)
            while hangs:
                time.sleep(1)

    serve(Watched)


def ack_after_work(trial: Trial, answer: type) -> str:
    """Kill the first worker at work, and check that the second one gets everything."""
    trial.declare("reports", "journal")
    reports = [trial.publish("reports", body) for body in REPORTS]
    report = reports[0]
    running = trial.run("ReportServer", work_and_report, answer)
    settled = {ACKED, REJECTED}  # by `on_request`; auto_ack settles without it
    trial.wait(lambda: trial.message(REPORTS[0], "journal") or all(settled & {*outcomes(m)} for m in reports), running)
    if not trial.message(REPORTS[0], "journal"):
        _never_worked(trial, running, report)
    begun = outcomes(report)
    running.kill()
    trial.wait(lambda: not trial.counts("reports")["consumers"] and not trial.counts("reports")["unacked"])
    _not_lost(begun, trial.counts("reports")["ready"])
    running.again()
    trial.wait(lambda: all(m.settled for m in reports) or times_requeued(report) > ROUNDS, running)
    if times_requeued(report) > ROUNDS:
        raise Mistake("`report 1` is requeued again and again. Acknowledge it when the work is done.")
    if not all(map(acked, reports)):
        _never_acknowledged(trial, running, reports)
    for message in reports:
        journal = [m for m in trial.story.messages if m.routing_key == "journal" and m.body == message.body]
        if not journal or settled_before(message, journal[-1].time):
            raise Mistake(f"`{message.text()}` was acknowledged before its work, or without it.")
    refused(trial)
    return (
        "The first worker was killed while it processed `report 1`. The broker still had the unacknowledged message, "
        "and redelivered it to the second worker. All three reports were processed, and then acknowledged."
    )


def _never_worked(trial: Trial, running: Running, report: Message) -> None:
    stopped(trial, running)
    if not report.deliveries:
        not_consumed(trial, "reports")
    said = "acknowledged it without" if acked(report) else "did not begin"
    raise Mistake(f"`report 1` was delivered, and your `on_request` {said} the work: it has to call `self.work(body)`.")


def _not_lost(begun: list[str], left: int) -> None:
    """Judge what had happened to the report when its work began."""
    if begun == [AUTO_ACKED]:
        raise Mistake(
            f"You consume with `auto_ack=True`: the broker counted each message as handled when it sent it. When the "
            f"worker was killed during `report 1`, {left} of 3 reports were left in the queue; the others are lost. "
            "Leave `start` as the base class has it, and acknowledge in `on_request`."
        )
    if begun == [ACKED]:
        raise Mistake(
            "You acknowledged before the work: when the worker was killed during `report 1`, the broker had already "
            f"forgotten the message. {left} of 3 reports were left in the queue, and `report 1` is lost."
        )
    if begun == [REJECTED]:
        raise Mistake("You rejected `report 1` before the work, so the broker dropped it.")


def _never_acknowledged(trial: Trial, running: Running, reports: list[Message]) -> None:
    stopped(trial, running)
    first = next(message for message in reports if not acked(message))
    if REJECTED in outcomes(first):
        raise Mistake(f"`{first.text()}` was processed and then rejected. Acknowledge work that is done: `basic_ack`.")
    waiting = trial.counts("reports")
    raise Mistake(
        f"You never acknowledged `{first.text()}`, though its work was done. It stays unacked ({waiting['unacked']} in "
        f"the queue's count), a worker with prefetch 1 is sent nothing more ({waiting['ready']} wait), and when the "
        "worker ends, another one repeats the work."
    )


def end_the_loop(trial: Trial, answer: Callable) -> str:
    """Send an impossible request between two good ones."""
    trial.declare("sums.dead", "totals")
    trial.declare("sums", x_dead_letter_exchange="", x_dead_letter_routing_key="sums.dead")
    sums = [trial.publish("sums", body) for body in SUMS]
    poison = sums[1]
    running = trial.run("SumWorker", consume, answer, "sums")
    trial.wait(lambda: all(message.settled for message in sums) or times_requeued(poison) > ROUNDS, running)
    if times_requeued(poison) > ROUNDS:
        raise Mistake(
            f"`{POISON}` still loops: it was delivered more than {ROUNDS} times in a moment. `requeue=True` puts it "
            "back at the front of its queue, and the same worker gets it again at once; other requests wait."
        )
    if stuck := next(filter(held, sums), None):
        raise Mistake(
            f"`{stuck.text()}` was never acknowledged or rejected: it stays unacked. The worker may hold one message "
            f"at a time, and is sent nothing more. Ready behind it: {trial.counts('sums')['ready']}."
        )
    stopped(trial, running, f"`{POISON}` ends a worker, is requeued, and ends the next one too. ")
    refused(trial)
    dead = trial.wait(lambda: trial.counts("sums.dead")["ready"], seconds=0 if acked(poison) else 1)
    if not dead:
        how = "acknowledged" if acked(poison) else "rejected"
        raise Mistake(
            f"The loop has ended, and `{POISON}` is lost: you {how} it, and `sums.dead` is empty. Reject it so that "
            "the queue's dead-letter exchange gets it."
        )
    totals = [body for body in ("3", "42") if trial.message(body, "totals")]
    if len(totals) < 2 or dead > 1 or not (acked(sums[0]) and acked(sums[2])):
        raise Mistake(
            f"`{POISON}` is handled, but the good requests are not: {len(totals)} of 2 totals are in `totals`, and "
            f"{dead - 1} went to `sums.dead`."
        )
    return (
        f"`{POISON}` was rejected once and waits in `sums.dead` for a person to look at it. The other two requests "
        "were answered and acknowledged. Nothing is lost, and nothing loops."
    )


def own_channel(trial: Trial, answer: type) -> str:
    """Let the answer archive three letters, and check on which channel it acknowledges them."""
    trial.declare("letters", "archive")
    letters = [trial.publish("letters", f"letter {number}") for number in (1, 2, 3)]
    running = trial.run("Archivist", serve, answer)
    trial.wait(lambda: all(map(acked, letters)), running)
    refused(trial)
    stopped(trial, running)
    if not letters[0].deliveries:
        not_consumed(trial, "letters")
    if first := next((letter for letter in letters if not acked(letter)), None):
        raise Mistake(
            f"`{first.text()}` was delivered and not acknowledged, so the worker is sent nothing more: "
            f"{trial.counts('letters')['ready']} letters wait. Acknowledge its tag on the channel that delivered it."
        )
    copies = trial.counts("archive")["ready"]
    if copies != len(letters):
        raise Mistake(f"All letters were acknowledged, and `archive` holds {copies} of {len(letters)}.")
    return (
        "Your code acknowledged each letter on the channel that had delivered it, and the broker accepted every "
        "acknowledgement: 3 letters in `archive`, none left in `letters`."
    )
