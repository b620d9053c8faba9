"""A function as a service: from the delivery of a request to its reply and its acknowledgement."""

from __future__ import annotations

import inspect
import multiprocessing
import os
from collections.abc import Callable
from functools import partial
from typing import Any

import pika
from pika.channel import Channel

from rpclab.broker.connect import Where, copies
from rpclab.broker.environment import all_connection_parameters
from rpclab.errors import InvalidOption
from rpclab.rpc import options
from rpclab.rpc.codec import Codec, checked
from rpclab.rpc.protocol import DIRECT_REPLY_TO, ERROR, NUMBER, Reply, declare, message_of
from rpclab.rpc.reliability.handler_threads import HandlerThreads
from rpclab.rpc.reliability.outbox import Outbox
from rpclab.rpc.reliability.publisher import Message
from rpclab.rpc.reliability.recovering_server import RecoveringServer
from rpclab.rpc.reliability.reply_memory import ReplyMemory
from rpclab.rpc.reliability.reply_queues import ReplyQueues
from rpclab.rpc.reliability.retry_limit import RetryLimit
from rpclab.rpc.reliability.server_connection import ServerConnection
from rpclab.rpc.reliability.stream import NOT_REMEMBERED, Yielding
from rpclab.rpc.reliability.unacked_requests import RequestInHand, UnackedRequests


