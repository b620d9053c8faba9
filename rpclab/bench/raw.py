"""What `RpcClient` and `RpcServer` are compared with: pika by itself, in one thread, with nothing done for safety."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

import pika

from rpclab.broker import tls
from rpclab.rpc.queues import declare
from rpclab.rpc.server import BaseServer

PREFETCH = 50


class RawClient:
    """A client with one connection in the caller's thread: no deadlines, no errors, no second thread.

    Parameters
    ----------
    parameters : pika.connection.Parameters
        Where to connect.
    queue : str
        Where requests go.
    """

    def __init__(self, parameters: pika.connection.Parameters, queue: str):
        self._queue = queue
        self._answers: dict[str, bytes] = {}
        self._connection = pika.BlockingConnection(parameters)
        self._channel = self._connection.channel()
        declare(self._channel, queue)
        self._replies = self._channel.queue_declare("", exclusive=True).method.queue
        self._channel.basic_consume(self._replies, self._on_reply, auto_ack=True)

    def call(self, body: str) -> str:
        """Send a request and return its answer."""
        return self.gather([body])[0]

    def gather(self, bodies: Sequence[str]) -> list[str]:
        """Send requests all at once and return their answers in the same order."""
        sent = [self._send(body) for body in bodies]
        while len(self._answers) < len(sent):
            self._connection.process_data_events(time_limit=None)
        return [self._answers.pop(correlation_id).decode() for correlation_id in sent]

    def close(self) -> None:
        """Close the connection; a second time does nothing."""
        if self._connection.is_open:
            self._connection.close()

    def __enter__(self) -> RawClient:
        return self

    def __exit__(self, *exc_info) -> None:
        self.close()

    def _send(self, body: str) -> str:
        properties = pika.BasicProperties(reply_to=self._replies, correlation_id=str(uuid.uuid4()))
        self._channel.basic_publish("", self._queue, body.encode(), properties)
        return properties.correlation_id

    def _on_reply(self, channel, method, properties: pika.BasicProperties, body: bytes) -> None:
        self._answers[properties.correlation_id] = body


class InlineServer(BaseServer):
    """Answers with the request's own text, in the thread that owns the connection.

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

    def on_request(self, ch, method, props, body) -> None:
        """Answer and acknowledge."""
        properties = pika.BasicProperties(correlation_id=props.correlation_id)
        ch.basic_publish("", props.reply_to, body, properties)
        ch.basic_ack(method.delivery_tag)
