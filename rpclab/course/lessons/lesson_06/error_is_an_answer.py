"""A server that keeps an error to itself, so that its caller waits for nothing."""

from __future__ import annotations

from rpclab.course.evidence import acked, held, went_round
from rpclab.course.exercise import Exercise
from rpclab.course.findings import not_consumed, refused, stopped
from rpclab.course.inside import serve
from rpclab.course.running import Running
from rpclab.course.trial import Trial
from rpclab.course.verdict import Mistake
from rpclab.errors import RemoteError, RpcTimeout
from rpclab.rpc.client import RpcClient, RpcFuture
from rpclab.rpc.queues import ADDITION_QUEUE
from rpclab.wire.messages import Message

BAD = "3,five"
SUMS = {"3,5": "8", BAD: None, "20,22": "42"}
TIMEOUT_SECONDS = 1.0
ROUNDS = 20


def error_is_an_answer(trial: Trial, answer: type) -> str:
    """Ask three questions, one of which nobody can answer, with the course's own client."""
    running = trial.run("AdditionServer", serve, answer)
    if not trial.wait(lambda: trial.lab.tap.registry.consumers(ADDITION_QUEUE), running):
        stopped(trial, running)
        not_consumed(trial, ADDITION_QUEUE)
    with RpcClient(ADDITION_QUEUE, timeout=TIMEOUT_SECONDS) as client:
        futures = {question: client.submit(question) for question in SUMS}
        trial.wait(lambda: all(future.done() for future in futures.values()) or _loops(trial), running)
        trial.wait(lambda: acked(trial.message("20,22")) or _loops(trial), running, seconds=0.5)
        trial.lab.tap.catch_up()
        _told(trial, running, futures[BAD])
        _others(trial, running, futures)
    return (
        f"`{BAD}` was answered, with an error: the caller's `call` raised `RemoteError` at once instead of waiting "
        "until its time was up. The request was acknowledged, and the other two were answered as before."
    )


def _loops(trial: Trial) -> bool:
    return went_round(trial.message(BAD)) > ROUNDS


def _told(trial: Trial, running: Running, future: RpcFuture) -> None:
    """See that the caller of the bad request was told what is wrong with it."""
    request = trial.message(BAD)
    if _loops(trial):
        raise Mistake(
            f"`{BAD}` goes round: you put it back into its queue, get it again and cannot do it then either. It needs "
            "an answer, not another try."
        )
    stopped(trial, running, f"`{BAD}` ended the server, and goes back to the queue to end the next one. ")
    refused(trial)
    if not future.done() or isinstance(future.exception(), RpcTimeout):
        _silence(trial, running, request)
    reply = request.replies[0]
    if reply.properties.type != "error":
        raise Mistake(
            f"The reply to `{BAD}` is `{reply.text()}`, and nothing on it says that it is an error: the caller takes "
            "it for the sum. The property `type` of the reply makes the difference."
        )
    error = future.exception()
    if not isinstance(error, RemoteError) or error.type != "ValueError" or not error.message:
        raise Mistake(
            f"The error reply to `{BAD}` says `{reply.text()}`, which the client cannot read. Its body has to be JSON "
            'like `{"type": "ValueError", "message": "..."}`, with the name and the text of the error.'
        )
    if len(request.replies) > 1:
        raise Mistake(f"`{BAD}` was answered {len(request.replies)} times. One question, one answer.")


def _silence(trial: Trial, running: Running, request: Message) -> None:
    """Say why the caller heard nothing."""
    nameless = [
        m for m in trial.story.messages if m.publisher == running.name and m.properties.correlation_id is None
    ]
    if nameless:
        raise Mistake(
            f"You sent the reply `{nameless[0].text()}` without a correlation id. The client cannot know which of its "
            "questions failed and dropped it; its call timed out."
        )
    if not acked(request):
        fate = "stays unacked" if held(request) else "was refused"
        raise Mistake(
            f"Nobody was told about `{BAD}`: no reply was published, and the request {fate}. The caller waited until "
            "its time was up."
        )
    raise Mistake(
        f"The server took `{BAD}` and acknowledged it, and the wire shows no reply. The caller waited until its time "
        "was up and cannot tell this from a server that is slow, or gone."
    )


def _others(trial: Trial, running: Running, futures: dict[str, RpcFuture]) -> None:
    for question, total in SUMS.items():
        request = trial.message(question)
        if held(request):
            raise Mistake(
                f"`{question}` was answered and not acknowledged: {trial.counts(ADDITION_QUEUE)['unacked']} unacked. "
                "When the server ends, it comes again."
            )
        if total is None:
            continue
        future = futures[question]
        if not future.done() or future.exception():
            raise Mistake(f"`{BAD}` is answered now, and `{question}` is not: its caller got no sum.")
        if future.result() != total:
            raise Mistake(f"`{question}` was answered by `{future.result()}`, where `{total}` is right.")
    stopped(trial, running)


EXERCISE = Exercise(
    id="06-error-is-an-answer",
    title="Spot and mend: the server that keeps silent",
    task="""
This server survives a request that it cannot read. Its callers complain all the same: some of their calls time out.
Mend it, so that they are told what is wrong. The course's clients expect an error as a reply with the property
`type="error"` and a body in JSON, `{"type": "ValueError", "message": "..."}`, the name and the text of the error.
""",
    name="AdditionServer",
    starter="""\
import json

class AdditionServer(rpclab.BaseServer):
    def __init__(self):
        super().__init__(rpclab.ADDITION_QUEUE)

    def on_request(self, ch, method, props, body):
        try:
            x, y = map(int, body.decode().split(","))
            reply = pika.BasicProperties(correlation_id=props.correlation_id)
            ch.basic_publish("", props.reply_to, str(x + y), reply)
        except ValueError as error:
            print("bad request:", error)
        ch.basic_ack(method.delivery_tag)
""",
    solved="""\
import json

class AdditionServer(rpclab.BaseServer):
    def __init__(self):
        super().__init__(rpclab.ADDITION_QUEUE)

    def on_request(self, ch, method, props, body):
        try:
            x, y = map(int, body.decode().split(","))
            reply = pika.BasicProperties(correlation_id=props.correlation_id)
            ch.basic_publish("", props.reply_to, str(x + y), reply)
        except ValueError as error:
            reply = pika.BasicProperties(correlation_id=props.correlation_id, type="error")
            said = {"type": type(error).__name__, "message": str(error)}
            ch.basic_publish("", props.reply_to, json.dumps(said), reply)
        ch.basic_ack(method.delivery_tag)
""",
    hints=(
        "Who gets to see what this server prints, and what does the caller get to see?",
        "The `except` branch has to publish a reply, to the same queue and with the same correlation id as a good one.",
        "`pika.BasicProperties(correlation_id=props.correlation_id, type=\"error\")`, and `json.dumps(...)` of a "
        "dictionary with `type(error).__name__` and `str(error)`.",
    ),
    judge=error_is_an_answer,
)