class RpcServer(RecoveringServer):
    """A function as a service: each request's text goes in, what it returns goes back as text.

    A request is acknowledged when the broker has confirmed its reply: if the server dies in between, the work is done
    twice rather than not at all. An error of the function, or a body that is not text, becomes an error reply; neither
    ends the server. The function runs in its own thread, so that heartbeats go on however long it takes. The server
    opens a closed channel or a lost connection again, at any node of a cluster. It finishes the requests in hand, and
    sends their replies over the next channel. If the broker redelivers such a request to this process, the server
    recognizes it and does not repeat the work.

    A node that dies may lose a reply that it had confirmed, although it received the acknowledgement that followed.
    Only the client can notice: ``RpcClient(retry=...)`` sends the request again.

    Parameters
    ----------
    queue_name : str
        The queue to consume requests from.
    function : callable, optional
        Takes a str and returns the answer; a subclass may define `handle` instead. Bytes are sent as they are, all else
        as text. With a codec it takes and returns what the codec reads and writes. A generator sends a reply for each
        value that it yields (see `RpcClient.stream`), each when the broker has confirmed the one before; the request is
        acknowledged after the last. With a prefetch above 1, another thread may run it for the next value.
    prefetch : int
        The number of requests to process at the same time, each in its thread.
    on_error : str
        What happens to a request whose function raised an error. ``"reply"``: an error reply is sent at once.
        ``"dead-letter"``: the request is tried again; after ``max_deliveries`` tries it gets an error reply and goes to
        the queue ``QUEUE.dead``.
    max_deliveries : int, optional
        The limit of deliveries, so that a request that kills every worker does not loop forever. After that it goes to
        ``QUEUE.dead``. A quorum queue counts deliveries itself; for a classic one the server does. The server never
        sees a request that expires: the broker drops it, or a quorum queue with a limit moves it to ``QUEUE.dead``.
    queue_type : str
        ``"classic"`` or ``"quorum"``.
    remember : float, optional
        Seconds for which replies are remembered, in a stream on the broker that all workers of the queue share: if a
        request is delivered or sent again, its reply is repeated, and the work is not. `ReplyMemory` says what that
        does not cover.
    callback_queues : str, optional
        A regular expression for the names in ``reply_to`` that get replies. Without it all do, except for the queues
        that this process consumes requests from and their ``.dead`` and ``.answered``. A refused request is logged and
        rejected. A name does not show which program consumes from the queue; see `ReplyQueues`.
    codec : Json, optional
        How bodies become values: ``rpclab.Json(version=1)``, as at the client. Without it bodies are text.
    heartbeat : int
        Seconds between heartbeats, 0 for none. pika gives up a silent peer after at most 2 * (heartbeat + 5) s.
    parameters : pika.connection.Parameters or list of them, optional
        Where to connect; to the open lab if not given. With several nodes, to the first that answers.

    Raises
    ------
    QueueArgumentsDiffer
        If one of its queues exists with other arguments.
    BrokerUnavailable, BrokerRefused
        If the connection cannot be opened.

    Notes
    -----
    An error reply has the message type ``error`` and a JSON body ``{"type": ..., "message": ...}``. Every reply has the
    headers ``worker`` and ``pid``: the process that replied.
    """

    def __init__(
        self,
        queue_name: str,
        function: Callable[[Any], object] | None = None,
        *,
        prefetch: int = 1,
        on_error: str = "reply",
        max_deliveries: int | None = None,
        queue_type: str = "classic",
        remember: float | None = None,
        callback_queues: str | None = None,
        codec: Codec | None = None,
        heartbeat: int = options.HEARTBEAT,
        parameters: Where | None = None,
    ):
        self._prefetch = options.prefetch(prefetch)
        nodes = copies(parameters or all_connection_parameters())
        for node in nodes:
            node.heartbeat = heartbeat
        user = getattr(nodes[0].credentials, "username", None)
        self._codec = checked(codec)
        if remember and inspect.isgeneratorfunction(function or self.handle):
            raise InvalidOption(NOT_REMEMBERED)
        # First the parts that check their options: a server that is never made must leave nothing open.
        self._retry_limit = RetryLimit(queue_name, queue_type, max_deliveries, on_error, user)
        self._reply_queues = ReplyQueues(nodes[0].virtual_host, callback_queues)
        self._memory = ReplyMemory(queue_name, remember, nodes) if remember else None
        super().__init__(queue_name, nodes)
        self._function = function
        self._requests = UnackedRequests()
        self._outbox = Outbox(self._loop, self._requests, self._reply_message)
        self._handlers = HandlerThreads(prefetch, self._loop, self._finish)
        self._prepared = False
        self._headers = {"worker": multiprocessing.current_process().name, "pid": os.getpid()}
        try:
            self._connect()
        except BaseException:
            self._loop.close()
            raise
        self._outbox.watch()

    def handle(self, body: Any) -> object:
        """Return the answer to one request; overridden by subclasses that are not given a function."""
        if self._function is None:
            raise TypeError(f"{type(self).__name__} needs a function or its own handle method")
        return self._function(body)

    # `start` and `stop` are in `recovering_server`. A channel is open, the first one or another:

    def _prepare(self, link: ServerConnection, channel: Channel) -> None:
        """Declare the queues, and send the messages that the last channel left unconfirmed."""
        self._retry_limit.declare_dead_letter_queue(link)
        declare(link, self.queue_name, self._retry_limit.arguments())
        if self._memory and not self._prepared:
            # Once: other arguments are an error at once, and a missing leader is no error.
            self._memory.declare(link)
        self._prepared = True
        link.ask(channel.basic_qos, prefetch_count=self._prefetch)
        self._outbox.use(channel, link)

    # A request comes

    def on_request(
        self, ch: Channel, method: pika.spec.Basic.Deliver, properties: pika.BasicProperties, body: bytes
    ) -> None:
        """Let a thread process the request, which leaves this one free for heartbeats; `_finish` gets its reply.

        A request that this process has in hand, or has answered, is not processed again.
        """
        if self._requests.recognize(ch, method, properties, body) or self._reply_queues.reject(ch, method, properties):
            return
        request = self._requests.begin(method.delivery_tag, properties, body, method.redelivered)
        copy = self._retry_limit.after_a_death(method.redelivered, properties, body)
        if copy is None:  # no worker has died of it
            self._handlers.submit(partial(self._work, request))
            self._handlers.collect_soon()
        else:
            self._send(request, copy, Reply.of_error(self._retry_limit.error()))

    # In a handler's thread

    def _work(self, request: RequestInHand) -> tuple[RequestInHand, Reply | None]:
        """Return a request and its reply, an error reply if the function raised an error."""
        try:
            if request.replies:  # a generator, which has yielded before
                return request, request.replies.next()
            process = partial(self._reply_to, request)
            return request, self._memory.once(request, process) if self._memory else process()
        except BaseException as error:  # noqa: BLE001  an exit would end only this thread, and hold the request forever
            print(f" [!] {type(error).__name__}: {message_of(error)}", flush=True)
            return request, Reply.of_error(error)

    def _reply_to(self, request: RequestInHand) -> Reply | None:
        answer = self.handle(self._codec.decode(request.body, request.properties))
        if inspect.isgenerator(answer):
            if self._memory:
                raise InvalidOption(NOT_REMEMBERED)
            request.replies = Yielding(answer, self._codec.encode)
            return request.replies.next()
        return Reply.of(self._codec.encode(answer))

    # In the connection's thread again

    def _finish(self, done: tuple[RequestInHand, Reply | None]) -> None:
        """Send the reply that a handler's thread has returned for a request."""
        request, reply = done
        if request.lost and not request.held:
            print(f" [!] the channel of {request.name} is closed: its reply goes over the next one", flush=True)
        if reply is None:
            self._outbox.finish(request, [])
            return
        if reply.has_more_after_it:
            request.then = partial(self._handlers.submit, partial(self._work, request))  # once it is confirmed
        failed = reply.type == ERROR
        copy = self._retry_limit.after_an_error(request.properties, request.body) if failed else None
        self._send(request, copy, reply)

    def _send(self, request: RequestInHand, copy: Message | None, reply: Reply) -> None:
        """Send a copy of the request, if one is needed, and the reply, unless the copy is for another try.

        The outbox acknowledges the request when the broker has confirmed all of them.
        """
        messages = [copy] if copy else []
        if copy is None or self._retry_limit.is_last(copy):
            if request.properties.reply_to:
                messages.append(self._reply_message(request.properties, reply))
            else:
                print(" [!] no reply_to: the reply is dropped", flush=True)
        self._outbox.finish(request, messages)

    def _reply_message(self, properties: pika.BasicProperties, reply: Reply) -> Message:
        """Return the message with a reply to the callback queue that the request names."""
        told = pika.BasicProperties(
            correlation_id=properties.correlation_id,
            content_type="application/json" if reply.type == ERROR else self._codec.content_type,
            type=reply.type,
            delivery_mode=properties.delivery_mode,  # the reply is kept if its request was
            headers={**self._headers, **self._codec.headers, **({NUMBER: reply.number} if reply.number else {})},
        )
        # Mandatory: if the callback queue was deleted with its client, the broker returns the reply. Direct reply-to is
        # no queue: the broker would return even a reply that arrives.
        mandatory = not str(properties.reply_to).startswith(f"{DIRECT_REPLY_TO}.")
        return Message(properties.reply_to, reply.body, told, mandatory)

    # A channel, or the server, ends: https://www.rabbitmq.com/docs/reliability

    def _lose(self, reason: BaseException) -> None:
        self._outbox.channel_closed(reason)

    def _is_done(self) -> bool:
        return not self._requests

    def _give_up(self) -> None:
        self._handlers.close()
        if self._memory:
            self._memory.close()
