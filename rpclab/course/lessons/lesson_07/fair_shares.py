"""Short jobs must not lie behind a long one while another worker has nothing to do."""

from __future__ import annotations

from pika import spec

from rpclab.course.evidence import held, outcomes
from rpclab.course.exercise import Exercise
from rpclab.course.findings import not_consumed, refused, stopped
from rpclab.course.inside import serve
from rpclab.course.trial import Trial
from rpclab.course.verdict import Mistake
from rpclab.wire.messages import ACKED, AUTO_ACKED, Message

QUEUE = "naps"
LONG = "0.9"
SHORT = ("0.01", "0.02", "0.03", "0.04", "0.05")
# What is acknowledged in less than half of its nap was acknowledged before it.
HALF_SECONDS = 0.45


def fair_shares(trial: Trial, answer: type) -> str:
    """Give a long job and five short ones to two workers, and see which of them lie unacked where."""
    pair = [trial.run(name, serve, answer) for name in ("EarlyWorker", "LateWorker")]
    if not trial.wait(lambda: trial.lab.tap.registry.consumers(QUEUE) == len(pair), pair[1]):
        for running in pair:
            stopped(trial, running)
        not_consumed(trial, QUEUE)
    long, *short = jobs = [trial.publish(QUEUE, body) for body in (LONG, *SHORT)]
    trial.wait(lambda: all(job.settled for job in jobs) and not any(map(held, jobs)), pair[0])
    for running in pair:
        stopped(trial, running)
    refused(trial)
    _acknowledged(trial, jobs)
    worker = long.deliveries[0]
    behind = [job for job in short if job.deliveries[0].to == worker.to and job.deliveries[0].time < worker.settled]
    if behind:
        _unfair(trial, behind, worker.to)
    return (
        f"One worker had the job `{LONG}`, and the broker sent it nothing else until that was acknowledged. All short "
        "jobs went to the other one, which was free."
    )


def _acknowledged(trial: Trial, jobs: list[Message]) -> None:
    """See that each job was acknowledged, when it was done."""
    long = jobs[0]
    if AUTO_ACKED in outcomes(long):
        raise Mistake(
            "You consume with `auto_ack=True`. A prefetch limit counts messages that are unacked, and here none ever "
            "is: the broker sends each worker all of its jobs at once."
        )
    for job in jobs:
        if outcomes(job)[-1:] != [ACKED]:
            waiting = trial.counts(QUEUE)
            raise Mistake(
                f"The job `{job.text()}` was not acknowledged. {waiting['unacked']} are unacked, {waiting['ready']} "
                "wait, and nothing goes on."
            )
    delivery = long.deliveries[0]
    if delivery.settled - delivery.time < HALF_SECONDS:
        late = [job for job in jobs[1:] if job.deliveries[0].settled - delivery.time > HALF_SECONDS]
        fate = "sent it more, which lay there until the nap was over" if late else "sent it the next"
        raise Mistake(
            f"The job `{LONG}` was acknowledged long before its nap could be over. So the broker took that worker for "
            f"free, and {fate}. A worker is free when the work is done, and not before."
        )


def _unfair(trial: Trial, behind: list[Message], worker: str) -> None:
    count = f"{len(behind)} of {len(SHORT)} short jobs"
    where = f"{count} lay unacked with `{worker}`, behind the job `{LONG}`, while the other worker had nothing to do."
    said = [event for event in trial.events if isinstance(event.method, spec.Basic.Qos | spec.Basic.Consume)]
    limits = [event for event in said if isinstance(event.method, spec.Basic.Qos)]
    if not limits:
        raise Mistake(
            f"{where} Nobody has told the broker a limit, so it deals the jobs out in turn, as many as there are."
        )
    if next(event for event in said if event.link is limits[0].link) is not limits[0]:
        raise Mistake(
            f"{where} You set a limit, and too late: `basic_qos` holds for consumers that come after it, and this one "
            "was there before."
        )
    limit = limits[-1].method.prefetch_count or "0, which means none"
    raise Mistake(f"{where} Your limit is {limit}. How many jobs may a worker hold that can do one at a time?")


EXERCISE = Exercise(
    id="07-fair-shares",
    title="Spot and mend: behind the long one",
    task="""
Each job says how many seconds to sleep. Two of these workers run. When a long job comes, some short ones wait for it to
end, although the other worker has nothing to do. Mend it, so that a job goes to a worker that is free.
""",
    name="NapServer",
    starter="""\
class NapServer:
    def __init__(self):
        self.connection = pika.BlockingConnection(rpclab.connection_parameters())
        self.channel = self.connection.channel()
        self.channel.queue_declare("naps", durable=True)

    def start(self):
        self.channel.basic_consume("naps", self.on_request)
        self.channel.start_consuming()

    def on_request(self, ch, method, props, body):
        self.connection.sleep(float(body))
        ch.basic_ack(method.delivery_tag)
""",
    solved="""\
class NapServer:
    def __init__(self):
        self.connection = pika.BlockingConnection(rpclab.connection_parameters())
        self.channel = self.connection.channel()
        self.channel.queue_declare("naps", durable=True)
        self.channel.basic_qos(prefetch_count=1)

    def start(self):
        self.channel.basic_consume("naps", self.on_request)
        self.channel.start_consuming()

    def on_request(self, ch, method, props, body):
        self.connection.sleep(float(body))
        ch.basic_ack(method.delivery_tag)
""",
    hints=(
        "When does the broker send a job to a worker: when the worker is free, or when the job is there?",
        "The broker stops sending when a worker holds as many unacked messages as its prefetch limit says.",
        "`basic_qos(prefetch_count=1)`, before the consumer is there.",
    ),
    judge=fair_shares,
)
