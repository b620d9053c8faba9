"""The replies that a service has sent, kept on the broker for all of its workers."""

from __future__ import annotations

import hashlib
import threading
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple, TypeVar

import pika
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import AMQPConnectionError, AMQPError, ChannelClosedByBroker

from rpclab.broker import broker_errors
from rpclab.broker.connect import Where, connect, copies
from rpclab.errors import BrokerUnavailable, QueueUnavailable
from rpclab.rpc.protocol import Declares, Reply, declare
from rpclab.rpc.reliability.unacked_requests import RequestInHand

SUFFIX = ".answered"
SEGMENT_BYTES = 1_000_000
MOST_BYTES = 20_000_000
RECALL_SECONDS = 3
TRY_SECONDS = 30
AGAIN_SECONDS = 0.2
REQUEST = "x-rpclab-request"
# What passes: the stream has no leader at present, or its replica on the node is not up. Any other refusal would be
# repeated.
NO_LEADER, NO_REPLICA = 404, "replica on the local node"  # RabbitMQ 4.3 says "running replica"
# What a kept reply costs besides its own bytes, roughly.
ENTRY_BYTES = 500

T = TypeVar("T")


class ReplyMemory:
    """Replies by correlation id, in a stream that all workers of a queue share; bounded in age and size.

    A stream is a queue whose messages stay when they are read, so that any worker can look up what another one wrote.
    It is read only when a request is delivered or sent again, which is rare. Writing costs one confirmed publish for
    each request. In a cluster it has replicas on all nodes; what fails during an election of its leader is tried again,
    and what a node without a replica refuses is tried on the next one. A request is identified by its correlation id
    and its body: two clients may use the same ids. ``reply_to`` does not count, because a client that has reconnected
    has another callback queue.

    The memory does not cover a worker that dies between the work and the memory, two workers that have the same request
    at the same time, and a request that arrives after its copy, which a client with ``retry`` sent later and another
    worker answered: only the copy shows that it was sent again. While most nodes of a cluster are down, nothing can be
    remembered: finished work waits for them before its reply is sent. The stream of RabbitMQ 3.10 may not return with
    them, and may keep quorum queues of its virtual host from returning. That of 4.0 may stay away, for half a minute or
    forever, when a second node dies after the first one has returned. The service then replies with errors, or not at
    all, until the virtual host or the cluster is made again.

    Parameters
    ----------
    queue : str
        The request queue; the stream is called ``QUEUE.answered``.
    seconds : float
        How long at least a reply is kept.
    parameters : pika.connection.Parameters or list of them
        Where to connect; with several nodes, to the first that answers.

    Notes
    -----
    https://www.rabbitmq.com/docs/streams
    """

    def __init__(self, queue: str, seconds: float, parameters: Where):
        self._stream = f"{queue}{SUFFIX}"
        self._seconds = seconds
        # It is used only now and then, so its heartbeats would come too late.
        self._nodes = copies(parameters)
        for node in self._nodes:
            node.heartbeat = 0
        self._lock = threading.Lock()
        self._channel: BlockingChannel | None = None
        self._reading = threading.Lock()
        self._reader: BlockingChannel | None = None
        self._known = ReplyCache(seconds, MOST_BYTES)

    def declare(self, channel: Declares) -> None:
        """Declare the stream, durable.

        Raises
        ------
        QueueArgumentsDiffer
            If it exists with other arguments, for example another ``remember``.
        """
        declare(channel, self._stream, {
            "x-queue-type": "stream",
            "x-max-age": f"{max(1, int(self._seconds))}s",
            "x-max-length-bytes": MOST_BYTES,
            "x-stream-max-segment-size-bytes": SEGMENT_BYTES,
        })

    def once(self, request: RequestInHand, process: Callable[[], Reply | None]) -> Reply | None:
        """Return the reply that a request got before; if there is none, process it and remember what that returns."""
        name = request.properties.correlation_id
        if not name:
            return process()
        known = self.recall(name, request.body, read=request.again)
        if known is not None:
            print(f" [.] request {name} was answered before", flush=True)
            return Reply(known)
        reply = process()
        if reply:
            self.remember(name, request.body, reply.body)
        return reply

    def remember(self, correlation_id: str, request: bytes, reply: bytes) -> None:
        """Write one reply; returns when the broker has it."""
        answered = Answered(correlation_id, digest(request))
        with self._lock:
            self._in_time(lambda: self._write(answered, reply))
        self._known.add(answered, reply)

    def recall(self, correlation_id: str, request: bytes, *, read: bool) -> bytes | None:
        """Return the reply to a request that has one already, or None.

        Parameters
        ----------
        read : bool
            Whether to read the stream, for a request that was delivered or sent before. For another one it is enough to
            look at what this process knows: the copy of a request may overtake the request, which does not show that it
            has a copy.

        Notes
        -----
        The stream is read up to a mark that is written first, so everything before it is seen. What was read for one
        request is kept for the next, and not read again, because after a failover many are redelivered at the same
        time, some of them several times.
        """
        answered = Answered(correlation_id, digest(request))
        if not read:
            return self._known.get(answered)
        with self._reading:
            known = self._known.get(answered)
            return known if known is not None else self._in_time(lambda: self._read(answered))

    def close(self) -> None:
        """Close the connections; calling it again has no effect."""
        for lock, channel in ((self._lock, self._channel), (self._reading, self._reader)):
            with lock:
                _hang_up(channel)

    def _in_time(self, action: Callable[[], T]) -> T:
        """Return what an action returns, trying again for a while if the connection or the stream is lost."""
        deadline = time.monotonic() + TRY_SECONDS
        while True:
            try:
                return action()
            except (AMQPError, BrokerUnavailable, QueueUnavailable) as error:
                if isinstance(error, ChannelClosedByBroker):
                    if NO_REPLICA in error.reply_text:
                        self._nodes = [*self._nodes[1:], self._nodes[0]]
                    elif error.reply_code != NO_LEADER:
                        raise broker_errors.explained(error, f"Remembering in {self._stream!r}") from error
                if time.monotonic() > deadline:
                    raise
                time.sleep(AGAIN_SECONDS)

    def _write(self, answered: Answered, body: bytes) -> None:
        if self._channel is None or not self._channel.is_open:
            self._channel = self._opened_instead_of(self._channel)
            self._channel.confirm_delivery()
        # Mandatory: while the stream has no leader, the broker would confirm what it dropped.
        properties = pika.BasicProperties(correlation_id=answered.correlation_id, headers={REQUEST: answered.digest})
        self._channel.basic_publish("", self._stream, body, properties, mandatory=True)

    def _read(self, request: Answered) -> bytes | None:
        """Read on from where the last read ended, up to a mark that is written first."""
        mark, deadline = str(uuid.uuid4()), time.monotonic() + RECALL_SECONDS
        if self._reader is None or not self._reader.is_open:
            self._reader = self._opened_instead_of(self._reader)
            self._reader.basic_qos(prefetch_count=1000)
        self._read_up_to(self._reader, mark, deadline)
        return self._known.get(request)

    def _read_up_to(self, reader: BlockingChannel, mark: str, deadline: float) -> None:
        reader.basic_publish("", self._stream, b"", pika.BasicProperties(message_id=mark))
        # With the same arguments, pika goes on with the consumer that it has.
        arguments = {"x-stream-offset": "first"}
        for method, properties, body in reader.consume(self._stream, arguments=arguments, inactivity_timeout=1):
            if method and properties:
                reader.basic_ack(method.delivery_tag)
                if properties.correlation_id:
                    answered = Answered(properties.correlation_id, (properties.headers or {}).get(REQUEST, ""))
                    self._known.add(answered, body or b"")
                if properties.message_id == mark:
                    return
            if time.monotonic() > deadline:
                # The mark was lost, or the consumer. Without the mark, it is not known whether everything was read.
                _hang_up(reader)
                raise AMQPConnectionError("the stream does not deliver what was written to it")

    def _opened_instead_of(self, last: BlockingChannel | None) -> BlockingChannel:
        _hang_up(last)
        channel = connect(self._nodes).channel()
        try:
            self.declare(channel)
        except BaseException:
            _hang_up(channel)
            raise
        return channel


