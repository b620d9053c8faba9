"""What happens to a client's requests when the connection or the broker fails: they are sent again, or fail."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from pika.adapters.select_connection import IOLoop

from rpclab.errors import Blocked, ConnectionLost, LabError
from rpclab.rpc.reliability import failure_messages
from rpclab.rpc.reliability.publisher import Message
from rpclab.rpc.request import SentRequest

if TYPE_CHECKING:
    from rpclab.rpc.pending_calls import PendingCalls

# How long a channel is used on which the broker has begun to reject: it may stay cut off from a queue that recovers.
RENEW_SECONDS = 1.0


class Resending:
    """Sends requests again: with ``retry`` each that gets no reply, else only what the broker has not looked at.

    Parameters
    ----------
    loop : IOLoop
        What timers run on.
    retry : float or None
        Seconds after which a request without a reply is sent again, and then after twice as long each time.
    calls : PendingCalls
        The requests that wait.

    Attributes
    ----------
    trouble : LabError or None
        Why there is no connection.
    """

    def __init__(self, loop: IOLoop, retry: float | None, calls: PendingCalls):
        self.trouble: LabError | None = None
        self._loop = loop
        self._retry = retry
        self._calls = calls
        self._rejecting_since: float | None = None

    # With `retry`

    def sent(self, request: SentRequest) -> None:
        """Set the timer to send a request again, if there is a ``retry``."""
        if self._retry:
            # Twice as long each time: requests that are only slow must not be buried under copies of themselves.
            request.pause = 2 * request.pause or self._retry
            request.resend_timer = self._loop.call_later(request.pause, partial(self._send_again, request))

    def stop(self, request: SentRequest) -> None:
        """Remove that timer."""
        if request.resend_timer is not None:
            self._loop.remove_timeout(request.resend_timer)
            request.resend_timer = None

    def rejected(self, request: SentRequest | None) -> bool:
        """Record that the broker has rejected a request, and return whether such requests are sent again."""
        if request:
            request.taken = False
            request.rejected += 1
        if self._retry:
            self._rejecting_since = self._rejecting_since or time.monotonic()
        return self._retry is not None

    def _send_again(self, request: SentRequest) -> None:
        link = self._calls.link
        if request.call.cancelled():
            self._calls.forget(request, "given up")
        elif link is None or not link.open:
            return
        elif request.taken is None:
            # A connection that published to a quorum queue without a leader may never hear of it again.
            link.end(ConnectionLost("The broker did not confirm a request in time: its queue may have no leader."))
        else:
            if self._rejecting_since is not None and time.monotonic() > self._rejecting_since + RENEW_SECONDS:
                self._rejecting_since = None
                link.renew_publisher()
            if link.open:
                self._calls.send(link, request)

    # The connection is lost, or another one is open

    def without_link(self, trouble: LabError) -> None:
        """Send nothing until there is a connection again."""
        self._calls.link, self.trouble = None, trouble
        for request in self._calls.waiting.values():
            self.stop(request)

    def send_all(self) -> None:
        """Send everything that waits over a new connection."""
        self.trouble = self._rejecting_since = None
        for request in list(self._calls.waiting.values()):
            request.waited, request.pause = True, 0.0
            if self._calls.link:
                self._calls.send(self._calls.link, request)

    # The broker refuses

    def blocked(self) -> None:
        """Fail the requests that wait: the broker has stopped reading from this connection for an unknown time."""
        link = self._calls.link
        for request in list(self._calls.waiting.values()):
            if link and link.blocked is not None and request.call.times_sent:
                self._calls.fail(request, Blocked(failure_messages.blocked(link.blocked, request)))

    def refused(self, messages: list[Message], error: LabError) -> None:
        """End requests that the broker has closed a channel for."""
        for request in self._of(messages):
            self._calls.fail(request, error)

    def overlooked(self, messages: list[Message]) -> None:
        """Publish the requests again that the broker has not looked at."""
        for request in self._of(messages):
            if self._calls.link:
                self.stop(request)
                self._calls.send(self._calls.link, request)

    def forgotten(self, messages: list[Message]) -> None:
        """Record that the outcome of these requests will not be known."""
        for request in self._of(messages):
            request.taken = False

    def _of(self, messages: list[Message]) -> Iterator[SentRequest]:
        """Return the requests that still wait, of those in the messages."""
        found = (self._calls.waiting.get(message.properties.correlation_id) for message in messages)
        return (request for request in found if request)
