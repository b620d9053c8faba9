"""The thread of an `RpcClient`, from the opening of a connection to its end."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial

import pika
from pika.adapters.select_connection import IOLoop

from rpclab.errors import ConnectionLost, LabError
from rpclab.rpc.pending_calls import PendingCalls
from rpclab.rpc.reliability.client_connection import CLOSE_SECONDS, ClientConnection
from rpclab.rpc.reliability.failover import Failover, may_pass
from rpclab.rpc.request import SentRequest
from rpclab.rpc.stats import Stats


class ClientSession:
    """Runs one connection at a time in its own thread, and the calls that are made over it.

    It begins by opening a connection, and takes requests already then: their deadlines run. It ends when it is closed,
    or when its connection is lost or cannot be opened; with ``retry``, only if no request waits then.

    Parameters
    ----------
    nodes : sequence of pika.connection.Parameters
        Where to connect: to the first that answers.
    queue : str
        Where requests go.
    reply : str
        ``"exclusive"``, ``"direct"`` or the name of a callback queue.
    read : callable
        Takes a reply's properties and body; returns the result or raises the error that the reply stands for.
    stats : Stats
        Where to count.
    retry : float, optional
        Seconds after which a request without a reply is sent again, and then after twice as long each time.
    requests : sequence of SentRequest
        The requests that it takes before it begins.

    Attributes
    ----------
    alive : bool
        Whether it still takes requests.
    opened : Future
        Done when the first connection is open, or could not be opened.
    calls : PendingCalls
        The requests that wait.
    """

    def __init__(
        self, nodes: Sequence[pika.connection.Parameters], queue: str, reply: str,
        read: Callable[[pika.BasicProperties, bytes], object], stats: Stats, *, retry: float | None = None,
        requests: Sequence[SentRequest] = (),
    ):
        self.alive = True
        self.opened: Future[None] = Future()
        self._queue = queue
        self._reply = reply
        self._retry = retry
        self._failover = Failover(nodes)
        self._lock = threading.Lock()
        self._unsent = list(requests)
        self._waking = False
        self._loop = IOLoop()
        self.calls = PendingCalls(self._loop, queue, read, stats, retry)
        self._links: set[ClientConnection] = set()
        self.thread = threading.Thread(target=self._run, name="rpclab client", daemon=True)
        self.thread.start()

    def take(self, request: SentRequest) -> bool:
        """Take a request to send, and return whether that is possible; the thread is woken once for many."""
        with self._lock:
            if not self.alive:
                return False
            self._unsent.append(request)
            wake, self._waking = not self._waking, True
            if wake:
                self._loop.add_callback_threadsafe(self._add_unsent)
        return True

    def close(self, reason: LabError) -> None:
        """End; requests that wait get the reason. Return when the thread has ended, in that thread itself at once."""

        def finish() -> None:
            self._finish(reason)

        with self._lock:
            if self.alive:
                self._loop.add_callback_threadsafe(finish)
        if threading.current_thread() is not self.thread:
            # It takes longer only if a caller's callback does.
            self.thread.join(2 * CLOSE_SECONDS)

    # What follows runs in the session's own thread.

    def _run(self) -> None:
        self._loop.add_callback_threadsafe(self._add_unsent)
        self._loop.add_callback_threadsafe(self._open)
        while self.alive or self._links:
            try:
                self._loop.start()
            except Exception as error:  # noqa: BLE001  whatever happened, no caller may be left waiting
                self._broke(ConnectionLost(f"The connection broke: {error!r}"))
        self._loop.close()

    def _broke(self, error: LabError) -> None:
        """Give up a connection after something unforeseen, such as a frame that pika cannot read."""
        for link in list(self._links):
            if link.over:
                self._links.discard(link)  # and now its closing has failed as well
            else:
                link.end(error)
                link.abort()
        if not self._links:
            self._finish(error)

    def _add_unsent(self) -> None:
        with self._lock:
            requests, self._unsent = self._unsent, []
            self._waking = False
        for request in requests:
            self.calls.add(request)

    def _open(self) -> None:
        node = self._failover.next_node()
        link = ClientConnection(self._loop, node, self._queue, self._reply, self, self.calls, self._failover.seconds)
        self._links.add(link)
        self.calls.link = link

    def link_opened(self, link: ClientConnection) -> None:
        """Send what waits, and again what was sent over another connection."""
        self._failover.succeeded()
        if not self.opened.done():
            self.opened.set_result(None)
        self.calls.resending.send_all()

    def link_lost(self, link: ClientConnection, error: LabError) -> None:
        """Open another connection if that may help, or end."""
        if link is not self.calls.link:
            return
        if self._failover.has_another(error):
            self._open()
            return
        error = self._failover.explained(error)
        self.calls.resending.without_link(error)
        if self._retry and may_pass(error):
            self._loop.call_later(self._failover.pause(), partial(self._open_if_awaited, error))
        else:
            self._finish(error)

    def link_closed(self, link: ClientConnection) -> None:
        """Let the thread end with its last connection."""
        self._links.discard(link)
        if not self.alive and not self._links:
            self._loop.stop()

    def _open_if_awaited(self, error: LabError) -> None:
        if self.alive and not self._finish(error, only_if_idle=True):
            self._open()

    def _finish(self, reason: LabError, *, only_if_idle: bool = False) -> bool:
        """Settle all that waits, once, and let the thread end; return whether it is the end."""
        with self._lock:
            if not self.alive:
                return True
            if only_if_idle and (self.calls or self._unsent):
                return False
            self.alive = False
            unsent, self._unsent = self._unsent, []
        try:
            for link in list(self._links):
                link.close()
        finally:
            if not self.opened.done():
                self.opened.set_exception(reason)
            self.calls.end(unsent, reason)
            if not self._links:
                self._loop.stop()
        return True
