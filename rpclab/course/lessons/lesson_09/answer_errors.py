"""A server that swallows its errors leaves its callers to their deadlines."""

from __future__ import annotations

from rpclab.course.evidence import acked, held, went_round
from rpclab.course.exercise import Exercise
from rpclab.course.findings import refused, stopped
from rpclab.course.inside import serve
from rpclab.course.lessons.lesson_09.starting import start
from rpclab.course.running import Running
from rpclab.course.trial import Trial
from rpclab.course.verdict import Mistake
from rpclab.errors import RemoteError
from rpclab.rpc.arithmetic import AddClient
from rpclab.rpc.client import RpcFuture
from rpclab.rpc.queues import ADDITION_QUEUE
from rpclab.wire.messages import Message

DEADLINE_SECONDS = 0.6
BAD = "3,five"
ROUNDS = 20


def answer_errors(trial: Trial, answer: type) -> str:
    """Call a server with what it cannot add, and then with what it can, as any client would."""
    running = start(trial, "AdditionServer", serve, answer, ADDITION_QUEUE)
    with AddClient(timeout=DEADLINE_SECONDS, parameters=trial.lab.parameters) as client:
        bad = client.submit(*BAD.split(","))
        trial.wait(bad.done, running)
        trial.lab.tap.catch_up()
        request = trial.message(BAD, ADDITION_QUEUE)
        refused(trial)
        stopped(trial, running, f"`{BAD}` ended the server, is back in the queue, and would end the next one as well. ")
        if not request.replies:
            _no_reply(request)
        _is_its_own(request, request.replies[0])
        _is_an_error(request.replies[0], bad)
        _goes_on(trial, running, client, request)
    return (
        f"`{BAD}` was answered with an error, and the caller's `call` raised it at once, instead of waiting for its "
        "deadline. The server went on, and answered the next request."
    )


def _no_reply(request: Message) -> None:
    """Tell why a caller has waited in vain."""
    waited = f"The caller of `{BAD}` waited until its deadline, and all that it got is `RpcTimeout`"
    if went_round(request) > ROUNDS:
        raise Mistake(f"`{BAD}` goes back into the queue and comes again, more than {ROUNDS} times by now. {waited}.")
    if held(request):
        raise Mistake(f"`{BAD}` was neither answered nor acknowledged: it stays unacked. {waited}.")
    how = "acknowledged it" if acked(request) else "refused it, which tells the broker, and not the caller"
    raise Mistake(
        f"{waited}, which it would also get if no server ran. The wire shows why: the server took the request, {how}, "
        "and published no reply. What it prints is read by nobody who waits."
    )


def _is_its_own(request: Message, reply: Message) -> None:
    if reply.properties.correlation_id != request.properties.correlation_id:
        raise Mistake(
            f"The reply `{reply.text()}` came without the correlation id of its request. The client cannot know what "
            "it answers, and dropped it: the caller waited until its deadline all the same."
        )


def _is_an_error(reply: Message, bad: RpcFuture) -> None:
    error = bad.exception()
    if error is None:
        raise Mistake(
            f"The caller of `{BAD}` was told that the sum is `{bad.result()}`: the reply `{reply.text()}` looks like "
            "any answer. What makes a reply an error is its property `type`."
        )
    if reply.properties.type != "error":
        raise Mistake(
            f"The reply `{reply.text()}` came, as an answer like any other: its property `type` is not `error`. The "
            f"caller took it for the sum, and failed to read it: `{error}`."
        )
    if not isinstance(error, RemoteError) or error.type == "UnreadableError":
        raise Mistake(
            f"The reply is an error, and its body `{reply.text()}` is not the JSON object with `type` and `message` "
            f"that clients read. The caller got `{error}`."
        )


def _goes_on(trial: Trial, running: Running, client: AddClient, request: Message) -> None:
    """See that the server is as good as before."""
    good = client.submit(20, 22)
    trial.wait(lambda: good.done() and acked(request), running, seconds=1)
    stopped(trial, running, f"`{BAD}` was answered, and after it the server ended: ")
    refused(trial)
    if not acked(request):
        raise Mistake(
            f"`{BAD}` was answered with an error and not acknowledged: it stays unacked, and the server is sent "
            "nothing more. An answer is the end of a request, be it an error."
        )
    if not good.done() or good.exception() or good.result() != 42:
        got = (repr(good.exception()) if good.exception() else good.result()) if good.done() else "nothing"
        raise Mistake(f"`{BAD}` is answered well, but the next request, `20,22`, is not: its caller got `{got}`.")


EXERCISE = Exercise(
    id="09-answer-errors",
    title="Spot and mend: the server that says nothing",
    task="""
Callers of this server complain of time-outs, though it runs and its queue is empty. One of them asks for `3,five`.
Mend it, so that such a caller is told at once. Clients of this course take a reply for an error if its property `type`
is `error`; its body is then JSON, for example `{"type": "ValueError", "message": "no number: five"}`.
""",
    name="AdditionServer",
    starter="""\
class AdditionServer(rpclab.BaseServer):
    def __init__(self):
        super().__init__(rpclab.ADDITION_QUEUE)

    def on_request(self, ch, method, props, body):
        reply = pika.BasicProperties(correlation_id=props.correlation_id)
        try:
            x, y = body.decode().split(",")
            ch.basic_publish("", props.reply_to, str(int(x) + int(y)), reply)
        except ValueError as error:
            print("cannot do", body, "because of", error)
        ch.basic_ack(method.delivery_tag)
""",
    solved="""\
class AdditionServer(rpclab.BaseServer):
    def __init__(self):
        super().__init__(rpclab.ADDITION_QUEUE)

    def on_request(self, ch, method, props, body):
        import json
        reply = pika.BasicProperties(correlation_id=props.correlation_id)
        try:
            x, y = body.decode().split(",")
            answer = str(int(x) + int(y))
        except ValueError as error:
            reply.type = "error"
            answer = json.dumps({"type": "ValueError", "message": str(error)})
        ch.basic_publish("", props.reply_to, answer, reply)
        ch.basic_ack(method.delivery_tag)
""",
    hints=(
        "Follow `3,five` on the wire. Who hears of the error, and who would have to?",
        "Each request gets a reply, whichever way the work ended. Publish it after the `try`, not inside.",
        "In the `except` branch set `reply.type = \"error\"`, and make the body with `json.dumps`.",
    ),
    judge=answer_errors,
)
