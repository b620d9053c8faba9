"""Lesson 01: unroutable messages and how to detect them, what survives a restart, and a request's properties."""

from __future__ import annotations

from collections.abc import Callable

from pika import spec
from pika.exceptions import ChannelClosedByBroker

from rpclab.course.addition import AdditionService
from rpclab.course.evidence import acked, declared, methods
from rpclab.course.findings import explain, refused
from rpclab.course.running import Running
from rpclab.course.trial import Trial
from rpclab.course.verdict import Mistake
from rpclab.rpc.protocol import ADDITION_CALLBACK_QUEUE, ADDITION_QUEUE
from rpclab.wire.messages import Message

FIRST, SECOND = "3,5", "20,22"
MISSING, LOST = "Addition", "1,2"
CALLS = ((ADDITION_QUEUE, FIRST), (MISSING, LOST), (ADDITION_QUEUE, SECOND))
WANTED = [True, False, True]
ID = "request 7"
LEDGER, TOTALS = "ledger", (8, 42)


def fix_the_sender(trial: Trial, answer: Callable) -> str:
    """Send a request on a broker without queues, and another after the server has declared its queue."""
    request = _sent(trial, "Sender", answer, FIRST)
    if not trial.counts(ADDITION_QUEUE)["ready"]:
        _where_it_went(trial, request)
    try:
        trial.declare(ADDITION_QUEUE)
    except ChannelClosedByBroker as refusal:
        raise Mistake(
            f"`{FIRST}` is in the queue. Then the server declared `{ADDITION_QUEUE}` as durable and nothing else, and "
            f"the broker rejected that: `{refusal.reply_code} {refusal.reply_text}`. Both sides must declare a queue "
            "with the same properties."
        ) from refusal
    _sent(trial, "Again", answer, SECOND)
    ready = trial.counts(ADDITION_QUEUE)["ready"]
    if ready != 2:
        raise Mistake(
            f"`{FIRST}` was in the queue, then `{SECOND}` was sent, and `{ADDITION_QUEUE}` holds {ready} instead of 2. "
            "Sending a request must not change those that wait already."
        )
    return (
        f"Your code declared the queue before the first request. The server declared it again in the same way, "
        f"which changed nothing; the second request went behind the first: 2 ready in `{ADDITION_QUEUE}`."
    )


def _sent(trial: Trial, name: str, answer: Callable, body: str) -> Message:
    """Call the learner's function once, and return the message that it published."""
    running = trial.call(name, answer, (body,))
    refused(trial)
    if running.outcome.state != "returned":
        raise Mistake(f"`send` should publish `{body}` and return. {explain(running)}")
    message = trial.message(body)
    if message is None:
        raise Mistake(f"`send` returned, and no message with the body `{body}` has crossed the wire.")
    return message


def _where_it_went(trial: Trial, request: Message) -> None:
    """Raise a mistake: the request is not in the queue."""
    _deleted_at_once(trial, ADDITION_QUEUE, f"`{FIRST}` with it")
    key = request.routing_key
    if not declared(trial.events):
        raise Mistake(
            f"`{FIRST}` was published with the key `{key}`, on a broker without any queue: it was dropped silently. "
            "Publishing never declares a queue."
        )
    if key != ADDITION_QUEUE:
        names = trial.lab.queues().column("name")
        fate = "went into that queue, which no server reads" if key in names else "matches no queue, and was dropped"
        raise Mistake(
            f"There is a queue now ({', '.join(f'`{name}`' for name in names)}), and `{FIRST}` was published with the "
            f"key `{key}`. It {fate}. The default exchange compares key and name letter by letter."
        )
    raise Mistake(
        f"The queue `{ADDITION_QUEUE}` exists and is empty. `{FIRST}` was published before you declared it; an "
        "unroutable message is dropped at once, and does not wait for a queue."
    )


def _deleted_at_once(trial: Trial, queue: str, lost: str) -> None:
    """Raise a mistake if a queue was declared and does not exist any more."""
    if queue in declared(trial.events) and queue not in trial.lab.queues().column("name"):
        raise Mistake(
            f"The queue `{queue}` was declared for one connection alone. The broker deleted it when your program "
            f"closed that connection, and {lost}."
        )


def know_it_arrived(trial: Trial, answer: Callable) -> str:
    """Publish to a queue that exists, to a missing one, and again to the first."""
    trial.declare(ADDITION_QUEUE)
    running = trial.call("Publisher", answer, *CALLS)
    if MISSING in trial.lab.queues().column("name"):
        raise Mistake(
            f"Your code has declared the queue `{MISSING}`. It should report that the queue is missing: no program "
            "consumes from a queue that only the publisher knows."
        )
    if any(asked.passive and asked.queue == MISSING for asked in methods(trial.events, spec.Queue.Declare)):
        raise Mistake(
            "You asked whether the queue exists, before you published or instead. Between the two a queue can be "
            "declared or deleted; and asking for a missing one closes the channel. Let the broker report it for the "
            "message itself."
        )
    refused(trial)
    _what_was_lost(running, trial.message(LOST))
    if running.outcome.value != WANTED:
        raise Mistake(f"The three calls should have returned `{WANTED}`. {explain(running)}")
    ready = trial.counts(ADDITION_QUEUE)["ready"]
    if ready != WANTED.count(True):
        raise Mistake(f"Two messages should be in `{ADDITION_QUEUE}`, as your code said. There are {ready}.")
    return (
        f"Two messages are in `{ADDITION_QUEUE}`. The third, `{LOST}`, was unroutable: the broker returned it "
        "(`NO_ROUTE`), and your code reported that."
    )


