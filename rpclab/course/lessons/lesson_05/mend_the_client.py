"""The case study's client, which publishes and never consumes."""

from __future__ import annotations

from pika import spec

from rpclab.course.addition import AdditionService
from rpclab.course.exercise import Exercise
from rpclab.course.findings import explain, refused
from rpclab.course.outcome import Outcome
from rpclab.course.trial import Trial
from rpclab.course.verdict import Mistake
from rpclab.rpc.queues import ADDITION_QUEUE
from rpclab.wire.messages import Message


def add_twice(cls: type) -> list:
    """Use a client as its user would; runs in a process."""
    client = cls()
    return [client.add(3, 5), client.add(20, 22)]


def mend_the_client(trial: Trial, answer: type) -> str:
    """Let a client ask a service that answers at once, and see who takes the answers."""
    AdditionService(trial)
    running = trial.run("AddClient", add_twice, answer)
    trial.wait(lambda: not running.alive or _asks_no_reply(trial), running)
    request = trial.message("3,5", ADDITION_QUEUE)
    if request and request.properties.reply_to:
        trial.wait(lambda: trial.message("8"), seconds=1)  # the service is slower than a client that does not wait
    outcome = running.outcome
    if outcome.state == "returned" and outcome.value == [8, 42]:
        if not request or not trial.message("20,22", ADDITION_QUEUE):
            raise Mistake("`add` returned the right sums, and the service was not asked. Let it do the work.")
        if not (_delivered(trial, "8") and _delivered(trial, "42")):
            raise Mistake("`add` returned the right sums, and took no reply. Let the service do the work.")
        return (
            "Both requests were answered. Your client consumed the replies from its callback queue, and `add` returned "
            "the sums."
        )
    if request is None:
        raise Mistake(f"No request `3,5` has come to the queue `{ADDITION_QUEUE}`. {explain(running)}")
    refused(trial)
    _way_of_the_reply(trial, request, outcome, explain(running))
    raise AssertionError("unreachable: each way of a reply ends in a mistake")


def _delivered(trial: Trial, body: str) -> bool:
    reply = trial.message(body)
    return reply is not None and bool(reply.deliveries)


def _asks_no_reply(trial: Trial) -> bool:
    request = trial.message("3,5", ADDITION_QUEUE)
    return request is not None and not request.properties.reply_to


def _declared(trial: Trial, queue: str) -> bool:
    """Tell whether a queue was there, be it that it went with its client."""
    names = (event.method.queue for event in trial.events if isinstance(event.method, spec.Queue.DeclareOk))
    return queue in map(trial.lab.tap.registry.shown, names)


def _way_of_the_reply(trial: Trial, request: Message, outcome: Outcome, ended: str) -> None:
    """Follow the reply to the point where it was lost."""
    if not request.properties.reply_to:
        raise Mistake("The request has no `reply_to`, so the service could not tell anybody the answer.")
    reply = trial.message("8")
    if any(isinstance(event.method, spec.Basic.GetEmpty) for event in trial.events):
        raise Mistake(
            "You looked into the callback queue with `basic_get`, which looks once, and the reply was not there yet: "
            f"the service takes a moment. {ended} Consume instead, and wait until the reply comes."
        )
    if reply is None:
        raise Mistake(f"The request came, and your client was gone before it was answered. {ended}")
    if reply.returned and not _declared(trial, reply.routing_key):
        raise Mistake(
            f"The service answered `8` to `{reply.routing_key}`, and there is no such queue: the reply was dropped. "
            "The client has to declare its callback queue before it asks."
        )
    if not reply.deliveries:
        raise Mistake(f"{_never_consumed(reply, outcome)} {ended}")
    if outcome.state == "running":
        raise Mistake(
            "The reply `8` was delivered to your client, and `add` did not come back. Whoever waits for a reply has to "
            "let pika process what arrives (`connection.process_data_events(time_limit=1)`) and stop when it is there."
        )
    raise Mistake(f"The reply `8` was delivered to your client. {ended} `add` should return the sum as an integer.")


def _never_consumed(reply: Message, outcome: Outcome) -> str:
    returned_none = outcome.state == "returned" and outcome.value == [None, None]
    nothing = "`add` returned `None`: y" if returned_none else "Y"
    fate = "went when your client did, and the queue with it" if reply.returned else "is still there"
    return (
        f"{nothing}our client never consumed from its callback queue. The reply `8` came to `{reply.routing_key}` and "
        f"{fate}. Publishing is half of a call; the other half is to consume until the reply is there."
    )


EXERCISE = Exercise(
    id="05-mend-the-client",
    title="Spot and mend: the client that never hears",
    task="""
This is the case study's client. `add(3, 5)` returns `None`. Mend it, so that it returns `8`. The service runs, reads
requests like `3,5` from the queue `addition`, and answers to the queue that `reply_to` names.
""",
    name="AddClient",
    starter="""\
class AddClient:
    def __init__(self):
        self.connection = pika.BlockingConnection(rpclab.connection_parameters())
        self.channel = self.connection.channel()

    def add(self, x, y):
        self.channel.basic_publish(
            exchange="",
            routing_key=rpclab.ADDITION_QUEUE,
            properties=pika.BasicProperties(reply_to=rpclab.ADDITION_CALLBACK_QUEUE),
            body=f"{x},{y}",
        )
""",
    solved="""\
class AddClient:
    def __init__(self):
        self.connection = pika.BlockingConnection(rpclab.connection_parameters())
        self.channel = self.connection.channel()
        self.callback_queue = self.channel.queue_declare("", exclusive=True).method.queue

    def add(self, x, y):
        self.channel.basic_publish(
            exchange="",
            routing_key=rpclab.ADDITION_QUEUE,
            properties=pika.BasicProperties(reply_to=self.callback_queue),
            body=f"{x},{y}",
        )
        for method, props, body in self.channel.consume(self.callback_queue, auto_ack=True):
            return int(body)
""",
    hints=(
        "Follow the answer. Into which queue does it go, and who takes it from there?",
        "Declare a callback queue of your own (`queue_declare(\"\", exclusive=True)`) and name it in `reply_to`.",
        "`for method, props, body in self.channel.consume(queue, auto_ack=True):` waits for the next message. "
        "Return the number in it.",
    ),
    judge=mend_the_client,
)
