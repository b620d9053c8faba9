"""Lesson 10: deleting the right queues, unbinding, moving instead of purging, and live counts."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import httpx
import pika
from pika.adapters.blocking_connection import BlockingChannel
from pika.spec import Basic

from rpclab.broker import ctl, tls
from rpclab.broker.address import Broker
from rpclab.course.evidence import settled_before
from rpclab.course.exercise_runner import call_each, consume
from rpclab.course.findings import explain, refused, stopped
from rpclab.course.running import Running
from rpclab.course.trial import Trial
from rpclab.course.verdict import Mistake
from rpclab.rpc.client import RpcClient
from rpclab.wire.messages import Message

QUEUE, SERVICE, RETIRED, TARGET = "addition", "waiting", "audit", "parked"
REQUESTS, BODIES = ("3,5", "20,22"), ("3,5", "20,22", "1,1")
REPLIES = ("8", "42", "2")
IN_USE, FULL, EMPTY = "callback.eve", "callback.anna", "callback.ben"

BINDINGS = (
    ("requests", "add", RETIRED), ("requests", "fib", RETIRED), ("events", "#", RETIRED),
    ("requests", "add", "addition"), ("events", "*.failed", "alarms"),
)
LATER = (("events", "addition.failed"), ("requests", "fib"), ("requests", "add"))

FIRST, MORE = 3, 2
LONGEST_CALL_SECONDS = 5.0
# For a function that calls rabbitmqctl some ten times: a command takes half a second, on a busy machine three.
LONGEST_COMMANDS_SECONDS = 40.0
# Which of the two a learner meets depends on the moment of the request.
COLLECTED = (
    "The API collects its numbers every few seconds unless you make it ask the queue: for a new queue it has none, and "
    "for any other it reports what was true then."
)

ENDLESS = 20
PROPERTIES = ("reply_to", "correlation_id", "delivery_mode")


def call(function: Callable, *arguments: object) -> object:
    """Call a function; runs in a process."""
    return function(*arguments)


def _administer(trial: Trial, function: Callable, *arguments: object) -> Running:
    """Run a function that uses ``ctl``, and return when it has ended; nothing crosses the wire in that time."""
    running = trial.run("Administrator", function, *arguments)
    trial.deadline += LONGEST_COMMANDS_SECONDS
    trial.wait(lambda: not running.alive, seconds=LONGEST_COMMANDS_SECONDS)
    return running


def _ctl(trial: Trial) -> Callable:
    """Return what `lab.ctl` of the check's lab is, for another process."""
    return partial(ctl.run_on_vhost, trial.lab.broker, trial.lab.vhost, trial.lab.vhost)


def _publish(trial: Trial, key: str, *bodies: str, exchange: str = "") -> None:
    """Publish messages; all have arrived when this returns."""
    channel = trial.channel.connection.channel()
    channel.confirm_delivery()
    for body in bodies:
        channel.basic_publish(exchange, key, body.encode())
    channel.close()


def delete_abandoned(trial: Trial, answer: Callable) -> str:
    """Run a function on a virtual host with queues that are abandoned and others, and ask the broker what is left."""
    trial.declare(QUEUE, IN_USE, FULL, EMPTY)
    _publish(trial, QUEUE, *REQUESTS)
    _publish(trial, IN_USE, *REPLIES)
    _publish(trial, FULL, "13")
    trial.channel.basic_qos(prefetch_count=1)
    trial.channel.basic_consume(IN_USE, lambda *delivery: None)
    trial.wait(lambda: trial.counts(IN_USE)["unacked"])
    running = _administer(trial, call, answer, _ctl(trial))
    left = {queue["name"]: queue for queue in trial.lab.queues()}
    _harm(left)
    if running.outcome.state != "returned":
        raise Mistake(f"Nothing is lost, and the work is not finished: {explain(running)}")
    if FULL in left and not left[FULL]["ready"]:
        raise Mistake(
            f"`{FULL}` was purged: its message is lost, and the queue still exists. Delete the queue instead."
        )
    if FULL in left:
        raise Mistake(f"`{FULL}` still exists, with its message, and has no consumer. {explain(running)}")
    if EMPTY in left:
        raise Mistake(
            f"`{EMPTY}` still exists. It is empty, and abandoned anyway: a queue is abandoned when it has no consumer, "
            "however many messages it has."
        )
    return (
        f"`{FULL}` and `{EMPTY}` are deleted. `{IN_USE}` has its consumer and its replies, and the requests in "
        "`addition` wait for their server."
    )


