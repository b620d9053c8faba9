"""The case study's base class for servers: take requests from a queue, one at a time."""

from __future__ import annotations

import multiprocessing
from abc import ABC, abstractmethod

import pika
from pika.adapters.blocking_connection import BlockingChannel

from rpclab.broker.connect import Where, connect
from rpclab.environment import all_connection_parameters
from rpclab.rpc.queues import declare


class BaseServer(ABC):
    """The case study's base class: a connection, a channel, a queue, and a callback for what arrives there.

    A subclass says what to do with a delivery in `on_request`, and acknowledges it there. What `on_request` raises
    ends the server, and the broker gives the message to the next one; `RpcServer` is the kind that survives.

    Parameters
    ----------
    queue_name : str
        The queue to consume from. It is declared, durable, if it is not there yet.
    parameters : pika.connection.Parameters or list of them, optional
        Where to connect; to the open lab if not given. Of a cluster's nodes, the first that answers is taken.

    Notes
    -----
    Prefetch is 1: a server gets its next message when it has acknowledged the last one
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
        """Consume until `stop` is called, then close the connection."""
        self.channel.basic_consume(queue=self.queue_name, on_message_callback=self.on_request)
        print(f" [x] Server {whoami()} started on queue '{self.queue_name}'", flush=True)
        self.channel.start_consuming()
        self.connection.close()

    @abstractmethod
    def on_request(
        self, ch: BlockingChannel, method: pika.spec.Basic.Deliver, props: pika.BasicProperties, body: bytes
    ) -> None:
        """Deal with one delivery.

        Parameters
        ----------
        ch : pika.adapters.blocking_connection.BlockingChannel
            The channel it came by; it must be acknowledged on this one.
        method : pika.spec.Basic.Deliver
            ``delivery_tag``, ``redelivered``, ``exchange``, ``routing_key``, ``consumer_tag``.
        props : pika.BasicProperties
            ``reply_to``, ``correlation_id``, ``headers`` and the rest of the message's properties.
        body : bytes
            The message itself.
        """

    def stop(self) -> None:
        """End `start` when the delivery at hand is dealt with; may be called from any thread."""
        self.connection.add_callback_threadsafe(self.channel.stop_consuming)


def whoami() -> str:
    """Return this process's name and pid in the case study's words."""
    process = multiprocessing.current_process()
    return f"{process.name} (PID: {process.pid})"
