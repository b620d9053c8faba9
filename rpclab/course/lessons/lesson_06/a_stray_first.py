"""The official tutorial's client, which takes the first event for the end of its waiting."""

from __future__ import annotations

from rpclab.course.exercise import Exercise
from rpclab.course.findings import explain, refused
from rpclab.course.lessons.lesson_06.stray_service import STRANGER, STRAY, StrayService
from rpclab.course.outcome import Outcome
from rpclab.course.trial import Trial
from rpclab.course.verdict import Mistake
from rpclab.rpc.queues import ADDITION_QUEUE

SUMS = [8, 42]


def add_twice(cls: type) -> list:
    """Use a client as its user would; runs in a process."""
    client = cls()
    return [client.add(3, 5), client.add(20, 22)]


def a_stray_first(trial: Trial, answer: type) -> str:
    """Send a stray before each answer, and see what the client takes for its own."""
    StrayService(trial)
    running = trial.run("AddClient", add_twice, answer)
    trial.wait(lambda: trial.message("3,5", ADDITION_QUEUE), running)
    trial.wait(lambda: not running.alive or _asks_no_reply(trial), running, seconds=1.5)
    outcome, ended = running.outcome, explain(running)
    request = trial.message("3,5", ADDITION_QUEUE)
    if request is None:
        raise Mistake(f"No request `3,5` has come to the queue `{ADDITION_QUEUE}`. {ended}")
    refused(trial)
    if not request.properties.reply_to:
        raise Mistake("The request has no `reply_to`, so the service could not tell anybody the answer.")
    # A client that is gone already may have left its answer to come.
    trial.wait(lambda: trial.message("8"), seconds=1)
    if outcome.value != SUMS:
        _ended_by_a_stray(trial, outcome, ended)
    if not all(_delivered(trial, str(total)) for total in SUMS):
        raise Mistake("`add` returned the right sums, and took no reply. Let the service do the work.")
    return (
        "Before each answer a stray came, and `process_data_events` returned. Your client saw that it still had no "
        "answer, waited on, and took the reply with its own correlation id."
    )


def _asks_no_reply(trial: Trial) -> bool:
    request = trial.message("3,5", ADDITION_QUEUE)
    return request is not None and not request.properties.reply_to


def _delivered(trial: Trial, body: str) -> bool:
    return any(message.deliveries for message in trial.story.messages if message.text() == body)


def _ended_by_a_stray(trial: Trial, outcome: Outcome, ended: str) -> None:
    """Say what the client did with what came; it did not return the sums."""
    if isinstance(outcome.value, list) and int(STRAY) in outcome.value:
        raise Mistake(
            f"You took the stray `{STRAY}` for an answer. It has the correlation id `{STRANGER}`, which you never "
            f"sent; what does not fit is dropped, and waiting goes on. {ended}"
        )
    if outcome.state == "running" and _delivered(trial, "8"):
        raise Mistake(
            "The reply `8` was delivered to your client, and it did not come back. Waiting ends when the answer is "
            "there, and pika takes it in only while you let it process what arrives."
        )
    if not _delivered(trial, STRAY):
        raise Mistake(f"Your client never consumed from its callback queue: the stray still lies there. {ended}")
    if outcome.state != "running" and not _delivered(trial, "42"):
        raise Mistake(
            "The wire shows it: a stray was delivered to your client, which stopped waiting, and when the answer came, "
            f"nobody was there any more. {ended} `process_data_events` returns after any event, whatever it was."
        )
    raise Mistake(f"{ended} It should have been `{SUMS}`.")


EXERCISE = Exercise(
    id="06-a-stray-first",
    title="Spot and mend: the hasty client",
    task="""
This is the hasty client, all in one piece. Mend it, so that it returns the answer to its question when other messages
come to its callback queue before. The check's service sends such a stray before each answer. (A time limit is not
asked for yet.)
""",
    name="AddClient",
    starter="""\
import uuid

class AddClient:
    def __init__(self):
        self.channel = pika.BlockingConnection(rpclab.connection_parameters()).channel()
        self.callback_queue = self.channel.queue_declare("", exclusive=True).method.queue
        self.channel.basic_consume(self.callback_queue, self.on_response, auto_ack=True)

    def on_response(self, ch, method, props, body):
        if props.correlation_id == self.correlation_id:
            self.response = body

    def add(self, x, y):
        self.response, self.correlation_id = None, str(uuid.uuid4())
        properties = pika.BasicProperties(reply_to=self.callback_queue, correlation_id=self.correlation_id)
        self.channel.basic_publish("", rpclab.ADDITION_QUEUE, f"{x},{y}", properties)
        self.channel.connection.process_data_events(time_limit=None)
        return int(self.response)
""",
    solved="""\
import uuid

class AddClient:
    def __init__(self):
        self.channel = pika.BlockingConnection(rpclab.connection_parameters()).channel()
        self.callback_queue = self.channel.queue_declare("", exclusive=True).method.queue
        self.channel.basic_consume(self.callback_queue, self.on_response, auto_ack=True)

    def on_response(self, ch, method, props, body):
        if props.correlation_id == self.correlation_id:
            self.response = body

    def add(self, x, y):
        self.response, self.correlation_id = None, str(uuid.uuid4())
        properties = pika.BasicProperties(reply_to=self.callback_queue, correlation_id=self.correlation_id)
        self.channel.basic_publish("", rpclab.ADDITION_QUEUE, f"{x},{y}", properties)
        while self.response is None:
            self.channel.connection.process_data_events(time_limit=None)
        return int(self.response)
""",
    hints=(
        "`on_response` is right: it keeps the stray out. What does `add` do after the stray has been kept out?",
        "`process_data_events` returns after any event. Is the answer there then? How does `add` know?",
        "Call it in a loop, for as long as `self.response` is `None`.",
    ),
    judge=a_stray_first,
)