def _what_was_lost(running: Running, lost: Message | None) -> None:
    """Judge what happened to the unroutable message, and what the code reported."""
    if lost is None:
        raise Mistake(f"No message `{LOST}` was published. {explain(running)}")
    if running.outcome.error == "UnroutableError":
        raise Mistake(
            f"The broker returned `{LOST}` and pika raised `UnroutableError`, which your code did not catch. Catch it "
            "and return `False`."
        )
    if not lost.mandatory:
        confirmed = " It even confirmed it: to the broker, dropped is handled." if lost.confirmed else ""
        raise Mistake(
            f"`{LOST}` was unroutable, so the broker dropped it silently.{confirmed} A message that must reach "
            f"a queue should be published as mandatory. {explain(running)}"
        )
    if running.outcome.value == [True] * len(CALLS):
        early = "too late: `basic_publish` had returned with the message still in flight, because nothing made it wait"
        heard = "and your code returned `True` anyway" if lost.confirmed else early
        raise Mistake(f"The broker returned `{LOST}` ({lost.returned}), {heard}.")


def say_where_to(trial: Trial, answer: Callable) -> str:
    """Let a service answer one request, and look for the reply where it should be."""
    AdditionService(trial)
    trial.declare(ADDITION_CALLBACK_QUEUE)
    running = trial.call("Client", answer, (20, 22, ID))
    refused(trial)
    requests = [message for message in trial.story.messages if message.publisher == running.name]
    if not requests:
        text = running.outcome.error == "AttributeError" and "'encode'" in running.outcome.text
        why = " pika cannot send such a body: it takes text or bytes, and nothing else." if text else ""
        raise Mistake(f"Your code has published nothing. {explain(running)}{why}")
    request = requests[0]
    if request.queue != ADDITION_QUEUE:
        raise Mistake(
            f"Your message `{request.text()}` was published with the key `{request.routing_key}`. The service reads "
            f"only the queue `{ADDITION_QUEUE}`; `reply_to` says where the reply goes."
        )
    _can_be_answered(request)
    # The service acknowledges after its reply, and at once if it cannot read the request.
    trial.wait(lambda: acked(request))
    if not trial.counts(ADDITION_CALLBACK_QUEUE)["ready"]:
        raise Mistake(
            f"The service got the body `{request.text()}` and cannot read it. The two sides have agreed on text with "
            "two numbers and a comma between, as in `3,5`: the broker carries any bytes and checks none."
        )
    if running.outcome.state != "returned":
        raise Mistake(f"The request was answered, and `request_sum` should return then. {explain(running)}")
    if len(requests) > 1:
        raise Mistake(f"Your code has published {len(requests)} messages for one request.")
    return (
        f"The service read `{request.text()}`, and its reply `42` is in `{ADDITION_CALLBACK_QUEUE}`, with the "
        f"correlation id `{ID}`. It knew both from your message alone."
    )


def _can_be_answered(request: Message) -> None:
    """Judge the two properties that the service copies from."""
    properties, headers = request.properties, request.properties.headers or {}
    for name, wanted in (("reply_to", ADDITION_CALLBACK_QUEUE), ("correlation_id", ID)):
        found = getattr(properties, name)
        if found is None and name in headers:
            raise Mistake(
                f"`{name}` is among the `headers`, which are for anything that programs agree on. The service looks "
                "at the property of that name, and it is empty."
            )
        if found is None:
            missing = "where to send the reply" if name == "reply_to" else "which request the reply belongs to"
            raise Mistake(f"The request has no `{name}`, so nothing says {missing}.")
        if found != wanted:
            raise Mistake(f"The request's `{name}` is `{found}`, and it should be `{wanted}`.")


def made_to_last(trial: Trial, answer: Callable) -> str:
    """Keep two totals, and check what a restart of the broker would leave."""
    running = trial.call("Bookkeeper", answer, *((total,) for total in TOTALS))
    refused(trial)
    queue = next(iter(trial.lab.queues().where(name=LEDGER)), None)
    kept = [message for total in TOTALS if (message := trial.message(str(total)))]
    if queue and not queue["durable"]:
        raise Mistake(
            f"The queue `{LEDGER}` is not durable. A restart would delete it and all messages in it, however they were "
            "published."
        )
    if running.outcome.state != "returned" or len(kept) < len(TOTALS):
        raise Mistake(f"Both totals, `8` and `42`, should be published as text. {explain(running)}")
    if queue is None:
        _deleted_at_once(trial, LEDGER, "both totals with it, without any restart")
        raise Mistake(f"Your code has not declared a queue `{LEDGER}`: both totals were dropped.")
    if queue["ready"] != len(TOTALS):
        raise Mistake(f"`{LEDGER}` should hold {len(TOTALS)} totals, and it holds {queue['ready']}.")
    for message in kept:
        mode = message.properties.delivery_mode
        # A quorum queue writes every message to disk.
        if mode != spec.PERSISTENT_DELIVERY_MODE and queue["type"] != "quorum":
            how = f"with `delivery_mode` {mode}" if mode else "without a `delivery_mode`, which means transient"
            raise Mistake(
                f"The queue would survive a restart, but empty: `{message.text()}` was published {how}. A durable "
                "queue keeps only messages that are persistent."
            )
        if not message.confirmed:
            raise Mistake(
                f"`{message.text()}` is persistent, in a durable queue, and your program does not know it: it did not "
                "ask the broker to confirm. If the power fails while the message is in flight, `keep` has returned as "
                "if it were safe."
            )
    return (
        f"Both totals are in `{LEDGER}`: the queue is durable, the messages are persistent, and the broker has "
        "confirmed each of them: your program knows that they are safe."
    )
