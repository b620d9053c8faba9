"""No report may be lost when a worker is killed."""

from __future__ import annotations

import multiprocessing
import time

from rpclab.broker.connect import connect
from rpclab.course.evidence import acked, outcomes, settled_before, went_round
from rpclab.course.exercise import Exercise
from rpclab.course.findings import not_consumed, refused, stopped
from rpclab.course.inside import serve
from rpclab.course.running import Running
from rpclab.course.trial import Trial
from rpclab.course.verdict import Mistake
from rpclab.environment import connection_parameters
from rpclab.wire.messages import ACKED, AUTO_ACKED, REJECTED, Message

REPORTS = ("report 1", "report 2", "report 3")
ROUNDS = 20


def work_and_tell(cls: type) -> None:
    """Run a report server whose work is seen on the wire; the first process never comes to its end."""
    hangs = multiprocessing.current_process().name.endswith("-0")

    class Watched(cls):
        def work(self, body):
            # On a connection that is opened now and closed at once: what the server has sent before is on the wire
            # before this, and what it sends afterwards comes after.
            with connect(connection_parameters(), "the work") as connection:
                connection.channel().basic_publish("", "journal", body)
            while hangs:
                time.sleep(1)

    serve(Watched)


def ack_after_work(trial: Trial, answer: type) -> str:
    """Kill the first worker at work, and see whether the second one gets everything."""
    trial.declare("reports", "journal")
    reports = [trial.publish("reports", body) for body in REPORTS]
    report = reports[0]
    running = trial.run("ReportServer", work_and_tell, answer)
    trial.wait(lambda: trial.message(REPORTS[0], "journal") or all(map(_passed, reports)), running)
    if not trial.message(REPORTS[0], "journal"):
        _never_worked(trial, running, report)
    begun = outcomes(report)
    running.kill()
    trial.wait(lambda: not trial.counts("reports")["consumers"] and not trial.counts("reports")["unacked"])
    left = trial.counts("reports")["ready"]
    _not_lost(begun, left)
    running.again()
    trial.wait(lambda: all(m.settled for m in reports) or went_round(report) > ROUNDS, running)
    if went_round(report) > ROUNDS:
        raise Mistake("`report 1` is put back into the queue again and again. Acknowledge it when the work is done.")
    if not all(map(acked, reports)):
        _never_acknowledged(trial, running, reports)
    for message in reports:
        journal = [m for m in trial.story.messages if m.routing_key == "journal" and m.body == message.body]
        if not journal or settled_before(message, journal[-1].time):
            raise Mistake(f"`{message.text()}` was acknowledged before its work, if it was worked on at all.")
    refused(trial)
    return (
        "The first worker was killed while it worked on `report 1`. The broker still had the message, since nobody had "
        "acknowledged it, and gave it to the second worker. All three reports were worked on, and acknowledged after."
    )


def _passed(message: Message) -> bool:
    """Tell whether `on_request` has come to its end with a message; ``auto_ack`` says nothing of that."""
    return outcomes(message)[-1:] in ([ACKED], [REJECTED])


def _never_worked(trial: Trial, running: Running, report: Message) -> None:
    stopped(trial, running)
    if not report.deliveries:
        not_consumed(trial, "reports")
    said = "acknowledged it without" if acked(report) else "did not begin"
    raise Mistake(f"`report 1` was delivered, and your `on_request` {said} the work: it has to call `self.work(body)`.")


def _not_lost(begun: list[str], left: int) -> None:
    """Judge what had become of the report when its work began."""
    if begun == [AUTO_ACKED]:
        raise Mistake(
            "You consume with `auto_ack=True`: the broker counted each message as dealt with the moment it was sent. "
            f"When the worker was killed at work on `report 1`, {left} of 3 reports were left in the queue; the rest "
            "is lost. Leave `start` as the base class has it, and acknowledge in `on_request`."
        )
    if begun == [ACKED]:
        raise Mistake(
            "You acknowledged before the work: when the worker was killed at work on `report 1`, the broker had "
            f"already forgotten the message. {left} of 3 reports were left in the queue, and nobody does `report 1`."
        )
    if begun == [REJECTED]:
        raise Mistake("You rejected `report 1` before the work, so the broker dropped it.")


def _never_acknowledged(trial: Trial, running: Running, reports: list[Message]) -> None:
    stopped(trial, running)
    first = next(message for message in reports if not acked(message))
    if REJECTED in outcomes(first):
        raise Mistake(f"`{first.text()}` was worked on and then rejected. What is done is acknowledged: `basic_ack`.")
    waiting = trial.counts("reports")
    raise Mistake(
        f"You never acknowledged `{first.text()}`, though its work was done. It stays unacked ({waiting['unacked']} in "
        f"the queue's count), a worker with prefetch 1 is sent nothing more ({waiting['ready']} wait), and when the "
        "worker ends, the work is done a second time."
    )


EXERCISE = Exercise(
    id="04-ack-after-work",
    title="Acknowledge after the work",
    task="""
Complete `on_request`. Whenever a worker is killed, no report may be lost. `self.work(body)` does the work and takes its
time; the check kills a worker in the middle of it, starts another, and asks the broker what is left.
""",
    name="ReportServer",
    starter="""\
class ReportServer(rpclab.BaseServer):
    def __init__(self):
        super().__init__("reports")

    def work(self, body):
        self.connection.sleep(0.1)

    def on_request(self, ch, method, props, body):
        ...
""",
    solved="""\
class ReportServer(rpclab.BaseServer):
    def __init__(self):
        super().__init__("reports")

    def work(self, body):
        self.connection.sleep(0.1)

    def on_request(self, ch, method, props, body):
        self.work(body)
        ch.basic_ack(delivery_tag=method.delivery_tag)
""",
    hints=(
        "The broker keeps a message until it is acknowledged. Until when does it have to keep this one?",
        "Two calls, in this order: the work, then the acknowledgement.",
        "`self.work(body)`, and then `ch.basic_ack(...)` with the delivery tag that `method` has.",
    ),
    judge=ack_after_work,
)
