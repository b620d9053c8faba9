"""The client's side: send a request, go on, and get the answer that belongs to it."""

from __future__ import annotations

import asyncio
import json
import threading
import time
import uuid
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout

import pika

from rpclab.broker.connect import Where, copies
from rpclab.environment import all_connection_parameters
from rpclab.errors import (
    BrokerUnavailable,
    ClientClosed,
    ConnectionLost,
    InvalidOption,
    LabError,
    RemoteError,
    RpcTimeout,
)
from rpclab.rpc.failover import Failover
from rpclab.rpc.session import Session
from rpclab.rpc.stats import Stats

DEFAULT_TIMEOUT = 10.0
HEARTBEAT = 10
GRACE = 1.0


class RpcFuture(Future):
    """The answer to one request, now or later.

    Attributes
    ----------
    correlation_id : str
        What the request and its reply have in common.
    body : str
        The request's body.
    worker : str or None
        Name of the process that answered, where the reply says so.
    seconds : float or None
        From sending to the answer, the error or the deadline.
    times_sent : int
        How often the request has been sent; more than once only by a client with ``retry``.
    """

    def __init__(self, body: str, timeout: float):
        super().__init__()
        self.correlation_id = str(uuid.uuid4())
        self.body = body
        self.timeout = timeout
        self.sent = time.monotonic()
        self.worker: str | None = None
        self.seconds: float | None = None
        self.times_sent = 0

    def set_result(self, result) -> None:
        """Settle with an answer; what was cancelled meanwhile stays so."""
        self._settle(super().set_result, result)

    def set_exception(self, exception) -> None:
        """Settle with an error; what was cancelled meanwhile stays so."""
        self._settle(super().set_exception, exception)

    def _settle(self, how, value) -> None:
        self.seconds = time.monotonic() - self.sent
        if self.set_running_or_notify_cancel():
            how(value)


