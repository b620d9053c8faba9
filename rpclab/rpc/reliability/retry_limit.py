"""Counts how often a request was delivered, and dead-letters one that no worker survives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pika

from rpclab.errors import InvalidOption
from rpclab.rpc.protocol import Declares, declare
from rpclab.rpc.reliability.publisher import Message

SUFFIX = ".dead"
COUNT = "x-rpclab-deliveries"
ON_ERROR = ("reply", "dead-letter")
QUEUE_TYPES = ("classic", "quorum")
DEFAULT_MAX = 3

# With these headers a sender routes a message to more queues. The broker obeyed them when the sender published it.
# https://www.rabbitmq.com/docs/sender-selected
MORE_QUEUES = ("CC", "BCC")


class RequestFailed(Exception):
    """The request was tried as often as allowed, and dead-lettered."""


class RetryLimit:
    """Counts a queue's deliveries, up to a limit.

    A quorum queue counts by itself and moves what is over the limit to the dead-letter queue. A classic queue says only
    whether a message was delivered before, so the server counts: it publishes a redelivered request again, with the
    count in a header, and acknowledges the old copy.

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
    user : str or None
        The user that the server is connected as.

    Notes
    -----
    https://www.rabbitmq.com/docs/quorum-queues#poison-message-handling
    """

    def __init__(self, queue: str, queue_type: str, most: int | None, on_error: str, user: str | None = None):
        if queue_type not in QUEUE_TYPES:
            raise InvalidOption(f"queue_type={queue_type!r}: it is one of {', '.join(QUEUE_TYPES)}.")
        if on_error not in ON_ERROR:
            raise InvalidOption(f"on_error={on_error!r}: it is one of {', '.join(ON_ERROR)}.")
        if most is not None and (isinstance(most, bool) or not isinstance(most, int) or not 1 <= most <= 1000):
            raise InvalidOption(f"max_deliveries={most!r}: it is a number from 1 to 1000.")
        self._queue = queue
        self._dead = f"{queue}{SUFFIX}"
        self._quorum = queue_type == "quorum"
        self._try_again_after_error = on_error == "dead-letter"
        self._most = DEFAULT_MAX if most is None and self._try_again_after_error else most
        self._user = user

    def declare_dead_letter_queue(self, channel: Declares) -> None:
        """Declare the queue for requests over the limit, if there is one."""
        if self._most:
            declare(channel, self._dead)

    def arguments(self) -> dict[str, Any] | None:
        """Return the arguments of the request queue. A quorum queue then dead-letters what is over the limit.

        It also dead-letters a request that expires, because a queue has one dead-letter exchange for both.
        """
        if not self._quorum:
            return None
        if not self._most:
            return {"x-queue-type": "quorum"}
        return {
            "x-queue-type": "quorum",
            # The limit is on deliveries after the first.
            "x-delivery-limit": self._most - 1,
            "x-dead-letter-exchange": "",
            "x-dead-letter-routing-key": self._dead,
        }

    def after_a_death(self, redelivered: bool, properties: pika.BasicProperties, body: bytes) -> Message | None:
        """Return the copy to publish in place of a request whose last worker died, for whatever reason."""
        if not self._most or not redelivered or self._quorum:
            return None
        return self._copy(properties, body)

    def after_an_error(self, properties: pika.BasicProperties, body: bytes) -> Message | None:
        """Return the copy to publish in place of a request that failed, if such requests are tried again."""
        return self._copy(properties, body) if self._try_again_after_error else None

    def is_last(self, copy: Message) -> bool:
        """Return whether a copy goes to the dead-letter queue."""
        return copy.queue == self._dead

    def error(self) -> RequestFailed:
        """Return the error for the client of a request that is not tried again."""
        return RequestFailed(f"the request ended {self._most} workers and was put into {self._dead!r}")

    def _copy(self, properties: pika.BasicProperties, body: bytes) -> Message:
        taken = count(properties.headers) + 1
        left = self._most is not None and taken < self._most
        copy = pika.BasicProperties(**{name: value for name, value in vars(properties).items() if value is not None})
        copy.headers = {name: value for name, value in (properties.headers or {}).items() if name not in MORE_QUEUES}
        copy.headers[COUNT] = taken
        if not left:
            copy.expiration = None
        if copy.user_id != self._user:
            # The broker accepts it only from that user.
            copy.user_id = None
        return Message(self._queue if left else self._dead, body, copy, needed=True)


def count(headers: Mapping[Any, Any] | None) -> int:
    """Return how often a server has published a request again; 0 if the header holds no number."""
    said = (headers or {}).get(COUNT)
    return said if isinstance(said, int) and not isinstance(said, bool) and said > 0 else 0
