"""A second listener, without a change to those who send and those who work."""

from __future__ import annotations

from pika import spec

from rpclab.course.exercise import Exercise
from rpclab.course.lessons.lesson_02.arrivals import arrived, bound, exchange, keys, listed, publish, sent
from rpclab.course.trial import Trial
from rpclab.course.verdict import Mistake

REQUESTS, AUDIT = "requests", "audit"
SERVICES = {"addition": "add", "fibonacci": "fib"}


def copy_for_audit(trial: Trial, answer) -> str:
    """Publish a request for each service, and see who gets it."""
    exchange(trial, REQUESTS, "direct", **SERVICES)
    bound(trial, "Auditor", answer)
    publish(trial, REQUESTS, *SERVICES.values())
    copies = arrived(trial, AUDIT)
    for queue, key in SERVICES.items():
        _undisturbed(trial, queue, key)
    if missed := [key for key in SERVICES.values() if key not in copies]:
        _missed(trial, missed)
    if len(copies) != len(SERVICES):
        raise Mistake(f"`{AUDIT}` should get one copy of each request. It got {listed(copies)}.")
    return (
        f"Each request went to its service and to `{AUDIT}`, as copies of their own. Neither the sender nor a service "
        "was changed for it, or has noticed."
    )


def _undisturbed(trial: Trial, queue: str, key: str) -> None:
    """See that a service still gets its requests, once."""
    got = arrived(trial, queue)
    if got == [key]:
        return
    if not keys(trial, REQUESTS, queue):
        how = "deleted the exchange, and all bindings to it went along" if sent(trial, spec.Exchange.Delete) else \
            "removed its binding"
        raise Mistake(f"The service's queue `{queue}` gets no requests any more: your code has {how}.")
    raise Mistake(f"The service's queue `{queue}` should get its own request, `{key}`. It got {listed(got) or 'none'}.")


def _missed(trial: Trial, missed: list[str]) -> None:
    bindings = keys(trial, REQUESTS, AUDIT)
    if not bindings:
        elsewhere = trial.lab.bindings().where(destination=AUDIT).column("exchange")
        raise Mistake(
            f"`{AUDIT}` is not bound to the exchange `{REQUESTS}` (it is to: {', '.join(dict.fromkeys(elsewhere))}), "
            f"and so got no copy of {listed(missed)}."
        )
    if any("#" in key or "*" in key for key in bindings):
        raise Mistake(
            f"`{AUDIT}` is bound by {listed(bindings)} and got no copy of {listed(missed)}. `{REQUESTS}` is a direct "
            "exchange: it compares the two keys letter by letter, and a `#` is a letter like any other."
        )
    raise Mistake(
        f"`{AUDIT}` is bound by {listed(bindings)} and got no copy of {listed(missed)}. `lab.bindings()` shows by "
        "which keys the services get theirs."
    )


EXERCISE = Exercise(
    id="02-copy-for-audit",
    title="A copy of each request",
    task="""
The direct exchange `requests` is there, and bound to it `addition` (by the key `add`) and `fibonacci` (by `fib`).
Write `listen`: from then on a queue `audit` gets a copy of each request for either service. The exchange, the services
and those who send stay as they are, and each service still gets each of its requests once.
""",
    name="listen",
    starter="""\
def listen(channel):
    ...
""",
    solved="""\
def listen(channel):
    channel.queue_declare("audit", durable=True)
    channel.queue_bind("audit", "requests", routing_key="add")
    channel.queue_bind("audit", "requests", routing_key="fib")
""",
    hints=(
        "Who makes the bindings, those who send or those who receive?",
        "The queue has to be declared first. How many keys are there on this exchange? Does it know patterns?",
        "`channel.queue_bind(\"audit\", \"requests\", routing_key=\"add\")`, and one more.",
    ),
    judge=copy_for_audit,
)
