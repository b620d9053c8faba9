"""The client: send a request, and get the reply that belongs to it; `pending_calls` shows how."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pika

from rpclab.broker.connect import Where, copies
from rpclab.broker.environment import all_connection_parameters
from rpclab.errors import ClientClosed, InvalidOption, LabError, RemoteError
from rpclab.rpc import options
from rpclab.rpc.codec import Codec, checked
from rpclab.rpc.future import GRACE, RpcFuture
from rpclab.rpc.protocol import DIRECT_REPLY_TO, ERROR, remote_error
from rpclab.rpc.reliability.client_session import ClientSession
from rpclab.rpc.reliability.failover import OPEN_SECONDS
from rpclab.rpc.reliability.misplaced_calls import MisplacedCalls
from rpclab.rpc.reliability.stream import Parts, RpcStream, not_with_retry
from rpclab.rpc.request import SentRequest
from rpclab.rpc.stats import Stats

DEFAULT_TIMEOUT = 10.0


class RpcClient:
    """Sends requests to one queue and matches the replies by correlation id; may be used from any thread.

    One thread owns the connection, so that heartbeats go on while the notebook idles. When the connection is lost, the
    calls that wait for a reply raise `ConnectionLost`, and the next call opens a new one, at any node of a cluster.
    The broker confirms each request. A request that it does not take ends at once with an error that says why.

    With ``retry`` the calls wait on. A request without a reply is sent again, with the same correlation id, on each new
    connection and after that many seconds, because a node can die with a request or a reply that it had accepted. The
    first reply counts and later ones are dropped, so each call has one outcome. The work may be done twice, unless the
    server remembers its replies (`RpcServer`), which helps when a reply takes less time than ``retry``. A request that
    a full queue rejects is tried again, too.

    Parameters
    ----------
    request_queue : str
        The queue that the server consumes from.
    reply : str
        Where replies go: ``"exclusive"``, the client's own callback queue, which the broker names and deletes with the
        connection; ``"direct"``, RabbitMQ's direct reply-to, which needs no queue; or the name of a durable callback
        queue. Clients that consume from the same one take each other's replies, and drop them: share a queue with
        `CallbackWorker` processes instead, by `send`.
    timeout : float
        Seconds that a call waits for its reply, unless it says otherwise. Connecting again counts.
    heartbeat : int
        Seconds between heartbeats, 0 for none. pika gives up a silent peer after at most 2 * (heartbeat + 5) s.
    retry : float, optional
        Seconds after which a request without a reply is sent again, and then after twice as long each time, until
        its deadline. Such requests are persistent.
    codec : Json, optional
        How values become bodies: ``rpclab.Json(version=1)``, as at the server. Without it bodies are text.
    parameters : pika.connection.Parameters or list of them, optional
        Where to connect; to the open lab if not given. With several nodes, to the first that answers.

    Raises
    ------
    InvalidOption
        If an option has a value that the client cannot use.
    BrokerUnavailable, BrokerRefused
        If the connection cannot be opened, within 10 s.

    Notes
    -----
    https://www.rabbitmq.com/docs/direct-reply-to, https://www.rabbitmq.com/docs/confirms and
    https://www.rabbitmq.com/tutorials/tutorial-six-python.
    """

    def __init__(
        self,
        request_queue: str,
        *,
        reply: str = "exclusive",
        timeout: float = DEFAULT_TIMEOUT,
        heartbeat: int = options.HEARTBEAT,
        retry: float | None = None,
        codec: Codec | None = None,
        parameters: Where | None = None,
    ):
        self.request_queue = options.queue_name(request_queue, "request_queue")
        self.timeout = options.seconds(timeout)
        self.stats = Stats()
        self._codec = checked(codec)
        self._reply = options.callback_queue(reply)
        self._retry = None if retry is None else options.seconds(retry, "retry")
        self._nodes = copies(all_connection_parameters() if parameters is None else parameters)
        for node in self._nodes:
            node.client_properties = {**(node.client_properties or {}), "connection_name": type(self).__name__}
            node.heartbeat = options.heartbeat(heartbeat)
        self._misplaced = MisplacedCalls(type(self).__name__)
        self._lock = threading.Lock()
        self._closed = False
        self._session = self._new_session()
        try:
            self._session.opened.result(OPEN_SECONDS + GRACE)
        except BaseException:
            self.close()
            raise

    def encode(self, body: Any) -> Any:
        """Turn a call's arguments into what the codec takes; overridden by clients of a particular service."""
        return body

    def decode(self, body: Any) -> Any:
        """Turn what the codec returns into the call's result; overridden by clients of a particular service."""
        return body

    def call(self, *arguments: Any, timeout: float | None = None) -> Any:
        """Send a request and return the reply's value.

        Parameters
        ----------
        *arguments
            What `encode` takes: two integers for `AddClient`, one for `FibonacciClient`; here the text itself, or the
            value that the codec writes.
        timeout : float, optional
            Seconds to wait for the reply, connecting again included.

        Raises
        ------
        RpcTimeout
            If no reply came in time; the message says what the client knows of the reason.
        UnroutableError
            If there is no such request queue.
        RequestRejected
            If the broker did not take the request: the queue is full, or the request is too large.
        RemoteError
            If the server replied with an error.
        UnreadableBody
            If the codec `Json` cannot read the reply. (If a reply without a codec is no text: RemoteError.)
        ConnectionLost
            If the connection ended during the call.
        Blocked
            If the broker takes no messages.
        BrokerUnavailable, BrokerRefused
            If the client had to connect again and could not, or may not publish.
        MisplacedCall
            If it is made in a callback of this client, whose thread would wait for itself, or in a forked process.
        """
        self._misplaced.check_thread()
        future = self.submit(*arguments, timeout=timeout)
        try:
            return future.wait()
        finally:
            future.cancel()

    def submit(self, *arguments: Any, timeout: float | None = None) -> RpcFuture:
        """Send a request and return at once; the future gets what `call` would return or raise.

        Functions given to ``future.add_done_callback`` run in the thread of the connection: they must be quick.
        """
        request = self._request(arguments, timeout)
        self._hand_over(request)
        return request.call

    async def call_async(self, *arguments: Any, timeout: float | None = None) -> Any:
        """Send a request and await its reply, as in ``await client.call_async(30)``; otherwise the same as `call`."""
        return await asyncio.wrap_future(self.submit(*arguments, timeout=timeout))

    ask = call_async

    def stream(self, *arguments: Any, timeout: float | None = None) -> RpcStream:
        """Send a request and return at once an iterator over its replies, until the last one.

        For a server whose function is a generator: each value that it yields is a reply; see `RpcStream`.

        Parameters
        ----------
        *arguments
            As `call` takes.
        timeout : float, optional
            Seconds until the last reply has come.

        Raises
        ------
        InvalidOption
            If the client has ``retry``.
        ReplyLost
            By the iterator, if a reply is missing.
        RpcTimeout, RemoteError, ConnectionLost
            By the iterator, and whatever else `call` raises.
        """
        not_with_retry(self._retry)
        request = self._request(arguments, timeout)
        request.parts = Parts()
        replies = RpcStream(request.call, request.parts, self._misplaced.check_thread)
        self._hand_over(request)
        return replies

    def send(self, *arguments: Any, reply_to: str, timeout: float | None = None) -> str:
        """Send a request whose reply another consumer gets, and return its correlation id once the broker has taken it.

        Parameters
        ----------
        reply_to : str
            The callback queue that the server should reply to, for example that of a `CallbackWorker`.
        timeout : float, optional
            Seconds to wait until the broker has confirmed the request.

        Raises
        ------
        RpcTimeout
            If the broker has not confirmed it in time. It may still take it.
        UnroutableError, RequestRejected, ConnectionLost, Blocked, MisplacedCall
            As `call` does.
        """
        self._misplaced.check_thread()
        options.queue_name(reply_to, "reply_to")
        if reply_to == DIRECT_REPLY_TO:
            raise InvalidOption(
                f"reply_to={reply_to!r}: direct reply-to brings a reply to the client that sent the request. Use "
                'call, of a client with reply="direct".'
            )
        request = self._request(arguments, timeout, reply_to)
        self._hand_over(request)
        request.call.wait()
        return request.call.correlation_id

    def close(self) -> None:
        """Close the connection; calls that still wait raise `ClientClosed`. Calling it again has no effect."""
        if self._misplaced.forked:
            return  # the connection is the parent process's
        with self._lock:
            self._closed = True
            session = self._session
        # Not under the lock: callbacks that run during the closing may use the client.
        session.close(ClientClosed("The client was closed while the call waited for its reply."))

    def __enter__(self) -> RpcClient:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}(queue {self.request_queue!r})"

    def _request(self, arguments: tuple[Any, ...], timeout: float | None, reply_to: str | None = None) -> SentRequest:
        seconds = self.timeout if timeout is None else options.seconds(timeout)
        body = self._codec.encode(self.encode(*arguments))
        return SentRequest(
            RpcFuture(body, seconds, self._misplaced.check_thread),
            options.text(body),
            reply_to,
            self._codec.content_type,
            self._codec.headers,
            persistent=self._retry is not None or reply_to is not None,
        )

    def _hand_over(self, request: SentRequest) -> None:
        """Send a request over the open session, or over a new one that connects first."""
        self._misplaced.check_process()
        with self._lock:
            if self._closed:
                raise ClientClosed(f"This {type(self).__name__} was closed. Make a new one.")
            if not self._session.take(request):
                # It gets the request before it begins: without a broker, it may end at once.
                self._session = self._new_session(request)

    def _new_session(self, *requests: SentRequest) -> ClientSession:
        session = ClientSession(
            self._nodes, self.request_queue, self._reply, self._read, self.stats, retry=self._retry, requests=requests
        )
        self._misplaced.add_thread(session.thread)
        return session

    def _read(self, properties: pika.BasicProperties, body: bytes) -> object:
        """Return the value of a reply, or raise its error."""
        if properties.type == ERROR:
            raise remote_error(body)
        try:
            return self.decode(self._codec.decode(body, properties))
        except LabError:
            raise
        except BaseException as error:  # an exit would end the connection's thread, and all other calls
            raise RemoteError("UnreadableReply", f"{body[:40]!r} is no valid reply ({error})") from error
