"""The case study's base class for servers: consume requests from a queue, one at a time."""

from __future__ import annotations

import multiprocessing
from abc import ABC, abstractmethod
from typing import Any

import pika

from rpclab.broker.connect import Where, connect
from rpclab.broker.environment import all_connection_parameters
from rpclab.rpc.protocol import declare


class BaseServer(ABC):
    """The case study's base class: a connection, a channel, a queue, and a callback for its messages.

    A subclass handles a delivery in `on_request`, and acknowledges it there. An error in `on_request` ends the server,
    and the broker requeues the message. `RpcServer` survives such errors.

    Parameters
    ----------
    queue_name : str
        The queue to consume from. It is declared, durable, if it does not exist yet.
    parameters : pika.connection.Parameters or list of them, optional
        Where to connect; to the open lab if not given. With several nodes, to the first that answers.

    Notes
    -----
    Prefetch is 1: the broker sends a server its next message when it has acknowledged the last one
    (https://www.rabbitmq.com/docs/consumer-prefetch).
    """

    def __init__(self, queue_name: str, *, parameters: Where | None = None):
        self.queue_name = queue_name
        self.connection = connect(parameters or all_connection_parameters())
        try:
            self.channel = self.connection.channel()
            declare(self.channel, queue_name)
            self.channel.basic_qos(prefetch_count=1)
        except BaseException:
            self.connection.close()
            raise

    def start(self) -> None:
        """Consume until stopped, or cancelled by the broker, then close the connection."""
        self.channel.add_on_cancel_callback(self._on_cancelled)
        self.channel.basic_consume(queue=self.queue_name, on_message_callback=self.on_request)
        print(f" [x] Server {whoami()} started on queue '{self.queue_name}'", flush=True)
        self.channel.start_consuming()
        self.connection.close()

    @abstractmethod
    def on_request(
        self, ch: Any, method: pika.spec.Basic.Deliver, properties: pika.BasicProperties, body: bytes
    ) -> None:
        """Handle one delivery.

        Parameters
        ----------
        ch : pika.adapters.blocking_connection.BlockingChannel
            The channel that delivered; acknowledge on this one. An `RpcServer` has a `pika.channel.Channel` here, which
            does not block: it sends when `on_request` has returned.
        method : pika.spec.Basic.Deliver
            ``delivery_tag``, ``redelivered``, ``exchange``, ``routing_key``, ``consumer_tag``.
        properties : pika.BasicProperties
            ``reply_to``, ``correlation_id``, ``headers`` and the rest of the message's properties.
        body : bytes
            The message's body.
        """

    def stop(self) -> None:
        """End `start` when the deliveries in hand are handled; may be called from any thread or signal handler."""
        self.connection.add_callback_threadsafe(self.channel.stop_consuming)

    def _on_cancelled(self, _: pika.frame.Method) -> None:
        # pika raises no error for it.
        why = "the queue was deleted, or a message was held for too long"
        print(f" [!] the broker cancelled the consumer on queue '{self.queue_name}': {why}", flush=True)


def whoami() -> str:
    """Return this process's name and pid, as the case study prints them."""
    process = multiprocessing.current_process()
    return f"{process.name} (PID: {process.pid})"
