"""Answers in another order than the questions, told apart by their correlation ids."""

from __future__ import annotations

from rpclab.broker.connect import connect
from rpclab.course.addition import STRANGER, AdditionService
from rpclab.course.exercise import Exercise
from rpclab.course.findings import explain, refused
from rpclab.course.running import Running
from rpclab.course.trial import CHECK, Trial
from rpclab.course.verdict import Mistake
from rpclab.environment import connection_parameters
from rpclab.rpc.queues import ADDITION_QUEUE
from rpclab.wire.messages import Message

ROUNDS = (("3,5", "20,22", "1,1"), ("40,2", "7,7", "2,3"))
ORDERS = ((2, 1, 0), (1, 2, 0))
SUMS = [[sum(map(int, question.split(","))) for question in questions] for questions in ROUNDS]


def ask_twice(ask) -> list:
    """Let a function ask two rounds of questions on one channel; runs in a process."""
    with connect(connection_parameters()) as connection:
        channel = connection.channel()
        return [ask(channel, list(questions)) for questions in ROUNDS]


def whose_answer(trial: Trial, answer) -> str:
    """Answer the questions of each round in another order, after a reply that belongs to nobody."""
    service = AdditionService(trial, ORDERS, stray=True)
    running = trial.run("Asker", ask_twice, answer)
    trial.wait(lambda: not running.alive or _same_id(trial.story.requests), running)
    requests = trial.story.requests
    if not requests:
        raise Mistake(f"No request with a `reply_to` has come to the queue `{ADDITION_QUEUE}`. {explain(running)}")
    refused(trial)
    if service.one_by_one:
        raise Mistake(
            "You sent a question, waited for its answer, and sent the next. That gives the right answers at the price "
            "of one round trip after the other: send all questions first, then collect."
        )
    if running.outcome.value != SUMS:
        _wrong_answers(running, requests)
    if not all(m.deliveries for m in trial.story.messages if m.publisher == CHECK):
        raise Mistake("The answers are right, and the replies were not taken. Let the service do the work.")
    return (
        "The service answered the questions of each round in another order, and sent a reply that belonged to nobody "
        "first. Your function put each answer to its question by the correlation id, and dropped the stranger."
    )


def _same_id(requests: list[Message]) -> str | None:
    """Return a correlation id that two requests of one round have in common."""
    for begin in range(0, len(requests), len(ROUNDS[0])):
        ids = [request.properties.correlation_id for request in requests[begin : begin + len(ROUNDS[0])]]
        if repeated := [id for id in ids if id and ids.count(id) > 1]:
            return repeated[0]
    return None


def _in_some_order(answers: list) -> bool:
    """Tell whether the right answers are there, be it in another order or as text."""
    return all(
        isinstance(part, list) and sorted(map(str, part)) == sorted(map(str, right))
        for part, right in zip(answers, SUMS, strict=False)
    )


def _wrong_answers(running: Running, requests: list[Message]) -> None:
    ids = [request.properties.correlation_id for request in requests[: len(ROUNDS[0])]]
    outcome, value = running.outcome, running.outcome.value
    answers = value if outcome.state == "returned" and isinstance(value, list) else []
    if None in ids:
        raise Mistake(
            f"The service answered {len(ROUNDS[0])} questions in another order, and your requests carry no correlation "
            f"id, so nothing tells which answer is whose. {explain(running)}"
        )
    if same := _same_id(requests):
        raise Mistake(f"Several of your requests carry the same correlation id, `{same}`: each needs one of its own.")
    if any(999 in part for part in answers if isinstance(part, list)):
        raise Mistake(
            f"You took `999` for an answer. It came with the correlation id `{STRANGER}`, which you never sent: a "
            f"reply to a question that is not yours is dropped. {explain(running)}"
        )
    if answers and _in_some_order(answers):
        raise Mistake(
            f"The answers are there, not as integers in the order of the questions: `{outcome.text}` instead of "
            f"`{SUMS}`. They come in any order; `props.correlation_id` of each reply tells where it belongs."
        )
    if outcome.state == "running":
        raise Mistake(
            "All questions were answered, and your function did not come back. Does it wait for more replies than "
            "there are questions, or for an id that was never sent?"
        )
    raise Mistake(f"{explain(running)} It should have been `{SUMS}`, the one list after the other.")


EXERCISE = Exercise(
    id="05-whose-answer",
    title="Whose answer is it?",
    task="""
`ask` sends several questions like `3,5` at once and returns the answers, as integers, in the order of the questions.
It does so only as long as the answers come in that order. Make it right for any order, and for a reply in its queue
that answers no question of its own.
""",
    name="ask",
    starter="""\
def ask(channel, questions):
    callback_queue = channel.queue_declare("", exclusive=True).method.queue
    for question in questions:
        properties = pika.BasicProperties(reply_to=callback_queue)
        channel.basic_publish("", rpclab.ADDITION_QUEUE, question, properties)
    answers = []
    for method, props, body in channel.consume(callback_queue, auto_ack=True):
        answers.append(int(body))
        if len(answers) == len(questions):
            channel.cancel()
            return answers
""",
    solved="""\
def ask(channel, questions):
    import uuid
    callback_queue = channel.queue_declare("", exclusive=True).method.queue
    ids = [str(uuid.uuid4()) for _ in questions]
    for id, question in zip(ids, questions):
        properties = pika.BasicProperties(reply_to=callback_queue, correlation_id=id)
        channel.basic_publish("", rpclab.ADDITION_QUEUE, question, properties)
    answers = {}
    for method, props, body in channel.consume(callback_queue, auto_ack=True):
        if props.correlation_id in ids:
            answers[props.correlation_id] = int(body)
        if len(answers) == len(questions):
            channel.cancel()
            return [answers[id] for id in ids]
""",
    hints=(
        "What could a question carry, and its answer carry back, that no other question has?",
        "Give each request a `correlation_id` (`str(uuid.uuid4())`) and keep the ids in the order of the questions.",
        "Collect into a dictionary, `answers[props.correlation_id] = int(body)`, what has one of your ids, and "
        "return `[answers[id] for id in ids]`.",
    ),
    judge=whose_answer,
)
