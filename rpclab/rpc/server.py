"""Servers: processes that take requests from a queue and send each answer to the queue that the request names."""

from __future__ import annotations

import json
import multiprocessing
from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pika
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import ConnectionWrongStateError

from rpclab.broker.connect import connect
from rpclab.errors import InvalidOption
from rpclab.lab import connection_parameters
from rpclab.rpc.queues import declare

ERROR = "error"


class BaseServer(ABC):
    """The case study's base class: a connection, a channel, a queue, and a callback for what arrives there.

    A subclass says what to do with a delivery in `on_request`, and acknowledges it there. What `on_request` raises
    ends the server, and the broker gives the message to the next one; `RpcServer` is the kind that survives.

    Parameters
    ----------
    queue_name : str
        The queue to consume from. It is declared, durable, if it is not there yet.
    parameters : pika.connection.Parameters, optional
        Where to connect; to the open lab if not given.

    Notes
    -----
    Prefetch is 1: a server gets its next message when it has acknowledged the last one
    (https://www.rabbitmq.com/docs/consumer-prefetch).
    """

    def __init__(self, queue_name: str, *, parameters: pika.connection.Parameters | None = None):
        self.queue_name = queue_name
        self.connection = connect(parameters or connection_parameters())
        self.channel = self.connection.channel()
        declare(self.channel, queue_name)
        self.channel.basic_qos(prefetch_count=1)

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


class RpcServer(BaseServer):
    """A function as a service: each request's text goes in, what it returns goes back as text.

    The reply is sent first and the request acknowledged after it, so that a server that dies in between makes the work
    happen twice rather than not at all. What the function raises, and a body that is no text, become an error reply;
    neither ends the server. The function runs in a thread of its own, so that heartbeats go on however long it takes.

    Parameters
    ----------
    queue_name : str
        The queue to take requests from.
    function : callable, optional
        Takes a str and returns the answer; a subclass may define `handle` instead.
    prefetch : int
        How many requests are worked on at the same time, each in its thread.
    parameters : pika.connection.Parameters, optional
        Where to connect; to the open lab if not given.

    Notes
    -----
    An error reply has the message type ``error`` and a JSON body ``{"type": ..., "message": ...}``. Every reply carries
    the headers ``worker`` and ``pid``, which say who answered.
    """

    def __init__(
        self,
        queue_name: str,
        function: Callable[[str], object] | None = None,
        *,
        prefetch: int = 1,
        parameters: pika.connection.Parameters | None = None,
    ):
        if not isinstance(prefetch, int) or not 1 <= prefetch <= 1000:
            raise InvalidOption(f"prefetch={prefetch!r}: it is the number of requests worked on at once, 1 to 1000.")
        super().__init__(queue_name, parameters=parameters)
        self.channel.basic_qos(prefetch_count=prefetch)
        self._function = function
        self._threads = ThreadPoolExecutor(prefetch, thread_name_prefix="handler")
        self._working = 0
        self._stopping = False

    def handle(self, body: str) -> object:
        """Return the answer to one request; overridden by subclasses that are not given a function."""
        if self._function is None:
            raise TypeError(f"{type(self).__name__} has neither a function nor a handle method of its own")
        return self._function(body)

    def stop(self) -> None:
        """End `start` when all that was taken is answered; may be called from any thread."""
        self.connection.add_callback_threadsafe(self._stop_when_idle)

    def on_request(self, ch, method, props, body) -> None:
        """Have the request worked on by a thread, which leaves this one free for heartbeats."""
        self._working += 1
        self._threads.submit(self._work, ch, method, props, body)

    def _work(self, ch, method, props, body: bytes) -> None:
        kind, reply = self._answer(body)
        try:
            # Only the thread that owns the connection may use it.
            self.connection.add_callback_threadsafe(partial(self._finish, ch, method, props, kind, reply))
        except ConnectionWrongStateError:
            print(f" [!] connection lost: request {props.correlation_id} will be delivered again", flush=True)

    def _answer(self, body: bytes) -> tuple[str | None, str]:
        try:
            return None, str(self.handle(_text(body)))
        except Exception as error:  # noqa: BLE001  whatever a handler raises is the asker's to know
            print(f" [!] {type(error).__name__}: {error}", flush=True)
            return ERROR, json.dumps({"type": type(error).__name__, "message": str(error)})

    def _finish(self, ch, method, props, kind: str | None, reply: str) -> None:
        if props.reply_to:
            process = multiprocessing.current_process()
            ch.basic_publish(
                exchange="",
                routing_key=props.reply_to,
                properties=pika.BasicProperties(
                    correlation_id=props.correlation_id,
                    content_type="application/json" if kind == ERROR else "text/plain",
                    type=kind,
                    headers={"worker": process.name, "pid": process.pid},
                ),
                body=reply,
            )
        else:
            print(" [!] no reply_to: nobody is told the answer", flush=True)
        ch.basic_ack(delivery_tag=method.delivery_tag)
        self._working -= 1
        if self._stopping:
            self._stop_when_idle()

    def _stop_when_idle(self) -> None:
        self._stopping = True
        if self._working == 0:
            self.channel.stop_consuming()


def whoami() -> str:
    """Return this process's name and pid in the case study's words."""
    process = multiprocessing.current_process()
    return f"{process.name} (PID: {process.pid})"


def _text(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError:
        raise ValueError(f"the body is not UTF-8 text: {body[:40]!r}") from None
