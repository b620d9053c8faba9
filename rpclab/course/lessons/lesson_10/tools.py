"""What runs in a process during the checks of this lesson: a learner's function, with the tools that it asks for."""

from __future__ import annotations

from types import SimpleNamespace

import httpx
import pika

from rpclab.broker import tls
from rpclab.broker.address import Broker
from rpclab.broker.connect import connect
from rpclab.course.running import Running
from rpclab.course.trial import Trial
from rpclab.environment import connection_parameters
from rpclab.lab import Lab

# Commands of `rabbitmqctl` take half a second each, and nothing crosses the wire meanwhile.
COMMANDS_SECONDS = 6.0


def with_ctl(function, broker: Broker, vhost: str) -> object:
    """Call a function with ``ctl``, which is ``lab.ctl`` of the check's lab."""
    return function(_ctl(broker, vhost))


def with_channel(function, *arguments) -> object:
    """Call a function with a channel and what else it takes."""
    with connect(connection_parameters()) as connection:
        return function(connection.channel(), *arguments)


def with_channel_and_ctl(function, broker: Broker, vhost: str, *arguments) -> object:
    """Call a function with both."""
    return with_channel(function, _ctl(broker, vhost), *arguments)


def as_service(function, request_queue: str, broker: Broker, vhost: str) -> None:
    """Answer requests with a function that is given a client of the HTTP API, the virtual host, and the body.

    What it raises ends the process, and is told with the line that it comes from.
    """
    with httpx.Client(
        base_url=f"{broker.management_url}/api", auth=(broker.username, broker.password),
        trust_env=False,  # as `Management`, with its reasons
        verify=tls.context() if broker.management_url.startswith("https:") else False,
    ) as api, connect(connection_parameters()) as connection:
        channel = connection.channel()
        for method, props, body in channel.consume(request_queue):
            reply = pika.BasicProperties(correlation_id=props.correlation_id)
            channel.basic_publish("", props.reply_to, str(function(api, vhost, body.decode())), reply)
            channel.basic_ack(method.delivery_tag)


def ended(trial: Trial, running: Running) -> None:
    """Wait until a function that administers the broker has come to its end."""
    trial.wait(lambda: not running.alive, seconds=COMMANDS_SECONDS)


def _ctl(broker: Broker, vhost: str):
    # All that `Lab.ctl` asks of a lab; a lab itself belongs to the process that opened it.
    here = SimpleNamespace(broker=broker, vhost=vhost, name=vhost)
    return lambda *arguments: Lab.ctl(here, *arguments)