def _harm(left: dict[str, dict]) -> None:
    requests, replies = left.get(QUEUE), left.get(IN_USE)
    if requests is None or requests["ready"] < len(REQUESTS):
        raise Mistake(
            f"`addition` was {'deleted' if requests is None else 'purged'}, and {len(REQUESTS)} requests that waited "
            "for a server are lost. It is no callback queue. It had no consumer at the moment, as happens whenever a "
            "server restarts."
        )
    if replies is None:
        raise Mistake(
            f"`{IN_USE}` was deleted, though a client consumes from it: the broker cancelled its subscription, and its "
            "replies are lost. Look at the column `consumers`."
        )
    if replies["ready"] < len(REPLIES) - 1:
        raise Mistake(
            f"`{IN_USE}` was purged. A client consumes from it: it keeps the {replies['unacked']} reply that it held "
            f"unacked, and has lost the {len(REPLIES) - 1} that were ready."
        )


def left_behind(trial: Trial, answer: Callable) -> str:
    """Run a function that takes a queue out of service, and then publish what would have reached it before."""
    trial.declare(RETIRED, "addition", "alarms")
    for exchange, kind in (("requests", "direct"), ("events", "topic")):
        trial.channel.exchange_declare(exchange, exchange_type=kind, durable=True)
    _publish(trial, RETIRED, *REQUESTS)
    for exchange, key, queue in BINDINGS:
        trial.channel.queue_bind(queue, exchange, routing_key=key)
    running = _administer(trial, call_each, answer, [(_ctl(trial), RETIRED)])
    if RETIRED not in trial.lab.queues().column("name"):
        raise Mistake(
            f"You deleted `{RETIRED}`. That deleted its bindings, and also the {len(REQUESTS)} messages that the "
            "auditors still want to read."
        )
    if trial.counts(RETIRED)["ready"] < len(REQUESTS):
        raise Mistake(f"`{RETIRED}` held {len(REQUESTS)} messages that you should keep, and they are lost.")
    for exchange, key in LATER:
        _publish(trial, key, key, exchange=exchange)
    _nothing_new(trial, running)
    refused(trial)
    if running.outcome.state != "returned":
        raise Mistake(f"No binding is left, but then: {explain(running)}")
    return (
        f"No message reaches `{RETIRED}` any more, whichever exchange it is published to. Its {len(REQUESTS)} copies "
        "are still there, and all other queues get what they got before."
    )


def _nothing_new(trial: Trial, running: Running) -> None:
    for queue, exchange, key in (("addition", "requests", "add"), ("alarms", "events", "addition.failed")):
        if not trial.counts(queue)["ready"]:
            raise Mistake(
                f"A message to `{exchange}` with the key `{key}` does not reach `{queue}` any more: you have removed "
                "the binding of a queue that is in service."
            )
    if fresh := trial.counts(RETIRED)["ready"] - len(REQUESTS):
        refused(trial)
        left = [
            f"`{row['exchange']}` by `{row['routing key']}`" for row in trial.lab.bindings()
            if row["destination"] == RETIRED and row["exchange"] != "(default)"
        ]
        raise Mistake(
            f"{'' if running.outcome.state == 'returned' else explain(running) + ' '}Then {len(LATER)} messages were "
            f"published, and {fresh} of them reached `{RETIRED}`. The broker still has bindings that lead there: from "
            f"{', '.join(left)}. It is no error to remove a binding that does not exist."
        )


def as_service(function: Callable, broker: Broker, vhost: str) -> None:
    """Reply to requests with what a function returns; it gets a client of the HTTP API, the virtual host and the body.

    An error that it raises ends the process, and is reported with its line.
    """
    with httpx.Client(
        base_url=f"{broker.management_url}/api", auth=(broker.username, broker.password),
        trust_env=False,  # as `Management`, with its reasons
        verify=tls.context() if broker.management_url.startswith("https:") else False,
    ) as api:
        def on_request(ch: BlockingChannel, method: Basic.Deliver, props: pika.BasicProperties, body: bytes) -> None:
            reply = pika.BasicProperties(correlation_id=props.correlation_id)
            ch.basic_publish("", props.reply_to, str(function(api, vhost, body.decode())).encode(), reply)
            ch.basic_ack(method.delivery_tag)

        consume(on_request, SERVICE)


def live_counts(trial: Trial, answer: Callable) -> str:
    """Serve a function from a request queue, and call it twice; in between, the queue that it reports on changes."""
    trial.declare("aardvark", QUEUE, "audit", SERVICE)
    _publish(trial, QUEUE, *["1,1"] * FIRST)
    _publish(trial, "audit", *["3,5"] * 7)
    running = trial.run("Monitor", as_service, answer, trial.lab.broker, trial.lab.vhost)
    with RpcClient(SERVICE, parameters=trial.lab.parameters, timeout=LONGEST_CALL_SECONDS) as client:
        _is_true(trial, _reply(trial, running, client))
        trial.channel.basic_get(QUEUE)
        _publish(trial, QUEUE, *["1,1"] * MORE)
        _is_true(trial, _reply(trial, running, client))
    return (
        f"A client asked for `{QUEUE}`, and the service replied `{FIRST}`. Then {MORE} more messages were published "
        f"and 1 was delivered. The service replied `{FIRST + MORE - 1}`, as the queue itself says."
    )


