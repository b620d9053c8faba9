"""A server's connection: one channel and one thread, which does not wait for the broker while requests come in.

pika's blocking connection waits for each confirm before it goes on. On an asynchronous one, many messages can be in
flight at the same time; this class adds waiting, for the few steps that must be done in order.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pika
from pika.adapters.select_connection import IOLoop
from pika.channel import Channel
from pika.exceptions import AMQPConnectionError, AMQPError, ConnectionWrongStateError

from rpclab.broker.connect import Where, copies, explained

CLOSE_SECONDS = 2


class ServerConnection:
    """An open connection with its channel. All methods are for the thread that runs the loop.

    Parameters
    ----------
    nodes : pika.connection.Parameters or list of them
        Where to connect; of several, to the first that answers.
    loop : pika.adapters.select_connection.IOLoop
        Passes on what the broker sends, during `run`, `pause` and each step that waits.

    Attributes
    ----------
    connection : pika.SelectConnection
    channel : pika.channel.Channel or None
        The channel that `open_channel` opened last, while it is open.
    blocked : bool
        Whether the broker takes no messages now.
    unblocked : float
        Since when it has taken messages, on the monotonic clock.

    Raises
    ------
    BrokerUnavailable, BrokerRefused
        If the connection cannot be opened.
    """

    def __init__(self, nodes: Where, loop: IOLoop):
        self._loop = loop
        self._end: BaseException | None = None
        self._channel_end: BaseException | None = None
        self.channel: Channel | None = None
        self.blocked = False
        self.unblocked = time.monotonic()
        self._left = False
        self.connection = self._connected(copies(nodes))
        self.connection.add_on_close_callback(self._on_connection_closed)
        self.connection.add_on_connection_blocked_callback(lambda *_: self._note_blocked(True))
        self.connection.add_on_connection_unblocked_callback(lambda *_: self._note_blocked(False))

    def open_channel(self) -> Channel:
        """Open a channel in place of the last one, which is closed if it is still open."""
        if self.channel is not None and self.channel.is_open:
            self.channel.close()
        self.channel = self._channel_end = None
        opened = self._answer(lambda answer: self.connection.channel(on_open_callback=answer))
        opened.add_on_close_callback(self._on_channel_closed)
        self.channel = opened
        return opened

    def ask(self, method: Callable[..., object], *arguments: object, **options: object) -> Any:
        """Call one of the channel's methods and return the broker's answer to it.

        Raises
        ------
        pika.exceptions.ChannelClosedByBroker, pika.exceptions.AMQPConnectionError
            If the broker closes the channel, or the connection ends, before there is an answer.
        """
        return self._answer(lambda answer: method(*arguments, callback=answer, **options))

    def queue_declare(self, queue: str, **options: Any) -> Any:
        """Declare a queue, as a blocking channel does."""
        return self.ask(self._open_channel().queue_declare, queue, **options)

    def run(self) -> None:
        """Pass on what the broker sends, until `leave` is called.

        Raises
        ------
        pika.exceptions.ChannelClosedByBroker, pika.exceptions.AMQPConnectionError
            If the broker closes the channel, or the connection ends.
        """
        self._raise_if_ended()
        # Other code stops the loop, too: a connection that was given up and still has to close, for example.
        while not self._left:
            self._loop.start()
            self._raise_if_ended()
        self._left = False

    def leave(self) -> None:
        """End `run`, from one of the loop's own callbacks."""
        self._left = True
        self._loop.stop()

    def fail(self, reason: BaseException) -> None:
        """End `run` with an error, from one of the loop's own callbacks."""
        self._end = self._end or reason
        self._loop.stop()

    def pause(self, seconds: float) -> None:
        """Pass on what the broker sends, such as heartbeats, for the given seconds or until something happens."""
        timer = self._loop.call_later(seconds, self._loop.stop)
        self._loop.start()
        self._loop.remove_timeout(timer)

    def close(self) -> None:
        """Close the connection; calling it again has no effect."""
        if self.connection.is_open:
            self.connection.close()
        self._wait_until_closed()
        if not self.connection.is_closed:
            # A broker that is short of memory, or died silently, does not answer a close, and pika has no public way to
            # close without an answer.
            self.connection._terminate_stream(None)
            self._wait_until_closed()

    def _connected(self, nodes: list[pika.connection.Parameters]) -> pika.SelectConnection:
        outcome: list[Any] = []

        def done(result: object) -> None:
            outcome.append(result)
            self._loop.stop()

        try:
            pika.SelectConnection.create_connection(nodes, on_done=done, custom_ioloop=self._loop)
            while not outcome:
                self._loop.start()
        except (AMQPError, OSError, ValueError) as error:
            raise explained(error, nodes) from error
        if isinstance(outcome[0], BaseException):
            raise explained(outcome[0], nodes) from outcome[0]
        return outcome[0]

    def _answer(self, send: Callable[[Callable[[object], None]], object]) -> Any:
        answers: list[object] = []

        def take(answer: object) -> None:
            answers.append(answer)
            self._loop.stop()

        self._raise_if_ended()
        send(take)
        while not answers:
            self._loop.start()
            self._raise_if_ended()
        return answers[0]

    def _open_channel(self) -> Channel:
        if self.channel is None:
            raise AMQPConnectionError("the channel is closed")
        return self.channel

    def _raise_if_ended(self) -> None:
        # The end of the connection is the end of the channel, too.
        end = self._end or self._channel_end
        if end is not None:
            raise end
        if not self.connection.is_open:
            raise ConnectionWrongStateError("the connection is closed")

    def _wait_until_closed(self) -> None:
        timer = self._loop.call_later(CLOSE_SECONDS, self._loop.stop)
        until = time.monotonic() + CLOSE_SECONDS
        while not self.connection.is_closed and time.monotonic() < until:
            self._loop.start()
        self._loop.remove_timeout(timer)

    def _on_channel_closed(self, channel: Channel, reason: BaseException) -> None:
        if channel is self.channel:
            self._channel_end = reason
            self._loop.stop()

    def _on_connection_closed(self, connection: object, reason: BaseException) -> None:
        # pika passes on any error, such as a frame that it cannot read.
        lost = reason if isinstance(reason, AMQPConnectionError) else AMQPConnectionError(reason)
        self._end = self._end or lost
        self._loop.stop()

    def _note_blocked(self, blocked: bool) -> None:
        self.blocked, self.unblocked = blocked, time.monotonic()
