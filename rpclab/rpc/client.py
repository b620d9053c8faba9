"""The client's side: send a request, go on, and get the answer that belongs to it."""

from __future__ import annotations

import asyncio
import copy
import json
import threading
import time
import uuid
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout

import pika

from rpclab.environment import connection_parameters
from rpclab.errors import ClientClosed, InvalidOption, RemoteError, RpcTimeout
from rpclab.rpc.session import Session, Stats

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
    """

    def __init__(self, body: str, timeout: float):
        super().__init__()
        self.correlation_id = str(uuid.uuid4())
        self.body = body
        self.timeout = timeout
        self.sent = time.monotonic()
        self.worker: str | None = None
        self.seconds: float | None = None

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
    calls that wait for a reply raise `ConnectionLost`, and the next call opens a new one.

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
    parameters : pika.connection.Parameters, optional
        Where to connect; to the open lab if not given.

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
        parameters: pika.connection.Parameters | None = None,
    ):
        self.request_queue = request_queue
        self.timeout = _checked(timeout)
        self.stats = Stats()
        self._reply = reply
        self._parameters = copy.copy(parameters) if parameters else connection_parameters()
        self._parameters.client_properties = {
            **(self._parameters.client_properties or {}), "connection_name": type(self).__name__,
        }
        self._parameters.heartbeat = heartbeat
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
        self._live_session().request(self.request_queue, future)
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
        return Session(self._parameters, self._reply, self._read, self.stats)

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


def _checked(timeout: float) -> float:
    if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not 0 < timeout <= 86_400:
        raise InvalidOption(f"timeout={timeout!r}: it is a number of seconds, above 0 and at most 86400 (a day).")
    return float(timeout)
