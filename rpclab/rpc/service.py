"""A function as a service: the server that survives what its function, its channel and its connection do to it."""

from __future__ import annotations

import json
import multiprocessing
import os
import re
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

import pika
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import AMQPConnectionError, AMQPError, ChannelClosedByBroker, ConnectionWrongStateError

from rpclab.broker import refusals
from rpclab.broker.connect import Where, connect, copies
from rpclab.environment import all_connection_parameters
from rpclab.errors import BrokerUnavailable, InvalidOption, QueueUnavailable
from rpclab.rpc.deliveries import Deliveries
from rpclab.rpc.handlers import Handlers
from rpclab.rpc.memory import ReplyMemory
from rpclab.rpc.queues import DIRECT_REPLY_TO
from rpclab.rpc.server import BaseServer, whoami
from rpclab.rpc.session import RESENT

ERROR = "error"
HEARTBEAT = 10
# Handing a request to a thread and being woken by it costs as much as a small answer. So the connection's thread waits
# for the handler before it goes back to its loop: for long when nothing else can come, since the prefetch is used up,
# and briefly when this is the only request at hand. Both are far below any heartbeat.
PATIENCE_SECONDS = 0.1
BRIEF_SECONDS = 0.0005
RECONNECT_SECONDS = (0.1, 0.2, 0.5, 1, 2, 2, 5, 5, 10, 10, 10)

# A server publishes wherever a request tells it to. So that nobody can have it write into any queue they like, it
# answers only to queues that are meant for answers: those the broker named, direct reply-to, and names that say so.
CALLBACK_QUEUES = r"amq\.gen-.*|amq\.rabbitmq\.reply-to\..*|.*(callback|reply|replies|answer).*"


@dataclass(frozen=True)
class Reply:
    """What a request is answered with: its body, and whether it is an error."""

    body: bytes
    type: str | None = None

    @classmethod
    def of_error(cls, error: BaseException) -> Reply:
        """Return the error reply for an exception."""
        said = {"type": type(error).__name__, "message": _message(error)}
        return cls(json.dumps(said).encode(), ERROR)


