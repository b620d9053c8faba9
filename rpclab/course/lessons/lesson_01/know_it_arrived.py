"""Whether a queue took the message: mandatory, confirmed, and the exception turned into an answer."""

from __future__ import annotations

from pika import spec

from rpclab.broker.connect import connect
from rpclab.course.exercise import Exercise
from rpclab.course.findings import explain, refused
from rpclab.course.running import Running
from rpclab.course.trial import Trial
from rpclab.course.verdict import Mistake
from rpclab.environment import connection_parameters
from rpclab.rpc.queues import ADDITION_QUEUE
from rpclab.wire.messages import Message

MISSING, LOST = "Addition", "1,2"
CALLS = ((ADDITION_QUEUE, "3,5"), (MISSING, LOST), (ADDITION_QUEUE, "20,22"))
WANTED = [True, False, True]


def publish_each(arrived) -> list:
    """Call the learner's function for each message, on a channel of its own; runs in a process."""
    with connect(connection_parameters()) as connection:
        return [arrived(connection.channel(), queue, body) for queue, body in CALLS]


def know_it_arrived(trial: Trial, answer) -> str:
    """Publish to a queue that is there, to one that is not, and once more to the first."""
    trial.declare(ADDITION_QUEUE)
    running = trial.run("Publisher", publish_each, answer)
    trial.wait(lambda: not running.alive, running)
    _made_or_asked(trial)
    refused(trial)
    _what_was_lost(running, trial.message(LOST))
    if running.outcome.value != WANTED:
        raise Mistake(f"The three calls should have returned `{WANTED}`. {explain(running)}")
    ready = trial.counts(ADDITION_QUEUE)["ready"]
    if ready != WANTED.count(True):
        raise Mistake(f"Two messages should be in `{ADDITION_QUEUE}`, as your code said. There are {ready}.")
    return (
        f"Two messages are in `{ADDITION_QUEUE}`. The third, `{LOST}`, fitted no queue: the broker handed it back "
        "(`NO_ROUTE`), and your code said so instead of leaving it at that."
    )


def _made_or_asked(trial: Trial) -> None:
    """Judge what was done about the queue instead of the message."""
    if MISSING in trial.lab.queues().column("name"):
        raise Mistake(
            f"The queue `{MISSING}` is there now: your code has declared it. The question was whether anybody had, "
            "and a queue that only the publisher knows is read by nobody."
        )
    asked = [event.method for event in trial.events if isinstance(event.method, spec.Queue.Declare)]
    if any(method.passive and method.queue == MISSING for method in asked):
        raise Mistake(
            "You asked whether the queue is there, before you published or instead. Between question and message a "
            "queue can come or go; and asking for one that is missing closes the channel. Let the broker say it of the "
            "message itself."
        )


def _what_was_lost(running: Running, lost: Message | None) -> None:
    """Judge what became of the message that fits no queue, and what was said of it."""
    if lost is None:
        raise Mistake(f"No message `{LOST}` was published. {explain(running)}")
    if running.outcome.error == "UnroutableError":
        raise Mistake(
            f"The broker handed `{LOST}` back and pika raised `UnroutableError`, which nobody caught. That is the news "
            "you wanted: turn it into `False`."
        )
    if not lost.mandatory:
        confirmed = " It even confirmed it: to the broker, dropped is dealt with." if lost.confirmed else ""
        raise Mistake(
            f"`{LOST}` fitted no queue, so the broker dropped it without a word.{confirmed} A message that has to "
            f"reach a queue says so itself. {explain(running)}"
        )
    if running.outcome.state == "returned" and running.outcome.value == [True] * len(CALLS):
        early = "too late: `basic_publish` had returned with the message still on its way, for nothing made it wait"
        heard = "and your code returned `True` all the same" if lost.confirmed else early
        raise Mistake(f"The broker handed `{LOST}` back ({lost.returned}), {heard}.")


EXERCISE = Exercise(
    id="01-know-it-arrived",
    title="Know whether it arrived",
    task="""
`arrived` publishes `body` to the queue of that name, and returns `True` whatever happens. Mend it: `True` if the queue
took the message, `False` if there is none. It declares nothing and raises nothing. The check calls it three times, each
time with a channel that was just opened; the second time there is no such queue.
""",
    name="arrived",
    starter="""\
def arrived(channel, queue, body):
    channel.basic_publish(exchange="", routing_key=queue, body=body)
    return True
""",
    solved="""\
def arrived(channel, queue, body):
    channel.confirm_delivery()
    try:
        channel.basic_publish(exchange="", routing_key=queue, body=body, mandatory=True)
    except pika.exceptions.UnroutableError:
        return False
    return True
""",
    hints=(
        "With which argument of `basic_publish` does a message come back if no queue takes it?",
        "`mandatory=True` sends it back; only on a channel that confirms does `basic_publish` wait for that.",
        "`channel.confirm_delivery()`, then publish as mandatory, and catch `pika.exceptions.UnroutableError`.",
    ),
    judge=know_it_arrived,
)