def _hang_up(channel: BlockingChannel | None) -> None:
    if channel is not None:
        # A broken connection is as closed as it can be.
        with suppress(AMQPError):
            channel.connection.close()


def digest(request: bytes) -> str:
    """Return the digest of a request's body that the memory keeps."""
    return hashlib.sha256(request).hexdigest()


class Answered(NamedTuple):
    """A request that was answered: its correlation id, and a digest of its body."""

    correlation_id: str
    digest: str


class ReplyCache:
    """Replies by request, bounded in age and size; the oldest go first. Any thread may use it.

    Parameters
    ----------
    seconds : float
        How long a reply is kept at most.
    most_bytes : int
        How many bytes of replies are kept at most.
    """

    def __init__(self, seconds: float, most_bytes: int):
        self._seconds = seconds
        self._most_bytes = most_bytes
        self._bytes = 0
        self._replies: OrderedDict[Answered, tuple[float, bytes]] = OrderedDict()
        self._lock = threading.Lock()

    def add(self, request: Answered, reply: bytes) -> None:
        """Keep the reply to a request."""
        with self._lock:
            if request in self._replies:
                self._bytes -= _size(self._replies.pop(request)[1])
            self._replies[request] = time.monotonic(), reply
            self._bytes += _size(reply)
            self._forget_old()

    def get(self, request: Answered) -> bytes | None:
        """Return the reply to a request, or None."""
        with self._lock:
            self._forget_old()
            _, reply = self._replies.get(request, (0.0, None))
            return reply

    def _forget_old(self) -> None:
        oldest = time.monotonic() - self._seconds
        while self._replies and (self._bytes > self._most_bytes or next(iter(self._replies.values()))[0] < oldest):
            _, (_, reply) = self._replies.popitem(last=False)
            self._bytes -= _size(reply)


def _size(reply: bytes) -> int:
    return ENTRY_BYTES + len(reply)
