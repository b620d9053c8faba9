"""Lesson 02: patterns, copies for another consumer, and bindings of an earlier version."""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn

from pika import spec

from rpclab.course.evidence import methods
from rpclab.course.findings import explain, refused
from rpclab.course.trial import Trial
from rpclab.course.verdict import Mistake

SERVICES = {"addition": "add", "fibonacci": "fib"}
FAILURES = (
    "addition.failed", "fibonacci.worker.failed", "failed", "fibonacci.worker.3.failed",
    "addition.room.2.worker.3.failed",
)
NO_FAILURES = ("addition.done", "failed.again", "fibonacci.failed.twice", "addition.notfailed", "addition")
EARLIER = "fibonacci.started"
FIBONACCI = ["fibonacci", "fibonacci.worker.failed"]
OTHERS = ["addition.done", "addition.failed"]
FAILED = ["fibonacci.worker.failed", "addition.failed"]


def copy_for_audit(trial: Trial, answer: Callable) -> str:
    """Publish a request for each service, and check which queues get it."""
    _exchange(trial, "requests", "direct", **SERVICES)
    _bind(trial, "Auditor", answer)
    _publish(trial, "requests", *SERVICES.values())
    copies = _arrived(trial, "audit")
    for queue, key in SERVICES.items():
        got = _arrived(trial, queue)
        if got != [key] and not _keys(trial, "requests", queue):
            deleted = methods(trial.events, spec.Exchange.Delete)
            how = "deleted the exchange, and with it all bindings" if deleted else "removed its binding"
            raise Mistake(f"The service's queue `{queue}` gets no more requests: your code has {how}.")
        if got != [key]:
            got_it = _listed(got) or "none"
            raise Mistake(f"The service's queue `{queue}` should get its own request, `{key}`. It got {got_it}.")
    if missed := [key for key in SERVICES.values() if key not in copies]:
        _no_copies(trial, missed)
    if len(copies) != len(SERVICES):
        raise Mistake(f"`audit` should get one copy of each request. It got {_listed(copies)}.")
    return (
        "Each request went to its service, and a copy to `audit`. Neither the sender nor a service was changed for "
        "it."
    )


def _no_copies(trial: Trial, missed: list[str]) -> NoReturn:
    bindings = _keys(trial, "requests", "audit")
    if not bindings:
        elsewhere = trial.lab.bindings().where(destination="audit").column("exchange")
        raise Mistake(
            f"`audit` is not bound to the exchange `requests` (it is to: {', '.join(dict.fromkeys(elsewhere))}), "
            f"and so got no copy of {_listed(missed)}."
        )
    why = "`lab.bindings()` shows by which keys the services get theirs."
    if any("#" in key or "*" in key for key in bindings):
        why = (
            "`requests` is a direct exchange: it compares the two keys letter by letter, and a `#` is a letter like "
            "any other."
        )
    raise Mistake(f"`audit` is bound by {_listed(bindings)} and got no copy of {_listed(missed)}. {why}")


def every_failure(trial: Trial, answer: Callable) -> str:
    """Publish ten events, five of them failures."""
    _exchange(trial, "events", "topic")
    _bind(trial, "Watcher", answer)
    _publish(trial, "events", *FAILURES, *NO_FAILURES)
    got = _arrived(trial, "alarms")
    patterns = _keys(trial, "events", "alarms")
    if not patterns:
        raise Mistake("`alarms` is not bound to the exchange `events`, so it gets nothing.")
    missed, unwanted = [key for key in FAILURES if key not in got], [key for key in NO_FAILURES if key in got]
    glued = [key for key in patterns for word in key.split(".") if len(word) > 1 and ("*" in word or "#" in word)]
    if missed and glued:
        raise Mistake(
            f"`{glued[0]}` matches no failure: `*` and `#` stand for whole words, between dots, and are plain letters "
            f"within one. Missed: {_listed(missed)}."
        )
    if unwanted:
        raise Mistake(
            f"`alarms` got events that are no failures: {_listed(unwanted)}. Missed: {_listed(missed) or 'nothing'}. "
            f"Bound by: {_listed(patterns)}."
        )
    if missed:
        count = missed[0].count(".") + 1
        raise Mistake(
            f"`{missed[0]}` has {count} word{'s' if count > 1 else ''}, and none of your patterns "
            f"({_listed(patterns)}) matches it, so there was no alarm. In all, {len(missed)} of {len(FAILURES)} "
            "failures are missed. Each `*` stands for exactly one word."
        )
    return (
        f"All {len(FAILURES)} failures are in `alarms`, from the bare `failed` to `{FAILURES[-1]}`, and nothing else."
    )