class RpcServer(BaseServer):
    """A function as a service: each request's text goes in, what it returns goes back as text.

    The reply is sent first and the request acknowledged after it, so that a server that dies in between makes the work
    happen twice rather than not at all. What the function raises, and a body that is no text, become an error reply;
    neither ends the server. The function runs in a thread of its own, so that heartbeats go on however long it takes.
    A channel that the broker closed and a connection that was lost are opened again, at any node of a cluster.

    A node that dies may take along a reply that it had accepted and not passed on yet, although the acknowledgement
    that came after it got through. Nobody but the client can notice: ``RpcClient(retry=...)`` asks again.

    Parameters
    ----------
    queue_name : str
        The queue to take requests from.
    function : callable, optional
        Takes a str and returns the answer; a subclass may define `handle` instead.
    prefetch : int
        How many requests are worked on at the same time, each in its thread.
    on_error : str
        What becomes of a request whose function raised: ``"reply"``, the error is answered at once; ``"dead-letter"``,
        the request is tried again, and after ``max_deliveries`` tries answered with the error and put into the queue
        named ``QUEUE.dead``.
    max_deliveries : int, optional
        How often a request is taken at the most, so that one that kills every worker does not go round for ever. After
        that it is put into ``QUEUE.dead``. A quorum queue counts deliveries itself, on a classic one the server does.
    queue_type : str
        ``"classic"`` or ``"quorum"``.
    remember : float, optional
        For how many seconds an answered request is remembered, so that one that is delivered or sent again is answered
        again without its work being done a second time. The memory is a stream on the broker, shared by all workers of
        the queue and kept on several nodes of a cluster. What it cannot cover is a worker that dies between doing the
        work and remembering it, and two workers that have the same request at the same time. While most nodes of a
        cluster are down, nothing can be remembered: what has been worked on waits for them before it is answered. The
        stream of RabbitMQ 3.10 may not come back with them, and may keep quorum queues of its virtual host from coming
        back; that of 4.0 may stay away, for half a minute or for good, when a second node dies after the first one has
        returned. The service then answers with errors, or not at all, until virtual host or cluster are made anew.
    callback_queues : str
        A regular expression for the names in ``reply_to`` that are answered; any other is refused and logged.
    heartbeat : int
        Seconds between heartbeats, 0 for none. pika gives up a peer that says nothing after 2 * (heartbeat + 5) s at
        the latest.
    parameters : pika.connection.Parameters or list of them, optional
        Where to connect; to the open lab if not given. Of a cluster's nodes, the first that answers is taken.

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
        on_error: str = "reply",
        max_deliveries: int | None = None,
        queue_type: str = "classic",
        remember: float | None = None,
        callback_queues: str = CALLBACK_QUEUES,
        heartbeat: int = HEARTBEAT,
        parameters: Where | None = None,
    ):
        if isinstance(prefetch, bool) or not isinstance(prefetch, int) or not 1 <= prefetch <= 1000:
            raise InvalidOption(f"prefetch={prefetch!r}: it is the number of requests worked on at once, 1 to 1000.")
        self.queue_name = queue_name
        self._function = function
        self._prefetch = prefetch
        self._deliveries = Deliveries(queue_name, queue_type, max_deliveries, on_error)
        self._callback_queues = re.compile(callback_queues)
        self._nodes = copies(parameters or all_connection_parameters())
        for node in self._nodes:
            node.heartbeat = heartbeat
        self._memory = ReplyMemory(queue_name, remember, self._nodes) if remember else None
        self._handlers = Handlers(prefetch, self._wake)
        self._held: set[tuple[BlockingChannel, int]] = set()
        self._stopping = threading.Event()
        self._on_consuming: Callable[[], None] | None = None
        self._headers = {"worker": multiprocessing.current_process().name, "pid": os.getpid()}
        self._connect()

    def handle(self, body: str) -> object:
        """Return the answer to one request; overridden by subclasses that are not given a function."""
        if self._function is None:
            raise TypeError(f"{type(self).__name__} has neither a function nor a handle method of its own")
        return self._function(body)

    def start(self) -> None:
        """Consume until `stop` is called, whatever happens to channel and connection, then close the connection.

        Raises
        ------
        BrokerUnavailable
            If a lost connection cannot be opened again for the better part of a minute.
        """
        while not self._stopping.is_set():
            try:
                if not self.channel.is_open:
                    self._open_channel()
                self._consume()
            except ChannelClosedByBroker as refusal:
                print(f" [!] {refusals.explained(refusal)} Going on with a new channel.", flush=True)
            except AMQPConnectionError as error:
                if not self._stopping.is_set():
                    print(f" [!] connection lost ({type(error).__name__}): connecting again", flush=True)
                    self._reconnect()
            except QueueUnavailable:
                if not self._stopping.is_set():
                    print(f" [!] the node of queue '{self.queue_name}' is down: waiting for it", flush=True)
                    self._hang_up()
                    self._reconnect()
        self._handlers.close()
        self._hang_up()

    def stop(self) -> None:
        """End `start` when all that was taken is answered; may be called from any thread."""
        self._stopping.set()
        # Without a connection there is nothing to finish, and `start` sees the event by itself.
        with suppress(ConnectionWrongStateError):
            self.connection.add_callback_threadsafe(self._cancel)

    def when_consuming(self, callback: Callable[[], None]) -> None:
        """Have a function called whenever the server begins to consume, with its first connection and with later ones.

        Parameters
        ----------
        callback : callable
            Takes no arguments. It is called in the thread of `start`.
        """
        self._on_consuming = callback

    def on_request(self, ch, method, props, body) -> None:
        """Have the request worked on by a thread, which leaves this one free for heartbeats."""
        if props.reply_to and not self._callback_queues.fullmatch(props.reply_to):
            print(f" [!] reply_to {props.reply_to!r} is no callback queue: request refused", flush=True)
            ch.basic_ack(method.delivery_tag)
        elif not self._deliveries.spent(ch, method, props, body, self._answer_error):
            self._held.add((ch, method.delivery_tag))
            self._handlers.submit(partial(self._work, ch, method, props, body))

    def _connect(self) -> None:
        self.connection = connect(self._nodes)
        try:
            self._open_channel()
        except BaseException:
            self._hang_up()
            raise

    def _hang_up(self) -> None:
        # One that broke is as closed as it can be.
        with suppress(AMQPError):
            self.connection.close()

    def _open_channel(self) -> None:
        """Open a channel with the queue declared; what the last one held is the broker's to deliver again."""
        self._held.clear()
        self.channel = self.connection.channel()
        self._deliveries.declare(self.channel)
        self.channel.basic_qos(prefetch_count=self._prefetch)
        self.channel.add_on_return_callback(_nobody_waits)

    def _reconnect(self) -> None:
        for delay in RECONNECT_SECONDS:
            if self._stopping.wait(delay):
                return
            try:
                self._connect()
            except (BrokerUnavailable, QueueUnavailable, AMQPConnectionError):
                continue
            return
        raise BrokerUnavailable(f"The broker stayed away; the server on queue {self.queue_name!r} gives up.")

    def _consume(self) -> None:
        """Take requests until `stop` cancels the consumer or the queue is deleted, then finish what was taken."""
        # Such a call is made when the connection is waited for: once the consumer is there.
        self.connection.call_later(0, self._say_that_it_consumes)
        for method, props, body in self.channel.consume(self.queue_name):
            self.on_request(self.channel, method, props, body)
            if not self.channel.get_waiting_message_count():
                self._finish_what_is_done(self._patience())
        while self._held:
            self._finish_what_is_done(PATIENCE_SECONDS)
            self.connection.process_data_events()
        if not self._stopping.is_set():
            self._deliveries.declare(self.channel)
            print(f" [!] queue '{self.queue_name}' was deleted: declaring it again", flush=True)

    def _cancel(self) -> None:
        if self.channel.is_open:
            self.channel.cancel()

    def _say_that_it_consumes(self) -> None:
        # At one go, line end and all: several servers may share one output.
        print(f" [x] Server {whoami()} started on queue '{self.queue_name}'\n", end="", flush=True)
        if self._on_consuming:
            self._on_consuming()

    # In a handler's thread.

    def _work(self, ch, method, props, body: bytes) -> tuple:
        again = method.redelivered or RESENT in (props.headers or {})
        return ch, method, props, body, self._answer(props, body, again)

    def _wake(self) -> None:
        # Only the thread that owns the connection may use it. Without a connection there is nobody to wake: `start`
        # opens a new one, and the request comes again.
        with suppress(ConnectionWrongStateError):
            self.connection.add_callback_threadsafe(self._finish_what_is_done)

    def _answer(self, props, body: bytes, again: bool) -> Reply:
        try:
            known = self._memory and again and self._memory.recall(props.correlation_id)
            if known:
                print(f" [.] request {props.correlation_id} was answered before", flush=True)
                return Reply(known)
            reply = Reply(str(self.handle(_text(body))).encode())
            if self._memory and props.correlation_id:
                self._memory.remember(props.correlation_id, reply.body)
        except BaseException as error:  # noqa: BLE001  an exit would end this thread alone, and hold the request for ever
            print(f" [!] {type(error).__name__}: {_message(error)}", flush=True)
            return Reply.of_error(error)
        return reply

    # In the connection's thread again.

    def _patience(self) -> float:
        """Return how many seconds to wait for a handler instead of going back to the connection and being woken."""
        if len(self._held) >= self._prefetch:
            return PATIENCE_SECONDS
        return BRIEF_SECONDS if self._held else 0

    def _finish_what_is_done(self, patience: float = 0) -> None:
        for done in self._handlers.collect(patience):
            self._finish(*done)

    def _finish(self, ch, method, props, body: bytes, reply: Reply) -> None:
        self._held.discard((ch, method.delivery_tag))
        if not ch.is_open:
            print(f" [!] the channel of request {props.correlation_id} is gone: it will come again", flush=True)
        elif reply.type != ERROR or not self._deliveries.retried(ch, method, props, body):
            self._publish(ch, props, reply)
            ch.basic_ack(delivery_tag=method.delivery_tag)

    def _answer_error(self, ch: BlockingChannel, props: pika.BasicProperties, error: Exception) -> None:
        self._publish(ch, props, Reply.of_error(error))

    def _publish(self, ch: BlockingChannel, props: pika.BasicProperties, reply: Reply) -> None:
        if not props.reply_to:
            print(" [!] no reply_to: nobody is told the answer", flush=True)
            return
        properties = pika.BasicProperties(
            correlation_id=props.correlation_id,
            content_type="application/json" if reply.type == ERROR else "text/plain",
            type=reply.type,
            delivery_mode=props.delivery_mode,  # an answer is worth keeping if its request was
            headers=self._headers,
        )
        # Mandatory: if the asker is gone, and the callback queue with it, the broker says so. Direct reply-to is no
        # queue, and the broker would say so there even of an answer that arrives.
        mandatory = not props.reply_to.startswith(f"{DIRECT_REPLY_TO}.")
        ch.basic_publish("", props.reply_to, reply.body, properties, mandatory=mandatory)


def _nobody_waits(ch, method, props, body: bytes) -> None:
    print(f" [!] nobody waits for the answer to request {props.correlation_id} any more", flush=True)


def _message(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001  an error that cannot be put into words is told all the same
        return "(its message cannot be shown)"


def _text(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError:
        raise ValueError(f"the body is not UTF-8 text: {body[:40]!r}") from None
