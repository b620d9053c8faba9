"""What a service has answered already, kept on the broker for all of its workers."""

from __future__ import annotations

import threading
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable
from typing import TypeVar

import pika
from pika.exceptions import AMQPConnectionError, AMQPError

from rpclab.broker.connect import Where, connect, copies
from rpclab.errors import BrokerUnavailable

SUFFIX = ".answered"
SEGMENT_BYTES = 1_000_000
MOST_BYTES = 20_000_000
RECALL_SECONDS = 3
TRY_SECONDS = 30
AGAIN_SECONDS = 0.2

T = TypeVar("T")


class ReplyMemory:
    """Replies by correlation id, in a stream that all workers of a queue share; bounded in age and size.

    A stream is a queue whose messages stay when they are read, so that any worker can look up what another one wrote.
    It is read only when a request is delivered or sent again, which is rare; writing costs one confirmed publish for
    each. In a cluster it has replicas on all nodes, and what goes wrong while another one becomes its leader is tried
    again.

    Parameters
    ----------
    queue : str
        The request queue; the stream is called ``QUEUE.answered``.
    seconds : float
        How long a reply is kept at least.
    parameters : pika.connection.Parameters or list of them
        Where to connect; of a cluster's nodes, to the first that answers.

    Notes
    -----
    https://www.rabbitmq.com/docs/streams
    """

    def __init__(self, queue: str, seconds: float, parameters: Where):
        self._stream = f"{queue}{SUFFIX}"
        self._seconds = seconds
        # Written and read now and then only, so that no heartbeat of it would be on time.
        self._nodes = copies(parameters)
        for node in self._nodes:
            node.heartbeat = 0
        self._lock = threading.Lock()
        self._channel = None
        self._reading = threading.Lock()
        self._reader = None
        self._known: OrderedDict[str, tuple[float, bytes]] = OrderedDict()

    def remember(self, correlation_id: str, body: bytes) -> None:
        """Write one reply; returns when the broker has it."""
        with self._lock:
            self._in_time(lambda: self._write(correlation_id, body))

    def recall(self, correlation_id: str | None) -> bytes | None:
        """Return the reply to a request that was answered before, or None.

        The stream is read up to a mark that is written first: by then one has seen all that was there. What was read
        for one request is kept for the next, because after a failover many come again at the same time.
        """
        if not correlation_id:
            return None
        with self._reading:
            return self._in_time(lambda: self._read(correlation_id))

    def _in_time(self, action: Callable[[], T]) -> T:
        """Return what an action returns, trying it again for a while if connection or stream is lost meanwhile."""
        deadline = time.monotonic() + TRY_SECONDS
        while True:
            try:
                return action()
            except (AMQPError, BrokerUnavailable):
                if time.monotonic() > deadline:
                    raise
                time.sleep(AGAIN_SECONDS)

    def _write(self, correlation_id: str, body: bytes) -> None:
        if self._channel is None or not self._channel.is_open:
            self._channel = self._open()
            self._channel.confirm_delivery()
        # Mandatory: while the stream has no leader, the broker would confirm what it threw away.
        self._channel.basic_publish(
            "", self._stream, body, pika.BasicProperties(correlation_id=correlation_id), mandatory=True
        )

    def _read(self, correlation_id: str) -> bytes | None:
        """Read on from where the last look-up ended, up to a mark that is written first."""
        mark, deadline = str(uuid.uuid4()), time.monotonic() + RECALL_SECONDS
        if self._reader is None or not self._reader.is_open:
            self._reader = self._open()
            self._reader.basic_qos(prefetch_count=1000)
        self._read_up_to(mark, deadline)
        self._forget_old()
        return self._known.get(correlation_id, (0, None))[1]

    def _read_up_to(self, mark: str, deadline: float) -> None:
        self._reader.basic_publish("", self._stream, b"", pika.BasicProperties(message_id=mark))
        # Asked for again with the same arguments, it goes on with the consumer that there is.
        arguments = {"x-stream-offset": "first"}
        for method, properties, body in self._reader.consume(self._stream, arguments=arguments, inactivity_timeout=1):
            if method:
                self._reader.basic_ack(method.delivery_tag)
                if properties.correlation_id:
                    self._known[properties.correlation_id] = time.monotonic(), body
            if method and properties.message_id == mark:
                return
            if time.monotonic() > deadline:
                # The mark was lost, or the consumer: without it, nobody knows what there is.
                self._reader.connection.close()
                raise AMQPConnectionError("the stream does not bring what was written to it")

    def _forget_old(self) -> None:
        oldest = time.monotonic() - self._seconds
        while self._known and next(iter(self._known.values()))[0] < oldest:
            self._known.popitem(last=False)

    def _open(self):
        channel = connect(self._nodes).channel()
        channel.queue_declare(self._stream, durable=True, arguments={
            "x-queue-type": "stream",
            "x-max-age": f"{max(1, int(self._seconds))}s",
            "x-max-length-bytes": MOST_BYTES,
            "x-stream-max-segment-size-bytes": SEGMENT_BYTES,
        })
        return channel
