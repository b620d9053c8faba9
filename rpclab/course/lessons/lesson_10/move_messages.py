"""Emptying a queue in a way that can be undone."""

from __future__ import annotations

from rpclab.course.evidence import settled_before
from rpclab.course.exercise import Exercise
from rpclab.course.findings import explain, refused
from rpclab.course.lessons.lesson_10.tools import with_channel
from rpclab.course.trial import CHECK, Trial
from rpclab.course.verdict import Mistake
from rpclab.wire.messages import Message

SOURCE, TARGET = "addition", "parked"
BODIES = ("3,5", "20,22", "1,1")
ENDLESS = 20
PROPERTIES = ("reply_to", "correlation_id", "delivery_mode")


def move_messages(trial: Trial, answer) -> str:
    """Let a function move three requests, and follow each of them."""
    trial.declare(SOURCE)
    requests = [
        trial.publish(SOURCE, body, reply_to="addition_callback", correlation_id=f"request {number}", delivery_mode=2)
        for number, body in enumerate(BODIES, 1)
    ]
    running = trial.run("Administrator", with_channel, answer, SOURCE, TARGET)
    trial.wait(lambda: not running.alive or len(_copies(trial)) > ENDLESS)
    copies = _copies(trial)
    if len(copies) > ENDLESS:
        raise Mistake(f"{len(copies)} messages were published for {len(BODIES)}, and your function goes on.")
    refused(trial)
    if running.outcome.state != "returned":
        counts = trial.counts(SOURCE)
        raise Mistake(
            f"{len(copies)} of {len(BODIES)} messages were published to the other queue, {counts['ready']} are ready "
            f"in `{SOURCE}` and {counts['unacked']} unacked. {explain(running)}"
        )
    _arrived(trial, requests, copies)
    for request, copy in zip(requests, copies, strict=True):
        _is_safe(request, copy)
    return (
        f"All {len(BODIES)} requests are in `{TARGET}`, in their order and with all that they carried. Each was "
        "acknowledged when its copy was on its way, so none would have been lost if you had been interrupted."
    )


def _copies(trial: Trial) -> list[Message]:
    return [message for message in trial.story.messages if message.publisher != CHECK]


def _arrived(trial: Trial, requests: list[Message], copies: list[Message]) -> None:
    trial.wait(lambda: trial.counts(TARGET)["ready"] >= len(copies), seconds=0.5)
    left, there = trial.counts(SOURCE)["ready"], trial.counts(TARGET)["ready"]
    if not copies:
        what = "are still there" if left else "are gone: nothing was published, so they are nowhere"
        raise Mistake(f"No message was moved. The {len(BODIES)} that were in `{SOURCE}` {what}.")
    if not there:
        raise Mistake(
            f"{len(copies)} messages were published with the key `{copies[0].routing_key}`, and no queue took them: "
            f"there is none of that name. The broker dropped them without a word, and `{SOURCE}` has {left} left."
        )
    if left:
        raise Mistake(
            f"`{TARGET}` has {there}, and `{SOURCE}` has {left}: messages that nobody acknowledged went back when your "
            "connection closed. Whoever works on both queues does them twice."
        )
    if [copy.body for copy in copies] != [request.body for request in requests]:
        raise Mistake(f"`{TARGET}` holds {', '.join(f'`{m.text()}`' for m in copies)}: not what was in `{SOURCE}`.")


def _is_safe(request: Message, copy: Message) -> None:
    lost = [name for name in PROPERTIES if getattr(copy.properties, name) != getattr(request.properties, name)]
    if lost:
        raise Mistake(
            f"The copy of `{request.text()}` has lost its {' and '.join(f'`{name}`' for name in lost)}. The numbers "
            "arrived; but a server that takes them from there knows neither whom to answer nor what to keep."
        )
    if settled_before(request, copy.time):
        raise Mistake(
            f"`{request.text()}` was acknowledged before its copy was published. Had your program ended in between, "
            "the broker would have had neither of them. (With `auto_ack=True` it is acknowledged when it is sent.)"
        )


EXERCISE = Exercise(
    id="10-move-messages",
    title="Spot and mend: parked, not purged",
    task="""
The queue `addition` has to be emptied, and its requests may be wanted again. `move(channel, "addition", "parked")` is
to move them to another queue, which is not there yet, so that a server could answer them from there as if nothing had
happened. No request may be lost, even if the program ends in the middle. There are three mistakes in it.
""",
    name="move",
    starter="""\
def move(channel, source, target):
    while True:
        method, properties, body = channel.basic_get(source, auto_ack=True)
        if method is None:
            return
        channel.basic_publish("", target, body)
""",
    solved="""\
def move(channel, source, target):
    channel.queue_declare(target, durable=True)
    while True:
        method, properties, body = channel.basic_get(source)
        if method is None:
            return
        channel.basic_publish("", target, body, properties)
        channel.basic_ack(method.delivery_tag)
""",
    hints=(
        "Follow one request: where is it at each moment, and what does it carry?",
        "A message that no queue takes is dropped. What makes sure that there is a queue?",
        "Declare `target` first, hand `properties` on, and acknowledge when the copy is published.",
    ),
    judge=move_messages,
)
