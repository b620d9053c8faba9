"""Where a server sends replies: to any queue that a request names, except where a reply would do harm."""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import pika
from pika.channel import Channel

from rpclab.errors import InvalidOption
from rpclab.rpc.reliability import reply_memory, retry_limit

# The request queues of this process's servers, with their virtual hosts.
_served: Counter[tuple[str, str]] = Counter()
_lock = threading.Lock()


@contextmanager
def served(vhost: str, queue: str) -> Iterator[None]:
    """Make all servers of this process refuse replies to a queue while it is served."""
    with _lock:
        _served[vhost, queue] += 1
    try:
        yield
    finally:
        with _lock:
            _served[vhost, queue] -= 1
            _served[vhost, queue] or _served.pop((vhost, queue))


class ReplyQueues:
    """Knows which queues get no reply.

    A server publishes to whatever queue a request names. A server would take a reply in a request queue for a request,
    and one among the dead letters or in the memory for its own message. The broker decides which other queues a server
    may write to, by the server's permissions: https://www.rabbitmq.com/docs/access-control. Within a virtual host they
    do not help: for publishing, the broker checks them for the exchange, ``amq.default``, and not for the queue. A
    queue that the server must never write to belongs in another virtual host, where its user has no permissions.

    Parameters
    ----------
    vhost : str
        The virtual host of the server.
    pattern : str or None
        A regular expression for the only names that get a reply; None for all.
    """

    def __init__(self, vhost: str, pattern: str | None):
        self._vhost = vhost
        try:
            self._pattern = None if pattern is None else re.compile(pattern)
        except (re.error, TypeError) as error:
            raise InvalidOption(
                f"callback_queues={pattern!r} is no regular expression ({error}). Leave the option out to reply to "
                "all callback queues."
            ) from None

    def reject(self, ch: Channel, method: pika.spec.Basic.Deliver, properties: pika.BasicProperties) -> bool:
        """Reject a request whose reply would go where none may go, and return whether that was so."""
        refusal = self._refusal(properties.reply_to) if properties.reply_to else None
        if refusal:
            print(f" [!] request refused: its reply_to {properties.reply_to!r} is {refusal}", flush=True)
            # If the queue has a dead-letter exchange, rejected messages go where the operator wants them.
            ch.basic_reject(method.delivery_tag, requeue=False)
        return refusal is not None

    def _refusal(self, reply_to: str | bytes) -> str | None:
        """Return why a queue gets no replies, or None."""
        # A name that is not UTF-8 stays bytes.
        name = reply_to if isinstance(reply_to, str) else reply_to.decode(errors="backslashreplace")
        with _lock:
            queues = [queue for vhost, queue in _served if vhost == self._vhost]
        for queue in queues:
            if name == queue:
                return "a queue that this process takes requests from"
            if name in (f"{queue}{retry_limit.SUFFIX}", f"{queue}{reply_memory.SUFFIX}"):
                return f"one of the queues that the server on {queue!r} keeps for itself"
        if self._pattern is not None and not self._pattern.fullmatch(name):
            return f"not among the callback_queues that this server replies to ({self._pattern.pattern})"
        return None