def _reply(trial: Trial, running: Running, client: RpcClient) -> str:
    """Call the service, and return its reply."""
    future = client.submit(QUEUE)
    trial.wait(future.done, running, seconds=LONGEST_CALL_SECONDS)
    if running.outcome.error == "KeyError":
        raise Mistake(
            f"The request ended the service. {explain(running)} "
            f"What the API reported about `{QUEUE}` has no such entry. {COLLECTED}"
        )
    stopped(trial, running, "The request ended the service. ")
    if not future.done() or future.exception():
        raise Mistake("The service runs, and has not replied within the time of this check.")
    return future.result()


def _is_true(trial: Trial, said: str) -> None:
    queues = {row["name"]: row for row in trial.lab.queues()}
    ready, unacked = queues[QUEUE]["ready"], queues[QUEUE]["unacked"]
    if said == str(ready):
        return
    if unacked and said == str(ready + unacked):
        raise Mistake(
            f"The service replied `{said}`, and {ready} messages wait in `{QUEUE}`: you also counted the {unacked} "
            "that a consumer holds unacked. That one does not wait, a consumer processes it."
        )
    if others := [name for name, row in queues.items() if name != QUEUE and str(row["ready"]) == said and row["ready"]]:
        raise Mistake(
            f"The service replied `{said}`, which is the count of `{others[0]}`. The request named `{QUEUE}`."
        )
    raise Mistake(
        f"The service replied `{said}`, and the queue itself says that {ready} messages wait in `{QUEUE}`. {COLLECTED}"
    )


def move_messages(trial: Trial, answer: Callable) -> str:
    """Run a function that moves three requests, and follow each of them."""
    trial.declare(QUEUE)
    requests = [
        trial.publish(QUEUE, body, reply_to="addition_callback", correlation_id=f"request {number}", delivery_mode=2)
        for number, body in enumerate(BODIES, 1)
    ]
    running = trial.run("Administrator", call_each, answer, [(QUEUE, TARGET)])
    trial.wait(lambda: not running.alive or len(trial.story.messages) > len(requests) + ENDLESS)
    copies = trial.story.messages[len(requests):]
    if len(copies) > ENDLESS:
        raise Mistake(f"Your function published {len(copies)} messages for {len(BODIES)}, and still goes on.")
    refused(trial)
    if running.outcome.state != "returned":
        counts = trial.counts(QUEUE)
        raise Mistake(
            f"{len(copies)} of {len(BODIES)} messages were published to the other queue, {counts['ready']} are ready "
            f"in `{QUEUE}` and {counts['unacked']} unacked. {explain(running)}"
        )
    _moved(trial, requests, copies)
    return (
        f"All {len(BODIES)} requests are in `{TARGET}`, in their order and with all their properties. Each was "
        "acknowledged after its copy was published, so an interruption would have lost none."
    )


def _moved(trial: Trial, requests: list[Message], copies: list[Message]) -> None:
    trial.wait(lambda: trial.counts(TARGET)["ready"] >= len(copies), seconds=0.5)
    left, there = trial.counts(QUEUE)["ready"], trial.counts(TARGET)["ready"]
    if not copies:
        what = "are still there" if left else "are lost: nothing was published"
        raise Mistake(f"No message was moved. The {len(BODIES)} that were in `{QUEUE}` {what}.")
    if not there:
        raise Mistake(
            f"{len(copies)} messages were published with the key `{copies[0].routing_key}`, and no queue took them: "
            f"no queue has that name. The broker dropped them silently, and `{QUEUE}` has {left} left."
        )
    if left:
        raise Mistake(
            f"`{TARGET}` has {there}, and `{QUEUE}` has {left}: the broker requeued the messages that you did not "
            "acknowledge when your connection closed. Servers of both queues would do the work twice."
        )
    if [copy.body for copy in copies] != [request.body for request in requests]:
        raise Mistake(f"`{TARGET}` holds {', '.join(f'`{m.text()}`' for m in copies)}: not what was in `{QUEUE}`.")
    for request, copy in zip(requests, copies, strict=True):
        lost = [name for name in PROPERTIES if getattr(copy.properties, name) != getattr(request.properties, name)]
        if lost:
            raise Mistake(
                f"The copy of `{request.text()}` has lost its {' and '.join(f'`{name}`' for name in lost)}. The "
                "numbers arrived, but a server cannot reply to the copy as it would to the request."
            )
        if settled_before(request, copy.time):
            raise Mistake(
                f"`{request.text()}` was acknowledged before its copy was published. If your program had ended in "
                "between, the broker would have had neither of them. (`auto_ack=True` acknowledges a message when it "
                "is sent.)"
            )
