"""Several replies to one request: the server numbers them, and the client takes them in that order.

Each reply has its number in a header, from 1. After the last one comes a message of the type ``end``, which has the
next number and no body. A reply that is lost leaves a gap in the numbers; one that comes again repeats a number.
"""

from __future__ import annotations

import asyncio
import queue
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from typing import Any

import pika

from rpclab.errors import InvalidOption, RemoteError, ReplyLost
from rpclab.rpc.future import GRACE, RpcFuture
from rpclab.rpc.protocol import END, ERROR, NUMBER, Reply

NOT_REMEMBERED = "remember= keeps one reply for each request, and a generator yields several: leave remember out."


class Yielding:
    """A server's handler that is a generator: one reply for each value that it yields.

    Parameters
    ----------
    values : generator
        What the handler returned.
    encode : callable
        Returns the body for a value.

    Attributes
    ----------
    unwanted : bool
        Whether no client takes the replies any more.
    """

    def __init__(self, values: Generator[Any, Any, Any], encode: Callable[[Any], Any]):
        self.unwanted = False
        self._values = values
        self._encode = encode
        self._number = 0

    def next(self) -> Reply | None:
        """Return the next reply; None, and the generator is closed, if no client takes it."""
        if self.unwanted:
            self._values.close()
            return None
        self._number += 1
        try:
            value = next(self._values)
        except StopIteration as end:
            if end.value is not None:
                raise TypeError("a handler that yields sends what it yields: yield the last value, too") from None
            return Reply(b"", END, self._number)
        return Reply.of(self._encode(value), self._number)


class Parts:
    """The replies to one request of a client, on their way from the connection's thread to the caller's.

    Attributes
    ----------
    count : int
        How many have come.
    arrived : queue.SimpleQueue
        Values as tuples of one, and None after the last.
    notify : callable
        Called, in the connection's thread, after something was put there.
    """

    def __init__(self) -> None:
        self.count = 0
        self.arrived: queue.SimpleQueue[tuple[Any] | None] = queue.SimpleQueue()
        self.notify: Callable[[], object] = lambda: None

    def has(self, properties: pika.BasicProperties) -> bool:
        """Return whether a reply of this number has come already."""
        number = number_of(properties)
        return number is not None and number <= self.count

    def take(self, properties: pika.BasicProperties, read: Callable[[], Any]) -> bool:
        """Take the next reply, and return whether it was the last. One without a number is the only one.

        Raises
        ------
        ReplyLost
            If one before it has not come.
        RpcError
            What `read` raises.
        """
        number = number_of(properties)
        if properties.type == ERROR or number is None:
            self.put((read(),))
            return True
        if number != self.count + 1:
            raise ReplyLost(
                f"Reply {self.count + 1} to this request was lost: reply {number} came instead. It may have been "
                "purged from the callback queue, or lost with a node. Make the call again."
            )
        if properties.type == END:
            return True
        self.put((read(),))
        self.count = number
        return False

    def put(self, item: tuple[Any] | None) -> None:
        """Hand a value to the caller, or None at the end."""
        self.arrived.put(item)
        with suppress(RuntimeError):  # the caller's event loop was closed
            self.notify()


class RpcStream(Iterator[Any]):
    """The replies to one request, from `RpcClient.stream`: for ``for`` and ``async for``.

    (gRPC calls this server streaming. RabbitMQ's streams are something else: a kind of queue.)

    It ends after the last reply, or raises what `RpcClient.call` would raise. The replies that came before an error are
    returned first. A coroutine that is cancelled while it waits forgets the call.

    The replies come in order and each once: one that comes again, from a worker that has taken the place of a dead one,
    is dropped, so the function should yield the same for the same request. Leaving the loop, or ``close()``, forgets
    the call; what still comes is dropped and counted as late. The server is not told. It yields to the end, unless the
    callback queue was deleted: with the client closed, the broker returns its next reply, and it stops. (Direct
    reply-to is no queue: there the broker drops the replies.)

    Attributes
    ----------
    call : RpcFuture
        Done when the last reply has come; its result is None.
    """

    def __init__(self, call: RpcFuture, parts: Parts, may_wait: Callable[[], None]):
        self.call = call
        self._parts = parts
        self._may_wait = may_wait
        # Not a method of this object: the client would keep it alive when its caller has dropped it.
        call.add_done_callback(lambda _: parts.put(None))

    def __next__(self) -> Any:
        if self._parts.arrived.empty():
            self._may_wait()
        left = self.call.sent + self.call.timeout + GRACE - time.monotonic()
        try:
            return self._value(self._parts.arrived.get(timeout=max(0, left)), StopIteration)
        except queue.Empty:
            raise self.call.stuck() from None

    def __aiter__(self) -> RpcStream:
        return self

    async def __anext__(self) -> Any:
        loop, arrived = asyncio.get_running_loop(), asyncio.Event()
        self._parts.notify = lambda: loop.call_soon_threadsafe(arrived.set)
        while self._parts.arrived.empty():
            try:
                await arrived.wait()
            except asyncio.CancelledError:
                self.close()
                raise
            arrived.clear()
        return self._value(self._parts.arrived.get(), StopAsyncIteration)

    def close(self) -> None:
        """Forget the call: the replies that still come are dropped. Calling it again has no effect."""
        self.call.cancel()

    def __del__(self) -> None:
        self.close()

    def _value(self, item: tuple[Any] | None, stop: type[Exception]) -> Any:
        if item is not None:
            return item[0]
        self._parts.arrived.put(None)  # for the next time
        error = None if self.call.cancelled() else self.call.exception()
        raise error or stop


def single(properties: pika.BasicProperties, read: Callable[[], Any]) -> Any:
    """Return the value of a reply where only one is expected.

    Raises
    ------
    RemoteError
        If it says that it is one of several.
    """
    if number_of(properties) is not None and properties.type != ERROR:
        raise RemoteError("SeveralReplies", "this service sends several replies to a request: use client.stream(...)")
    return read()


def number_of(properties: pika.BasicProperties) -> int | None:
    """Return a reply's number, or None if it has none."""
    number = (properties.headers or {}).get(NUMBER)
    return number if isinstance(number, int) and not isinstance(number, bool) and number > 0 else None


def not_with_retry(retry: float | None) -> None:
    """Refuse several replies to a client that sends a request again until its one reply has come.

    Raises
    ------
    InvalidOption
        If there is a ``retry``.
    """
    if retry is not None:
        raise InvalidOption(
            f"retry={retry:g} sends a request again until its one reply has come, and stream takes several replies. "
            "Use a client without retry."
        )
