"""Work that must not happen twice, and workers that die before it and after it."""

from __future__ import annotations

import multiprocessing
import time

from pika.adapters.blocking_connection import BlockingChannel

from rpclab.broker.connect import connect
from rpclab.course.evidence import acked, outcomes
from rpclab.course.exercise import Exercise
from rpclab.course.findings import refused, stopped
from rpclab.course.inside import serve
from rpclab.course.lessons.lesson_09.starting import start
from rpclab.course.running import Running
from rpclab.course.trial import Trial
from rpclab.course.verdict import Mistake
from rpclab.environment import connection_parameters
from rpclab.wire.messages import ACKED, AUTO_ACKED, Message

QUEUE, BEGUN, SHOP = "orders", "begun", "shop"
BODY = "a book"


def order_and_tell(cls: type) -> None:
    """Run an order server: the first process hangs before the work, the second between the work and its ack."""
    number = multiprocessing.current_process().name.rpartition("-")[2]
    ordered = []

    class Watched(cls):
        def order(self, body):
            with connect(connection_parameters(), "the work") as connection:
                connection.channel().basic_publish("", BEGUN if number == "0" else SHOP, body)
            while number == "0":
                time.sleep(1)
            ordered.append(body)

    acknowledge = BlockingChannel.basic_ack

    def never_come_to_it(*arguments, **options):
        while ordered:
            time.sleep(1)
        acknowledge(*arguments, **options)

    if number == "1":
        BlockingChannel.basic_ack = never_come_to_it
    serve(Watched)


def order_once(trial: Trial, answer: type) -> str:
    """Have one worker die before its work and one after it, and count what the shop was told."""
    trial.declare(BEGUN, SHOP)
    running = start(trial, "OrderServer", order_and_tell, answer, QUEUE)
    callback = trial.channel.queue_declare("", exclusive=True).method.queue
    first = trial.publish(QUEUE, BODY, reply_to=callback, correlation_id="order 1")
    _dies_before_its_work(trial, running, first)
    running.again()
    _dies_after_its_work(trial, running, first)
    running.again()
    trial.wait(lambda: acked(first) or len(_ordered(trial)) > 1, running)
    trial.wait(lambda: acked(first), running)
    stopped(trial, running)
    refused(trial)
    if len(_ordered(trial)) > 1:
        raise Mistake(
            f"`{BODY}` was ordered twice. The second worker ordered it, replied, and died before its acknowledgement; "
            "the request came again, and the third ordered it once more. It is a new process, and knows nothing of "
            "what a dead one had in its variables."
        )
    if not acked(first):
        raise Mistake(f"`{BODY}` was ordered once, and the third worker does not acknowledge it: it stays unacked.")
    _somebody_else(trial, running, callback)
    return (
        f"The first worker died before it had ordered `{BODY}`, the second one after it. The request was delivered "
        "three times and the book ordered once. Somebody else, who wanted the same, got one as well."
    )


def _ordered(trial: Trial) -> list[Message]:
    return [message for message in trial.story.messages if message.routing_key == SHOP]


def _dies_before_its_work(trial: Trial, running: Running, first: Message) -> None:
    trial.wait(lambda: trial.message(BODY, BEGUN) or first.replies, running)
    if not trial.message(BODY, BEGUN):
        stopped(trial, running)
        refused(trial)
        raise Mistake(f"`{BODY}` was delivered, and not ordered: your server has to call `self.order(body)` for it.")
    before = outcomes(first)[-1:]
    _kill(trial, running)
    if before in ([ACKED], [AUTO_ACKED]):
        raise Mistake(
            f"The first worker was killed before it had ordered `{BODY}`, and had acknowledged it already. The broker "
            "has forgotten the request: not twice, but never. Nobody orders the book."
        )


def _dies_after_its_work(trial: Trial, running: Running, first: Message) -> None:
    trial.wait(lambda: first.replies or acked(first), running)
    if not _ordered(trial) and (first.replies or acked(first)):
        raise Mistake(
            f"Nobody has ordered `{BODY}`. The first worker died before it came to that; the second took the request, "
            "which was marked redelivered, for one that is done. `redelivered` says that somebody had it, and not what "
            "became of it."
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
    trial.wait(lambda: not trial.counts(QUEUE)["consumers"] and not trial.counts(QUEUE)["unacked"])


def _somebody_else(trial: Trial, running: Running, callback: str) -> None:
    """See that the same order of somebody else is one of its own."""
    second = trial.publish(QUEUE, BODY, reply_to=callback, correlation_id="order 2")
    trial.wait(lambda: acked(second) and second.replies, running)
    stopped(trial, running)
    if len(_ordered(trial)) == 1:
        raise Mistake(
            f"Then somebody else wanted `{BODY}`, in a request with a correlation id of its own, and got none: your "
            "server took it for the first one. Two requests may have the same body."
        )
    missing = [what for what, there in (("answered", second.replies), ("acknowledged", acked(second))) if not there]
    if missing:
        raise Mistake(f"A second request, `{BODY}` for somebody else, was not {' and not '.join(missing)}.")


EXERCISE = Exercise(
    id="09-order-once",
    title="Spot and mend: the book that came twice",
    task="""
`self.order(body)` sends an order to a shop. A customer has received two books and asked for one: a worker had died
after the order and before its acknowledgement. Mend it. The check has one worker die before it orders, one after it,
and counts what the shop was told. Two customers may well want the same book.
""",
    name="OrderServer",
    starter="""\
class OrderServer(rpclab.RpcServer):
    def __init__(self):
        super().__init__("orders")

    def handle(self, body):
        self.order(body)
        return "ordered"
""",
    solved="""\
class OrderServer(rpclab.RpcServer):
    def __init__(self):
        super().__init__("orders", remember=60)

    def handle(self, body):
        self.order(body)
        return "ordered"
""",
    hints=(
        "What would the next worker have to know, and where can it be kept so that it outlives the one before?",
        "What tells two requests apart is not their body. `RpcServer` can keep its answers on the broker.",
        "It is an option of `RpcServer`: for how many seconds to remember.",
    ),
    judge=order_once,
)
