"""The servers that the bench runs in worker processes."""

from __future__ import annotations

import time
from collections.abc import Callable

import pika
from pika.adapters.blocking_connection import BlockingChannel
from pika.spec import Basic

from rpclab.broker import tls
from rpclab.rpc.rpc_server import RpcServer
from rpclab.rpc.server import BaseServer

PREFETCH = 50
SLEEP_SECONDS = 0.02


class InlineServer(BaseServer):
    """Plain pika: answers with the request's own text, in the thread that owns the connection.

    Parameters
    ----------
    queue : str
        The queue to take requests from.
    url : str
        Where to connect.
    """

    def __init__(self, queue: str, url: str):
        super().__init__(queue, parameters=tls.parameters(url))
        self.channel.basic_qos(prefetch_count=PREFETCH)

    def on_request(
        self, ch: BlockingChannel, method: Basic.Deliver, properties: pika.BasicProperties, body: bytes
    ) -> None:
        """Answer and acknowledge."""
        reply = pika.BasicProperties(correlation_id=properties.correlation_id)
        ch.basic_publish("", properties.reply_to, body, reply)
        ch.basic_ack(method.delivery_tag)


class Server(RpcServer):
    """An `RpcServer` that connects where its arguments say."""

    def __init__(self, queue: str, url: str, function: Callable[[str], object], prefetch: int = 1):
        super().__init__(queue, function, prefetch=prefetch, parameters=tls.parameters(url))


def echo(body: str) -> str:
    """Return the text itself."""
    return body


def sleep(body: str) -> str:
    """Return the text 20 ms later: a wait, as for a disk or another service, keeps no processor busy."""
    time.sleep(SLEEP_SECONDS)
    return body


def compute(body: str) -> int:
    """Return the Fibonacci number whose index is in the text, by its definition, which keeps a processor busy."""
    return _fibonacci(int(body))


def _fibonacci(n: int) -> int:
    return n if n < 2 else _fibonacci(n - 1) + _fibonacci(n - 2)
