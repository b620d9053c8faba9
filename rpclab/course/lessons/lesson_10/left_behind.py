"""A queue that nobody reads any more goes on filling up as long as one binding is left."""

from __future__ import annotations

from rpclab.course.exercise import Exercise
from rpclab.course.findings import explain, refused
from rpclab.course.lessons.lesson_10.tools import ended, with_channel_and_ctl
from rpclab.course.running import Running
from rpclab.course.trial import Trial
from rpclab.course.verdict import Mistake

QUEUE = "audit"
KEPT = ("3,5", "20,22")
EXCHANGES = {"requests": "direct", "events": "topic"}
BINDINGS = (
    ("requests", "add", QUEUE), ("requests", "fib", QUEUE), ("events", "#", QUEUE),
    ("requests", "add", "addition"), ("events", "*.failed", "alarms"),
)
LATER = (("events", "addition.failed"), ("requests", "fib"), ("requests", "add"))


def left_behind(trial: Trial, answer) -> str:
    """Let a function take a queue out of service, and then publish what would have reached it before."""
    trial.declare(QUEUE, "addition", "alarms")
    for exchange, kind in EXCHANGES.items():
        trial.channel.exchange_declare(exchange, exchange_type=kind, durable=True)
    for body in KEPT:
        trial.publish(QUEUE, body)
    for exchange, key, queue in BINDINGS:
        trial.channel.queue_bind(queue, exchange, routing_key=key)
    running = trial.run("Administrator", with_channel_and_ctl, answer, trial.lab.broker, trial.lab.vhost, QUEUE)
    ended(trial, running)
    _kept(trial)
    _publish(trial)
    _nothing_new(trial, running)
    refused(trial)
    if running.outcome.state != "returned":
        raise Mistake(f"No binding is left, but then: {explain(running)}")
    return (
        f"Nothing reaches `{QUEUE}` any more, whichever exchange it is published to. The {len(KEPT)} copies in it are "
        "there, and all other queues get what they got before."
    )


def _kept(trial: Trial) -> None:
    if QUEUE not in trial.lab.queues().column("name"):
        raise Mistake(
            f"You deleted `{QUEUE}`. Its bindings went with it, and so did the {len(KEPT)} messages that the auditors "
            "still want to read."
        )
    if trial.counts(QUEUE)["ready"] < len(KEPT):
        raise Mistake(f"`{QUEUE}` held {len(KEPT)} messages that were to be kept, and they are gone.")


def _publish(trial: Trial) -> None:
    """Publish a message for each way that led to the queue; it is where it goes when this returns."""
    channel = trial.channel.connection.channel()
    channel.confirm_delivery()
    for exchange, key in LATER:
        channel.basic_publish(exchange, key, key)
    channel.close()


def _nothing_new(trial: Trial, running: Running) -> None:
    bindings = [row for row in trial.lab.bindings() if row["exchange"] != "(default)"]
    for queue, exchange, key in (("addition", "requests", "add"), ("alarms", "events", "addition.failed")):
        if not trial.counts(queue)["ready"]:
            raise Mistake(
                f"A message to `{exchange}` with the key `{key}` does not reach `{queue}` any more: you have removed "
                "a binding of a queue that is in service."
            )
    fresh = trial.counts(QUEUE)["ready"] - len(KEPT)
    left = [f"`{row['exchange']}` by `{row['routing key']}`" for row in bindings if row["destination"] == QUEUE]
    if not fresh:
        return
    refused(trial)
    raise Mistake(
        f"{'' if running.outcome.state == 'returned' else explain(running) + ' '}Then {len(LATER)} messages were "
        f"published, and {fresh} of them came into `{QUEUE}`. The broker still has bindings that lead there: from "
        f"{', '.join(left)}. To remove one that does not exist is no error."
    )


EXERCISE = Exercise(
    id="10-left-behind",
    title="Spot and mend: the queue that goes on filling up",
    task="""
The program that read the queue `audit` has been switched off. `retire` is to see that nothing comes into the queue any
more, and that what is in it stays. It raises no error, and the queue goes on filling up. Several people have bound it
over the years, to several exchanges; `ctl`, which is `lab.ctl`, can tell.
""",
    name="retire",
    starter="""\
def retire(channel, ctl, queue):
    channel.queue_unbind(queue, "requests", routing_key=queue)
""",
    solved="""\
def retire(channel, ctl, queue):
    listed = ctl("list_bindings", "source_name", "destination_name", "routing_key").text
    for line in listed.splitlines()[1:]:
        exchange, destination, key = line.split("\\t")
        if destination == queue and exchange:
            channel.queue_unbind(queue, exchange, routing_key=key)
""",
    hints=(
        "A binding is removed with exactly the arguments that made it. Which bindings does the queue have?",
        "`ctl(\"list_bindings\", \"source_name\", \"destination_name\", \"routing_key\").text` has a line for each, "
        "with tabs between the columns, and a heading.",
        "Unbind each line whose destination is `queue`, but for the one without a source: that is the default "
        "exchange, and cannot be unbound.",
    ),
    judge=left_behind,
)
