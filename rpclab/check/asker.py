"""The client that a check asks with: it sends any kind of request and keeps every reply."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pika
from pika.exceptions import ChannelClosedByBroker, NackError, UnroutableError

from rpclab.broker import broker_errors
from rpclab.broker.connect import connect

POLL_SECONDS = 0.02
QUIET_SECONDS = 0.3


@dataclass(frozen=True)
class Reply:
    """One message that came to the check's own reply queue."""

    id: str | None
    body: bytes
    type: str | None


class Asker:
    """A connection with an exclusive reply queue, which the broker deletes with the connection; a context manager.

    Parameters
    ----------
    parameters : pika.connection.Parameters
        Where to connect.
    queue : str
        Where the requests go.
    timeout : float
        How many seconds a reply may take. A request expires after as long, so that none stays behind.

    Attributes
    ----------
    replies : list of Reply
        All that have come.
    sent : list of str
        The correlation ids of all requests, which are their message ids as well.
    """

    def __init__(self, parameters: pika.connection.Parameters, queue: str, timeout: float):
        self.queue, self.timeout = queue, timeout
        self.replies: list[Reply] = []
        self.sent: list[str] = []
        self._connection = connect(parameters, "rpclab check")
        self._channel = self._connection.channel()
        self._channel.confirm_delivery()
        self.reply_queue = self.make_reply_queue()
        self._channel.basic_consume(self.reply_queue, self._replied, auto_ack=True)

    def make_reply_queue(self) -> str:
        """Declare a queue that is exclusive to this connection, and return its name."""
        return self._channel.queue_declare("", exclusive=True).method.queue

    def counts(self, queue: str | None = None) -> pika.spec.Queue.DeclareOk:
        """Return the counts of a queue, by default of that of the requests; see the function `counts`."""
        return counts(self._connection, queue or self.queue)

    def send(self, body: bytes, *, within: float | None = None, **properties: Any) -> str | None:
        """Send a request and return its correlation id, or None if the queue does not take it.

        Parameters
        ----------
        body : bytes
            The request.
        within : float, optional
            After how many seconds it expires; after the timeout unless given.
        **properties
            Instead of those of a good request, or besides them; None leaves one out.
        """
        id = str(uuid4())
        expiration = str(int(1000 * (within or self.timeout)))
        usual = {
            "reply_to": self.reply_queue, "correlation_id": id, "message_id": id, "expiration": expiration,
            "delivery_mode": 1,
        }
        self.sent.append(id)
        try:
            self._channel.basic_publish(
                "", self.queue, body, pika.BasicProperties(**{**usual, **properties}), mandatory=True
            )
        except (UnroutableError, NackError):
            return None
        return id

    def ask(
        self, body: bytes, *, by_id: bool = True, unless: Callable[[], bool] = lambda: False, **properties: Any,
    ) -> Reply | None:
        """Send a request and return its reply, or None if none came in time.

        Parameters
        ----------
        body : bytes
            The request.
        by_id : bool
            Whether the reply is known by its correlation id; else it is the next one that comes.
        unless : callable
            Ends the waiting when it returns True.
        **properties
            See `send`.
        """
        seen = len(self.replies)
        id = self.send(body, **properties)

        def found() -> Reply | None:
            return next((reply for reply in self.replies[seen:] if reply.id == id or not by_id), None)

        if id:
            self.until(lambda: found() or unless(), self.timeout)
        return found()

    def answered(self, ids: Iterable[str | None]) -> set[str]:
        """Return those ids that a reply has come with."""
        return {reply.id for reply in self.replies if reply.id} & set(filter(None, ids))

    def until(self, condition: Callable[[], Any], timeout: float) -> Any:
        """Take what comes until a condition has a true value, and return it; its last value if time is up."""
        deadline = time.monotonic() + timeout
        while not (value := condition()) and time.monotonic() < deadline:
            self._connection.process_data_events(time_limit=POLL_SECONDS)
        return value

    def until_none_comes(self, condition: Callable[[], bool]) -> None:
        """Take what comes until a condition is true, or no reply has come for as long as one may take."""
        count = -1
        while not condition() and count != len(self.replies):
            count = len(self.replies)
            self.until(condition, self.timeout)

    def quiet(self) -> None:
        """Take what comes until no reply has come for a moment."""
        count, since = len(self.replies), time.monotonic()
        while time.monotonic() < since + QUIET_SECONDS:
            self._connection.process_data_events(time_limit=POLL_SECONDS)
            if len(self.replies) != count:
                count, since = len(self.replies), time.monotonic()

    def take_back(self) -> dict[str, bool]:
        """Take our requests out of a queue without consumers; return them, and whether each was redelivered.

        Other messages are given back.
        """
        found: dict[str, bool] = {}
        others = []
        for _ in range(self.counts().message_count):
            method, properties, _body = self._channel.basic_get(self.queue)
            if method is None or properties is None:
                break
            if properties.message_id in self.sent:
                found[properties.message_id] = bool(method.redelivered)
                self._channel.basic_ack(method.delivery_tag)
            else:
                others.append(method.delivery_tag)
        for tag in others:
            self._channel.basic_nack(tag, requeue=True)
        return found

    def close(self) -> None:
        if self._connection.is_open:
            self._connection.close()

    def __enter__(self) -> Asker:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def _replied(self, _: object, method: pika.spec.Basic.Deliver, props: pika.BasicProperties, body: bytes) -> None:
        self.replies.append(Reply(props.correlation_id, body, props.type))


def counts(connection: pika.BlockingConnection, queue: str) -> pika.spec.Queue.DeclareOk:
    """Return how many messages are ready in a queue, and how many consumers it has.

    Raises
    ------
    QueueNotFound
        If there is no such queue.
    LabError
        If the broker does not let us ask.
    """
    # On a channel of its own: a refusal closes the channel.
    channel = connection.channel()
    try:
        found = channel.queue_declare(queue, passive=True).method
    except ChannelClosedByBroker as refusal:
        raise broker_errors.explained(refusal, f"Queue {queue!r}") from refusal
    channel.close()
    return found
