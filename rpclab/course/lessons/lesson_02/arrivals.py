"""Setting exchanges up, running the learner's bindings, and looking where messages arrive."""

from __future__ import annotations

from pika import spec

from rpclab.broker.connect import connect
from rpclab.course.findings import explain, refused
from rpclab.course.running import Running
from rpclab.course.trial import CHECK, Trial
from rpclab.course.verdict import Mistake
from rpclab.environment import connection_parameters


def with_channel(function) -> None:
    """Call the learner's function with a channel, and end; runs in a process."""
    with connect(connection_parameters()) as connection:
        function(connection.channel())


def bound(trial: Trial, name: str, answer) -> Running:
    """Run the learner's function until it has made its bindings and come back."""
    running = trial.run(name, with_channel, answer)
    trial.wait(lambda: not running.alive, running)
    refused(trial)
    if running.outcome.state != "returned":
        raise Mistake(f"Your function should make its bindings and return. {explain(running)}")
    return running


def exchange(trial: Trial, name: str, kind: str, **keys: str) -> None:
    """Declare an exchange, and a durable queue with a binding for each keyword: ``addition="add"``."""
    trial.channel.exchange_declare(name, exchange_type=kind, durable=True)
    trial.declare(*keys)
    for queue, key in keys.items():
        trial.channel.queue_bind(queue, name, routing_key=key)


def publish(trial: Trial, name: str, *keys: str) -> None:
    """Publish a message with each key as its body, too.

    Raises
    ------
    Mistake
        If the learner's code has taken the exchange away.
    """
    if name not in trial.lab.exchanges().column("name"):
        raise Mistake(f"There is no exchange `{name}` any more. Whoever publishes to it is turned down from now on.")
    for key in keys:
        trial.channel.basic_publish(name, key, key)


def arrived(trial: Trial, queue: str) -> list[str]:
    """Take everything out of a queue and return the bodies, in order.

    Raises
    ------
    Mistake
        If there is no such queue.
    """
    if queue not in trial.lab.queues().column("name"):
        raise Mistake(
            f"There is no queue `{queue}` now: either nobody declared it, or it went with the connection that did."
        )
    bodies = []
    while (body := trial.channel.basic_get(queue, auto_ack=True)[2]) is not None:
        bodies.append(body.decode(errors="replace"))
    return bodies


def keys(trial: Trial, name: str, queue: str) -> list[str]:
    """Return the keys by which a queue is bound to an exchange at present."""
    return trial.lab.bindings().where(exchange=name, destination=queue).column("routing key")


def sent(trial: Trial, method: type[spec.amqp_object.Method]) -> list[spec.amqp_object.Method]:
    """Return the methods of one kind that the learner's code has sent: ``sent(trial, spec.Queue.Unbind)``."""
    return [e.method for e in trial.events if isinstance(e.method, method) and e.link.name != CHECK]


def listed(names: list[str]) -> str:
    """Return names as code, with commas between."""
    return ", ".join(f"`{name}`" for name in names)
