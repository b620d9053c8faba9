"""Several questions, one deadline: nobody waits for ever, and strays do not make the waiting longer."""

from __future__ import annotations

from rpclab.broker.connect import connect
from rpclab.course.exercise import Exercise
from rpclab.course.findings import explain, refused
from rpclab.course.lessons.lesson_06.stray_service import STRAY, StrayService
from rpclab.course.running import Running
from rpclab.course.trial import Trial
from rpclab.course.verdict import Mistake
from rpclab.environment import connection_parameters
from rpclab.rpc.queues import ADDITION_QUEUE
from rpclab.wire.messages import Message

UNANSWERED = "1,1"
ROUNDS = ((("3,5", UNANSWERED, "20,22"), 0.8), (("40,2", "7,7"), 10.0))
ANSWERS = ("[8, None, 42]", "[42, 14]")
# The strays of the first round come at 0, 0.25, 0.5 and 0.75 s. Whose time begins again with each is back after 1.55 s.
STRAYS = 4
GRACE_SECONDS = 0.5
PATIENCE_SECONDS = 1.2
EARLY_SECONDS = 0.1


def ask_in_rounds(ask_all) -> None:
    """Let a function ask two rounds of questions, and tell on the wire what it returned and when; runs in a process."""
    with connect(connection_parameters()) as connection:
        channel = connection.channel()
        for questions, seconds in ROUNDS:
            answers = ask_all(channel, list(questions), seconds)
            # On a connection of its own, so that it is on the wire at once, whatever was done to the other one.
            with connect(connection_parameters(), "what it returned") as telling:
                telling.channel().basic_publish("", "returned", repr(answers))


def one_deadline(trial: Trial, answer) -> str:
    """Leave one question of the first round unanswered, and see how long the others' answers are kept back."""
    StrayService(trial, strays=STRAYS, unanswered=(UNANSWERED,))
    trial.declare("returned")
    running = trial.run("Asker", ask_in_rounds, answer)
    trial.wait(lambda: trial.story.requests, running)
    trial.wait(lambda: len(_returned(trial)) == len(ROUNDS), running, seconds=PATIENCE_SECONDS)
    asked = trial.story.requests
    returned = _returned(trial)
    if not asked:
        raise Mistake(f"No request with a `reply_to` has come to the queue `{ADDITION_QUEUE}`. {explain(running)}")
    refused(trial)
    _first_round(running, asked, returned)
    _second_round(running, returned)
    return (
        f"Nobody answered `{UNANSWERED}`. Strays came all the time, and `ask_all` was back when the time was up, with "
        "the answers that were there. In the second round it was back as soon as it had everything."
    )


def _returned(trial: Trial) -> list[Message]:
    return [message for message in trial.story.messages if message.routing_key == "returned"]


def _first_round(running: Running, asked: list[Message], returned: list[Message]) -> None:
    questions, seconds = ROUNDS[0]
    if not returned and running.alive:
        raise Mistake(
            f"Nobody answers `{UNANSWERED}`, and `ask_all` has not come back though its {seconds:g} s were over long "
            "ago. One answer that never comes holds up those that are there."
        )
    if not returned:
        raise Mistake(
            f"Nobody answers `{UNANSWERED}` in time. {explain(running)} `ask_all` should return the answers that came, "
            "and `None` in the place of the one that did not."
        )
    text = returned[0].text()
    if STRAY in text:
        raise Mistake(f"`ask_all` returned `{text}`: `{STRAY}` is a stray with an id that you never sent.")
    took = returned[0].time - asked[0].time
    if took > seconds + GRACE_SECONDS:
        raise Mistake(
            f"`ask_all` was to be back after {seconds:g} s and came back too late. Strays came in between, and each of "
            "them gave it the whole time again. When is the time up, and when do you compute that?"
        )
    if text != ANSWERS[0] and took < seconds - EARLY_SECONDS:
        raise Mistake(
            f"`ask_all` returned `{text}` before its {seconds:g} s were over, without the answers that were still to "
            "come. A stray was delivered to it first: any event ends one `process_data_events`."
        )
    if text != ANSWERS[0]:
        raise Mistake(f"To the questions `{list(questions)}` it returned `{text}` instead of `{ANSWERS[0]}`.")


def _second_round(running: Running, returned: list[Message]) -> None:
    questions, seconds = ROUNDS[1]
    if len(returned) < len(ROUNDS) and running.alive:
        raise Mistake(
            "In the second round each question was answered at once, and `ask_all` went on waiting, although its "
            f"{seconds:g} s were not over. It should come back as soon as it has everything."
        )
    if len(returned) < len(ROUNDS):
        raise Mistake(f"The first round was right. In the second, {running.outcome.explained}")
    if (text := returned[1].text()) != ANSWERS[1]:
        raise Mistake(f"To the questions `{list(questions)}` it returned `{text}` instead of `{ANSWERS[1]}`.")


EXERCISE = Exercise(
    id="06-one-deadline",
    title="One deadline for all",
    task="""
`ask_all` sends several questions at once and returns the answers in their order. If one is never answered, it waits for
ever. Mend it: when `timeout` seconds have passed since it began, it returns what it has, with `None` for what it has
not, however many strays come in between. When all answers are there it returns at once.
""",
    name="ask_all",
    starter="""\
import time, uuid

def ask_all(channel, questions, timeout):
    callback_queue = channel.queue_declare("", exclusive=True).method.queue
    ids, answers = [str(uuid.uuid4()) for _ in questions], {}

    def on_response(ch, method, props, body):
        if props.correlation_id in ids:
            answers[props.correlation_id] = int(body)

    channel.basic_consume(callback_queue, on_response, auto_ack=True)
    for id, question in zip(ids, questions):
        properties = pika.BasicProperties(reply_to=callback_queue, correlation_id=id)
        channel.basic_publish("", rpclab.ADDITION_QUEUE, question, properties)
    while len(answers) < len(questions):
        channel.connection.process_data_events(time_limit=timeout)
    return [answers.get(id) for id in ids]
""",
    solved="""\
import time, uuid

def ask_all(channel, questions, timeout):
    deadline = time.monotonic() + timeout
    callback_queue = channel.queue_declare("", exclusive=True).method.queue
    ids, answers = [str(uuid.uuid4()) for _ in questions], {}

    def on_response(ch, method, props, body):
        if props.correlation_id in ids:
            answers[props.correlation_id] = int(body)

    channel.basic_consume(callback_queue, on_response, auto_ack=True)
    for id, question in zip(ids, questions):
        properties = pika.BasicProperties(reply_to=callback_queue, correlation_id=id)
        channel.basic_publish("", rpclab.ADDITION_QUEUE, question, properties)
    while len(answers) < len(questions) and (left := deadline - time.monotonic()) > 0:
        channel.connection.process_data_events(time_limit=left)
    return [answers.get(id) for id in ids]
""",
    hints=(
        "What are the two reasons for which the loop may end? It knows only one of them.",
        "Compute once, before the loop, the moment at which the time is up: `time.monotonic() + timeout`.",
        "In each turn, what is left is `deadline - time.monotonic()`. That is the `time_limit`, and when it is not "
        "above 0, the loop is over.",
    ),
    judge=one_deadline,
)