class RpcClient:
    """Sends requests to one queue and matches the replies by correlation id; may be used from any thread.

    One thread owns the connection, so that heartbeats go on while the notebook idles. When the connection is lost, the
    calls that wait for a reply raise `ConnectionLost`, and the next call opens a new one, at any node of a cluster.

    With ``retry`` they wait on: what has no answer yet is sent again, with the same correlation id, when a connection
    has been opened again, and after so many seconds besides, because a node can die with a request or a reply that it
    had accepted. The first answer counts and later ones are dropped, so that a caller gets one outcome for each call.
    The work may be done twice, unless the server remembers what it has answered (`RpcServer`), which helps when an
    answer takes less time than ``retry``.

    Parameters
    ----------
    request_queue : str
        The queue that the server consumes from.
    reply : str
        Where answers come to: ``"exclusive"``, a callback queue of the client's own that the broker names and deletes
        with the connection; ``"direct"``, RabbitMQ's direct reply-to, which needs no queue; or the name of a callback
        queue that may be shared.
    timeout : float
        Seconds that a call waits for its reply, unless it says otherwise.
    heartbeat : int
        Seconds between heartbeats, 0 for none. pika gives up a peer that says nothing after 2 * (heartbeat + 5) s at
        the latest.
    retry : float, optional
        Seconds after which a request without an answer is sent again, and then after twice as long each time, until
        its deadline. Such requests are persistent.
    parameters : pika.connection.Parameters or list of them, optional
        Where to connect; to the open lab if not given. Of a cluster's nodes, the first that answers is taken.

    Raises
    ------
    BrokerUnavailable, BrokerRefused
        If no connection comes about.

    Notes
    -----
    https://www.rabbitmq.com/docs/direct-reply-to and https://www.rabbitmq.com/tutorials/tutorial-six-python.
    """

    def __init__(
        self,
        request_queue: str,
        *,
        reply: str = "exclusive",
        timeout: float = DEFAULT_TIMEOUT,
        heartbeat: int = HEARTBEAT,
        retry: float | None = None,
        parameters: Where | None = None,
    ):
        self.request_queue = request_queue
        self.timeout = _checked(timeout)
        self.stats = Stats()
        self._reply = reply
        self._retry = None if retry is None else _checked(retry, "retry")
        self._nodes = copies(parameters or all_connection_parameters())
        for node in self._nodes:
            node.client_properties = {**(node.client_properties or {}), "connection_name": type(self).__name__}
            node.heartbeat = heartbeat
        self._failover = Failover(self._live_session, self._request, self._expired) if retry is not None else None
        self._lock = threading.Lock()
        self._closed = False
        self._session = self._open_session()

    def encode(self, body: str) -> str:
        """Turn a call's arguments into the request's body; overridden by clients of a particular service."""
        return body

    def decode(self, body: str) -> object:
        """Turn the reply's body into the call's result; overridden by clients of a particular service."""
        return body

    def call(self, *arguments, timeout: float | None = None):
        """Send a request and return its answer.

        Parameters
        ----------
        *arguments
            What `encode` takes: two integers for `AddClient`, one for `FibonacciClient`, the text itself here.
        timeout : float, optional
            Seconds to wait for the reply.

        Raises
        ------
        RpcTimeout
            If no reply came in time.
        UnroutableError
            If there is no such request queue.
        RemoteError
            If the server answered that it could not be done.
        ConnectionLost
            If the connection ended meanwhile.
        Blocked
            If the broker takes no messages.
        """
        future = self.submit(*arguments, timeout=timeout)
        try:
            # The deadline is kept by the thread of the connection; this one only guards against that thread's death.
            return future.result(future.timeout + GRACE)
        except FutureTimeout:
            raise RpcTimeout(f"No reply within {future.timeout:g} s, and the client's own thread is stuck.") from None
        finally:
            future.cancel()

    def submit(self, *arguments, timeout: float | None = None) -> RpcFuture:
        """Send a request and return at once; the future gets what `call` would return or raise.

        Functions given to ``future.add_done_callback`` run in the thread of the connection: they must be quick.
        """
        future = RpcFuture(self._encoded(arguments), self.timeout if timeout is None else _checked(timeout))
        try:
            self._request(self._live_session(), future)
        except (BrokerUnavailable, ConnectionLost):
            if self._failover is None:
                raise
            self._failover.take_over([future])
        return future

    async def ask(self, *arguments, timeout: float | None = None):
        """Send a request and await its answer, as in ``await client.ask(30)``."""
        return await asyncio.wrap_future(self.submit(*arguments, timeout=timeout))

    def send(self, *arguments, reply_to: str) -> str:
        """Send a request whose answer somebody else receives, and return its correlation id.

        Parameters
        ----------
        reply_to : str
            The callback queue that the server shall answer to, for example that of a `CallbackWorker`.
        """
        sent = RpcFuture(self._encoded(arguments), self.timeout)
        properties = pika.BasicProperties(
            reply_to=reply_to, correlation_id=sent.correlation_id, content_type="text/plain",
            # Its answer is for somebody who may come later, so it should outlive the broker's next restart.
            delivery_mode=pika.DeliveryMode.Persistent.value,
        )
        self._live_session().publish(self.request_queue, sent.body, properties, sent)
        sent.result(self.timeout + GRACE)
        return sent.correlation_id

    def close(self) -> None:
        """Close the connection; calls that still wait raise `ClientClosed`. A second time does nothing."""
        with self._lock:
            self._closed = True
            self._session.close(ClientClosed("The client was closed while the call waited for its reply."))

    def __enter__(self) -> RpcClient:
        return self

    def __exit__(self, *exc_info) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}(queue {self.request_queue!r})"

    def _encoded(self, arguments: tuple) -> str:
        body = self.encode(*arguments)
        if not isinstance(body, str):
            raise InvalidOption(f"A request is text, and {body!r} is {type(body).__name__}: make a str of it first.")
        body.encode()  # what is no valid Unicode shall fail here, with the caller, and not in the client's thread
        return body

    def _live_session(self) -> Session:
        with self._lock:
            if self._closed:
                raise ClientClosed(f"This {type(self).__name__} was closed. Make a new one.")
            if not self._session.alive:
                self._session = self._open_session()
            return self._session

    def _open_session(self) -> Session:
        """Open a connection at the first node that answers."""
        on_lost = self._failover and self._failover.take_over
        for number, node in enumerate(self._nodes, 1):
            try:
                return Session(node, self._reply, self._read, self.stats, retry=self._retry, on_lost=on_lost)
            except (BrokerUnavailable, ConnectionLost) as error:
                if number == len(self._nodes):
                    raise _of_all(error, self._nodes) from None
        raise InvalidOption("parameters=[]: it names no node to connect to.")

    def _request(self, session: Session, call: RpcFuture) -> None:
        session.request(self.request_queue, call)

    def _expired(self, call: RpcFuture, error: RpcTimeout) -> None:
        self.stats.timed_out += 1
        self.stats.remember(call.correlation_id, "timed out")
        call.set_exception(error)

    def _read(self, properties: pika.BasicProperties, body: bytes) -> object:
        """Return what a reply says, or raise it."""
        if properties.type == "error":
            raise _remote_error(body)
        try:
            return self.decode(body.decode())
        except Exception as error:
            raise RemoteError("UnreadableReply", f"{body[:40]!r} is no answer to this request ({error})") from error


def _remote_error(body: bytes) -> RemoteError:
    try:
        said = json.loads(body)
        return RemoteError(str(said["type"]), str(said["message"]))
    except (ValueError, KeyError, TypeError):
        return RemoteError("UnreadableError", repr(body[:200]))


def _of_all(error: LabError, nodes: list[pika.connection.Parameters]) -> LabError:
    """Return the last node's error as one of all nodes."""
    if len(nodes) == 1:
        return error
    where = ", ".join(f"{node.host}:{node.port}" for node in nodes)
    return BrokerUnavailable(f"No node of the cluster answers, of {where}. The last one: {error}")


def _checked(timeout: float, option: str = "timeout") -> float:
    if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not 0 < timeout <= 86_400:
        raise InvalidOption(f"{option}={timeout!r}: it is a number of seconds, above 0 and at most 86400 (a day).")
    return float(timeout)
