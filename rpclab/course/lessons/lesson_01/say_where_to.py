"""A question that a service can read and answer: text, and the two properties that questions need."""

from __future__ import annotations

from rpclab.broker.connect import connect
from rpclab.course.addition import AdditionService
from rpclab.course.evidence import acked
from rpclab.course.exercise import Exercise
from rpclab.course.findings import explain, refused
from rpclab.course.running import Running
from rpclab.course.trial import Trial
from rpclab.course.verdict import Mistake
from rpclab.environment import connection_parameters
from rpclab.rpc.queues import ADDITION_CALLBACK_QUEUE, ADDITION_QUEUE
from rpclab.wire.messages import Message

X, Y = 20, 22
ID = "question-7"
TOTAL = "42"


def ask_once(ask) -> None:
    """Ask one question, as a program that does not wait for the answer; runs in a process."""
    with connect(connection_parameters()) as connection:
        ask(connection.channel(), X, Y, ID)


def say_where_to(trial: Trial, answer) -> str:
    """Let a service answer one question, and look for the answer where it should be."""
    AdditionService(trial)
    trial.declare(ADDITION_CALLBACK_QUEUE)
    running = trial.run("Asker", ask_once, answer)
    trial.wait(lambda: not running.alive, running)
    refused(trial)
    question = next((message for message in trial.story.messages if message.publisher == running.name), None)
    if question is None:
        raise Mistake(f"Your code has published nothing. {explain(running)}{_why(running)}")
    _comes_to_the_service(question)
    _can_be_answered(question)
    # The service acknowledges when the answer is out, and at once what it cannot read.
    trial.wait(lambda: acked(question))
    if not trial.counts(ADDITION_CALLBACK_QUEUE)["ready"]:
        raise Mistake(
            f"The service got the body `{question.text()}` and cannot read it. The two sides have agreed on text with "
            "two numbers and a comma between, as in `3,5`: the broker carries any bytes and helps with none."
        )
    _went_well(trial, running)
    return (
        f"The service read `{question.text()}`, and its answer `{TOTAL}` is in `{ADDITION_CALLBACK_QUEUE}`, marked "
        f"`{ID}`. It had nothing but your message to know all that from."
    )


def _why(running: Running) -> str:
    """Say what pika means when it cannot turn a body into bytes."""
    if running.outcome.error != "AttributeError" or "'encode'" not in running.outcome.text:
        return ""
    return " That is how pika says that it cannot send such a body: it takes text or bytes, and nothing else."


def _comes_to_the_service(question: Message) -> None:
    if question.queue != ADDITION_QUEUE:
        raise Mistake(
            f"Your message `{question.text()}` was published with the key `{question.routing_key}`. The service reads "
            f"the queue `{ADDITION_QUEUE}` and nothing else; where the answer goes is another matter."
        )


def _can_be_answered(question: Message) -> None:
    """Judge the two properties that the service copies from."""
    properties, headers = question.properties, question.properties.headers or {}
    for name, wanted in (("reply_to", ADDITION_CALLBACK_QUEUE), ("correlation_id", ID)):
        found = getattr(properties, name)
        if found is None and name in headers:
            raise Mistake(
                f"`{name}` travels among the `headers`, which are for whatever programs agree on. The service looks "
                "at the property of that name, and it is empty."
            )
        if found is None:
            fate = "to whom to send the answer" if name == "reply_to" else "to which question it belongs"
            raise Mistake(f"The question came with no `{name}`, so nothing says {fate}.")
        if found != wanted:
            raise Mistake(f"The question's `{name}` is `{found}`, and it should be `{wanted}`.")


def _went_well(trial: Trial, running: Running) -> None:
    if running.outcome.state != "returned":
        raise Mistake(f"The question was answered, and `ask` should return then. {explain(running)}")
    questions = [message for message in trial.story.messages if message.publisher == running.name]
    if len(questions) > 1:
        raise Mistake(f"Your code has published {len(questions)} messages for one question.")


EXERCISE = Exercise(
    id="01-say-where-to",
    title="A question that can be answered",
    task="""
`ask` publishes the question what `x` and `y` are together to the queue `addition`, as text like `3,5`. Complete it, so
that the service can send its answer to the queue `addition_callback` and mark it with `id`. The check has a service
that takes the question, and looks for the answer. (The queues are there.)
""",
    name="ask",
    starter="""\
def ask(channel, x, y, id):
    channel.basic_publish(exchange="", routing_key="addition", body=(x, y))
""",
    solved="""\
def ask(channel, x, y, id):
    properties = pika.BasicProperties(reply_to="addition_callback", correlation_id=id)
    channel.basic_publish(exchange="", routing_key="addition", body=f"{x},{y}", properties=properties)
""",
    hints=(
        "A body is text or bytes. What do you have to make of two numbers?",
        "`f\"{x},{y}\"` is the body. The rest travels beside it, in `pika.BasicProperties`.",
        "Of the properties in this lesson, one names the queue for the answer, another carries an id.",
    ),
    judge=say_where_to,
)
