"""A durable queue, a persistent message, and the broker's word that it has it."""

from __future__ import annotations

from rpclab.broker.connect import connect
from rpclab.course.exercise import Exercise
from rpclab.course.findings import explain, refused
from rpclab.course.lessons.lesson_01.declared import declared
from rpclab.course.trial import Trial
from rpclab.course.verdict import Mistake
from rpclab.environment import connection_parameters
from rpclab.wire.messages import Message

LEDGER = "ledger"
TOTALS = (8, 42)
PERSISTENT = 2


def keep_each(keep) -> None:
    """Have each total kept, and end; runs in a process."""
    with connect(connection_parameters()) as connection:
        for total in TOTALS:
            keep(connection.channel(), total)


def made_to_last(trial: Trial, answer) -> str:
    """Have two totals kept, and see what a restart of the broker would leave of them."""
    running = trial.run("Bookkeeper", keep_each, answer)
    trial.wait(lambda: not running.alive, running)
    refused(trial)
    queue = next(iter(trial.lab.queues().where(name=LEDGER)), None)
    kept = [trial.message(str(total)) for total in TOTALS]
    if queue and not queue["durable"]:
        raise Mistake(
            f"The queue `{LEDGER}` is not durable. After a restart there would be no such queue, and none of the "
            "messages that were in it, however they were published."
        )
    if running.outcome.state != "returned" or None in kept:
        raise Mistake(f"Both totals, `8` and `42`, should be published as text. {explain(running)}")
    if queue is None or queue["ready"] != len(TOTALS):
        _not_there(trial, queue)
    for message in kept:
        _would_survive(message, quorum=queue["type"] == "quorum")
    return (
        f"Both totals are in `{LEDGER}`: the queue is durable, the messages are persistent, and the broker has "
        "confirmed each of them, so your program knows that they are safe and does not merely hope so."
    )


def _not_there(trial: Trial, queue: dict | None) -> None:
    """Say why the totals are lost even without a restart."""
    if queue is None and LEDGER in declared(trial):
        raise Mistake(
            f"The queue `{LEDGER}` was declared for one connection alone. It went when your program closed that "
            "connection, and both totals with it; it did not take a restart."
        )
    if queue is None:
        raise Mistake(f"Nobody has declared a queue `{LEDGER}`: both totals were dropped as they came.")
    raise Mistake(f"`{LEDGER}` should hold {len(TOTALS)} totals, and it holds {queue['ready']}.")


def _would_survive(message: Message, *, quorum: bool) -> None:
    # A quorum queue writes down whatever it is given.
    if message.properties.delivery_mode != PERSISTENT and not quorum:
        mode = message.properties.delivery_mode
        how = f"with `delivery_mode` {mode}" if mode else "without a `delivery_mode`, which means transient"
        raise Mistake(
            f"The queue would survive a restart, and come back empty: `{message.text()}` was published {how}. Durable "
            "is said of a queue; of a message something else has to be said as well."
        )
    if not message.confirmed:
        raise Mistake(
            f"`{message.text()}` is persistent, in a durable queue, and your program does not know it: the broker was "
            "not asked to confirm. If the power fails while the message is on its way, `keep` has returned as if all "
            "were well."
        )


EXERCISE = Exercise(
    id="01-made-to-last",
    title="Spot and mend: the ledger that a power cut empties",
    task="""
`keep` enters a total into the queue `ledger`. When it has returned, the entry has to be safe: the broker may be
restarted at any moment, or lose its power. Three things are missing. (The check restarts nothing; it reads from the
wire and from the broker what a restart would find.)
""",
    name="keep",
    starter="""\
def keep(channel, total):
    channel.queue_declare("ledger")
    properties = pika.BasicProperties(content_type="text/plain")
    channel.basic_publish("", "ledger", str(total), properties)
""",
    solved="""\
def keep(channel, total):
    channel.confirm_delivery()
    channel.queue_declare("ledger", durable=True)
    properties = pika.BasicProperties(content_type="text/plain", delivery_mode=pika.DeliveryMode.Persistent)
    channel.basic_publish("", "ledger", str(total), properties)
""",
    hints=(
        "Three have to play their part: the queue, the message, and the channel.",
        "`durable=True` for the queue, `delivery_mode=pika.DeliveryMode.Persistent` for the message.",
        "And `channel.confirm_delivery()`, so that `basic_publish` returns when the broker has the message.",
    ),
    judge=made_to_last,
)
