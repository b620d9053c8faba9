"""What a service has answered already, kept on the broker for all of its workers."""

from __future__ import annotations

import copy
import threading
import time
import uuid

import pika

from rpclab.broker.connect import connect

SUFFIX = ".answered"
SEGMENT_BYTES = 1_000_000
MOST_BYTES = 20_000_000
RECALL_SECONDS = 10


class ReplyMemory:
    """Replies by correlation id, in a stream that all workers of a queue share; bounded in age and size.

    A stream is a queue whose messages stay when they are read, so that any worker can look up what another one wrote.
    It is read only when a request is delivered again, which is rare; writing costs one confirmed publish for each.

    Parameters
    ----------
    queue : str
        The request queue; the stream is called ``QUEUE.answered``.
    seconds : float
        How long a reply is kept at least.
    parameters : pika.connection.Parameters
        Where to connect.

    Notes
    -----
    https://www.rabbitmq.com/docs/streams
    """

    def __init__(self, queue: str, seconds: float, parameters: pika.connection.Parameters):
        self._stream = f"{queue}{SUFFIX}"
        self._seconds = seconds
        # Written and read now and then only, so that no heartbeat of it would be on time.
        self._parameters = copy.copy(parameters)
        self._parameters.heartbeat = 0
        self._lock = threading.Lock()
        self._channel = None

    def remember(self, correlation_id: str, body: bytes) -> None:
        """Write one reply; returns when the broker has it."""
        with self._lock:
            if self._channel is None or not self._channel.is_open:
                self._channel = self._open()
                self._channel.confirm_delivery()
            self._channel.basic_publish("", self._stream, body, pika.BasicProperties(correlation_id=correlation_id))

    def recall(self, correlation_id: str | None) -> bytes | None:
        """Return the reply to a request that was answered before, or None.

        The stream is read up to a mark that is written first: by then one has seen all that was there.
        """
        if not correlation_id:
            return None
        mark, deadline = str(uuid.uuid4()), time.monotonic() + RECALL_SECONDS
        channel = self._open()
        try:
            channel.basic_qos(prefetch_count=1000)
            channel.basic_publish("", self._stream, b"", pika.BasicProperties(message_id=mark))
            arguments = {"x-stream-offset": "first"}
            found = None
            for method, properties, body in channel.consume(self._stream, arguments=arguments, inactivity_timeout=1):
                if method:
                    channel.basic_ack(method.delivery_tag)
                    if properties.correlation_id == correlation_id:
                        found = body
                if (method and properties.message_id == mark) or time.monotonic() > deadline:
                    return found
        finally:
            channel.connection.close()

    def _open(self):
        channel = connect(self._parameters).channel()
        channel.queue_declare(self._stream, durable=True, arguments={
            "x-queue-type": "stream",
            "x-max-age": f"{max(1, int(self._seconds))}s",
            "x-max-length-bytes": MOST_BYTES,
            "x-stream-max-segment-size-bytes": SEGMENT_BYTES,
        })
        return channel
