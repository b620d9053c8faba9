"""The service of the fault tests: it answers in capitals, and says what it took.

It has a module of its own, without pytest, so that a worker process that imports it starts quickly.
"""

from __future__ import annotations

import os
import time

import pika

from rpclab import BaseServer, Lab, RpcServer
from rpclab.broker.environment import connection_parameters
from rpclab.rpc.client import RpcClient

QUEUE = "shout"
GATE_POLL_SECONDS = 0.01


def shout(body: str) -> str:
    """Answer ``hello`` by ``HELLO``; and ``hello until /tmp/gate`` as well, once there is such a file."""
    word, _, gate = body.partition(" until ")
    while gate and not os.path.exists(gate):
        time.sleep(GATE_POLL_SECONDS)
    return word.upper()


def note(method, body: bytes) -> None:
    word = body.partition(b" until ")[0].decode(errors="backslashreplace")
    print(f"took {word!r}, redelivered={method.redelivered}", flush=True)


class Shouter(RpcServer):
    """The service as one should write it; `options` are those of `RpcServer`."""

    options: dict = {}

    def __init__(self, queue: str = QUEUE):
        super().__init__(queue, **self.options)

    def on_request(self, ch, method, properties, body) -> None:
        note(method, body)
        super().on_request(ch, method, properties, body)

    def handle(self, body: str) -> str:
        return shout(body)


class WatchfulShouter(Shouter):
    """One that notices within seconds that the other end is gone."""

    options = {"heartbeat": 1}


class AutoAckShouter(BaseServer):
    """One that has the broker forget each request as soon as it is sent."""

    def __init__(self, queue: str = QUEUE):
        super().__init__(queue)

    def start(self) -> None:
        self.channel.basic_consume(self.queue_name, self.on_request, auto_ack=True)
        self.channel.start_consuming()

    def on_request(self, ch, method, properties, body) -> None:
        note(method, body)
        reply(ch, properties, shout(body.decode()))


class NaiveShouter(BaseServer):
    """One that works in the thread that should send heartbeats, for as long as the request says in seconds."""

    def __init__(self, queue: str = QUEUE):
        parameters = connection_parameters()
        parameters.heartbeat = 1
        super().__init__(queue, parameters=parameters)

    def on_request(self, ch, method, properties, body) -> None:
        note(method, body)
        time.sleep(float(body))
        reply(ch, properties, "DONE")
        ch.basic_ack(method.delivery_tag)


class ThreadedShouter(WatchfulShouter):
    """One that works just as long, as `RpcServer` does: in another thread."""

    def handle(self, body: str) -> str:
        time.sleep(float(body))
        return "DONE"


def reply(ch, properties, body: str, **others) -> None:
    """Answer a request with raw pika."""
    given = {"correlation_id": properties.correlation_id, **others}
    ch.basic_publish("", properties.reply_to, body.encode(), pika.BasicProperties(**given))


def pending(client: RpcClient) -> int:
    """Return how many calls a client still has on its list."""
    return len(client._session.calls)


def in_hand_of_another_worker(lab: Lab, queue: str) -> None:
    """Have a waiting request delivered to a worker that goes without acknowledging it."""
    with lab.connect("another worker") as connection:
        connection.channel().basic_get(queue)
    lab.wait_for(queue, ready=1, unacked=0)
