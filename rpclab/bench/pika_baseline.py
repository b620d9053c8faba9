"""Plain pika in one thread, without any safety, for comparison with `RpcClient`."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

import pika
from pika.adapters.blocking_connection import BlockingChannel
from pika.spec import Basic

from rpclab.rpc.protocol import declare


class RawClient:
    """A client with one connection in the caller's thread: no deadlines, no errors, no second thread.

    Parameters
    ----------
    parameters : pika.connection.Parameters
        Where to connect.
    queue : str
        Where requests go.
    confirms : bool
        Whether each request waits until the broker has taken it.
    """

    def __init__(self, parameters: pika.connection.Parameters, queue: str, *, confirms: bool = False):
        self._queue = queue
        self._answers: dict[str, bytes] = {}
        self._connection = pika.BlockingConnection(parameters)
        self._channel = self._connection.channel()
        declare(self._channel, queue)
        self._replies = self._channel.queue_declare("", exclusive=True).method.queue
        self._channel.basic_consume(self._replies, self._on_reply, auto_ack=True)
        if confirms:
            self._channel.confirm_delivery()

    def call(self, body: str) -> str:
        """Send a request and return the reply."""
        return self.gather([body])[0]

    def gather(self, bodies: Sequence[str]) -> list[str]:
        """Send requests all at once and return the replies in the same order."""
        sent = [self._send(body) for body in bodies]
        while len(self._answers) < len(sent):
            self._connection.process_data_events(time_limit=None)
        return [self._answers.pop(correlation_id).decode() for correlation_id in sent]

    def __enter__(self) -> RawClient:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._connection.close()

    def _send(self, body: str) -> str:
        correlation_id = str(uuid.uuid4())
        properties = pika.BasicProperties(reply_to=self._replies, correlation_id=correlation_id)
        self._channel.basic_publish("", self._queue, body.encode(), properties)
        return correlation_id

    def _on_reply(
        self, channel: BlockingChannel, method: Basic.Deliver, properties: pika.BasicProperties, body: bytes
    ) -> None:
        self._answers[properties.correlation_id] = body
