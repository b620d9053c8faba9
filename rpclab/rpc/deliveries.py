"""How often a request has been taken already, and what becomes of one that nobody survives."""

from __future__ import annotations

from collections.abc import Callable

import pika
from pika.adapters.blocking_connection import BlockingChannel

from rpclab.errors import InvalidOption
from rpclab.rpc.queues import declare

COUNT = "x-rpclab-deliveries"
ON_ERROR = ("reply", "dead-letter")
QUEUE_TYPES = ("classic", "quorum")
DEFAULT_MAX = 3


class RequestFailed(Exception):
    """The request was tried as often as allowed, and put aside."""


class Deliveries:
    """Counts a queue's deliveries, up to a limit.

    A quorum queue counts by itself and moves what is over the limit to the dead-letter queue. A classic queue says only
    whether a message was delivered before, so the server counts: what comes back is published again with a header that
    says how often, and the old copy acknowledged.

    Parameters
    ----------
    queue : str
        The request queue.
    queue_type : str
        ``"classic"`` or ``"quorum"``.
    most : int or None
        The limit; None for none.
    on_error : str
        ``"reply"`` or ``"dead-letter"``.

    Notes
    -----
    https://www.rabbitmq.com/docs/quorum-queues#poison-message-handling
    """

    def __init__(self, queue: str, queue_type: str, most: int | None, on_error: str):
        if queue_type not in QUEUE_TYPES:
            raise InvalidOption(f"queue_type={queue_type!r}: it is one of {', '.join(QUEUE_TYPES)}.")
        if on_error not in ON_ERROR:
            raise InvalidOption(f"on_error={on_error!r}: it is one of {', '.join(ON_ERROR)}.")
        if most is not None and (not isinstance(most, int) or not 1 <= most <= 1000):
            raise InvalidOption(f"max_deliveries={most!r}: it is a number from 1 to 1000.")
        self._queue = queue
        self._dead = f"{queue}.dead"
        self._quorum = queue_type == "quorum"
        self._retry = on_error == "dead-letter"
        self._most = DEFAULT_MAX if most is None and self._retry else most

    def declare(self, channel: BlockingChannel) -> None:
        """Declare the request queue, and the dead-letter queue if there is a limit."""
        arguments = {"x-queue-type": "quorum"} if self._quorum else {}
        if self._most:
            declare(channel, self._dead)
        if self._most and self._quorum:
            arguments |= {
                # The limit is on deliveries after the first.
                "x-delivery-limit": self._most - 1,
                "x-dead-letter-exchange": "",
                "x-dead-letter-routing-key": self._dead,
            }
        declare(channel, self._queue, arguments or None)

    def spent(self, ch: BlockingChannel, method, props, body: bytes, tell: Callable) -> bool:
        """Deal with a request whose last worker died of it, or of something else; tell whether that is all to do.

        Parameters
        ----------
        tell : callable
            Called with channel, properties and an error when the request is put aside.
        """
        if not self._most or not method.redelivered or self._quorum:
            return False
        if not self._again(ch, method, props, body):
            tell(ch, props, RequestFailed(f"the request ended {self._most} workers and was put into {self._dead!r}"))
        return True

    def retried(self, ch: BlockingChannel, method, props, body: bytes) -> bool:
        """Give a request that failed another try if it has one left, else put it aside; tell whether it has."""
        return self._retry and self._again(ch, method, props, body, acknowledge_last=False)

    def _again(self, ch: BlockingChannel, method, props, body: bytes, *, acknowledge_last: bool = True) -> bool:
        taken = (props.headers or {}).get(COUNT, 0) + 1
        left = taken < self._most
        copy = pika.BasicProperties(**{name: value for name, value in vars(props).items() if value is not None})
        copy.headers = {**(props.headers or {}), COUNT: taken}
        if not left:
            copy.expiration = None
        ch.basic_publish("", self._queue if left else self._dead, body, copy)
        if left or acknowledge_last:
            ch.basic_ack(method.delivery_tag)
        return left