def left_behind(trial: Trial, answer: Callable) -> str:
    """Run the new version on a broker where the old one ran."""
    _exchange(trial, "events", "topic", **{"audit": "#", "alarms": "#.failed"})
    _publish(trial, "events", EARLIER)
    _bind(trial, "Auditor", answer)
    _publish(trial, "events", *FIBONACCI, *OTHERS)
    audit, alarms = _arrived(trial, "audit"), _arrived(trial, "alarms")
    left = _keys(trial, "events", "audit")
    if EARLIER not in audit:
        _lost(trial, left)
    if missed := [key for key in FIBONACCI if key not in audit]:
        raise Mistake(f"`audit` got no {_listed(missed)}. It is now bound by: {_listed(left) or 'nothing'}.")
    if unwanted := [key for key in OTHERS if key in audit]:
        _still_bound(trial, left, unwanted)
    if alarms != FAILED:
        raise Mistake(
            f"`alarms` belongs to another program, and it should have got {_listed(FAILED)}. It got "
            f"{_listed(alarms) or 'nothing'}: your code has deleted its binding."
        )
    return (
        "The binding by `#` is deleted, the one by `fibonacci.#` exists. `audit` kept its messages, and "
        "`alarms` gets what it got before."
    )


def _lost(trial: Trial, left: list[str]) -> NoReturn:
    """Raise a mistake: the waiting message was lost, and this is how."""
    waited = f"`{EARLIER}`, which waited in `audit`, is lost"
    how = f"`{EARLIER}` waited in `audit` before your code began, and your code took it."
    if methods(trial.events, spec.Queue.Delete):
        how = f"You deleted the queue. That deletes its bindings, and its messages as well: {waited}."
    elif methods(trial.events, spec.Queue.Purge):
        still = ", and the binding for the wrong ones still exists" if "#" in left else ""
        how = f"You purged the queue, which deletes messages and no binding: {waited}{still}."
    raise Mistake(f"{how} It is now bound by: {_listed(left) or 'nothing'}.")


def _still_bound(trial: Trial, left: list[str], unwanted: list[str]) -> NoReturn:
    """Raise a mistake: a binding still brings the wrong messages."""
    tried = methods(trial.events, spec.Queue.Unbind)
    if tried and "#" in left:
        method = tried[0]
        raise Mistake(
            f"You removed the binding of `{method.queue}` to `{method.exchange}` by `{method.routing_key}`. There was "
            f"none, which the broker ignores silently. `audit` is still bound by {_listed(left)}, and got "
            f"{_listed(unwanted)}: remove a binding with exactly the arguments that made it."
        )
    raise Mistake(
        f"`audit` still gets {_listed(unwanted)}: it is bound by {_listed(left)}, and one match is enough. Bindings "
        "outlive the program that made them, and a new one replaces none."
    )


def _exchange(trial: Trial, name: str, kind: str, **keys: str) -> None:
    """Declare an exchange, and a durable queue with a binding for each keyword: ``addition="add"``."""
    trial.channel.exchange_declare(name, exchange_type=kind, durable=True)
    trial.declare(*keys)
    for queue, key in keys.items():
        trial.channel.queue_bind(queue, name, routing_key=key)


def _bind(trial: Trial, name: str, answer: Callable) -> None:
    """Run the learner's function until it has made its bindings and returned."""
    running = trial.call(name, answer, ())
    refused(trial)
    if running.outcome.state != "returned":
        raise Mistake(f"Your function should make its bindings and return. {explain(running)}")


def _publish(trial: Trial, name: str, *keys: str) -> None:
    """Publish a message for each key, with the key as its body, if the learner's code has not deleted the exchange."""
    if name not in trial.lab.exchanges().column("name"):
        raise Mistake(f"The exchange `{name}` was deleted. The broker rejects every message published to it.")
    for key in keys:
        trial.channel.basic_publish(name, key, key.encode())


def _arrived(trial: Trial, queue: str) -> list[str]:
    """Consume all messages of a queue and return the bodies, in order, if the queue exists."""
    if queue not in trial.lab.queues().column("name"):
        raise Mistake(
            f"There is no queue `{queue}` now: it was never declared, or deleted with the connection that declared it."
        )
    bodies = []
    while (body := trial.channel.basic_get(queue, auto_ack=True)[2]) is not None:
        bodies.append(body.decode(errors="replace"))
    return bodies


def _keys(trial: Trial, name: str, queue: str) -> list[str]:
    """Return the keys by which a queue is bound to an exchange now."""
    return trial.lab.bindings().where(exchange=name, destination=queue).column("routing key")


def _listed(names: list[str]) -> str:
    """Return names as code, with commas between."""
    return ", ".join(f"`{name}`" for name in names)
