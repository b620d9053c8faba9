"""A server that opens its channel and connection again when they end, until it should stop."""

from __future__ import annotations

import re
import threading
from abc import abstractmethod
from collections.abc import Callable

import pika
from pika.adapters.select_connection import IOLoop
from pika.channel import Channel
from pika.exceptions import AMQPConnectionError, ChannelClosed, ChannelClosedByBroker, StreamLostError

from rpclab.broker import broker_errors
from rpclab.errors import BrokerUnavailable, QueueNotFound, QueueUnavailable
from rpclab.rpc.reliability.backoff import Backoff
from rpclab.rpc.reliability.reply_queues import served
from rpclab.rpc.reliability.server_connection import ServerConnection
from rpclab.rpc.server import BaseServer, whoami

CHANNEL_SECONDS = (0.0, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
CALM_SECONDS = 10.0
RECONNECT_SECONDS = (0.1, 0.2, 0.5, 1, 2, 2, 5, 5, 10, 10, 10)
LEAVE_SECONDS = 0.01
# pika keeps only the text of an error.
OF_THE_NETWORK = re.compile(r"(Connection\w+|BrokenPipe|OS|Timeout|SSL\w*)Error\(")


class RecoveringServer(BaseServer):
    """Consumes from a queue over an asynchronous connection, and recovers its channel, connection and queue.

    A subclass prepares a channel, keeps the requests whose channel is lost, and knows whether all are finished.

    Parameters
    ----------
    queue_name : str
        The queue to consume from.
    nodes : list of pika.connection.Parameters
        Where to connect: to the first that answers.
    """

    connection: pika.SelectConnection
    channel: Channel | None  # type: ignore[assignment]

    def __init__(self, queue_name: str, nodes: list[pika.connection.Parameters]):
        self.queue_name = queue_name
        self._nodes = nodes
        self._loop = IOLoop()
        self._backoff = Backoff(CHANNEL_SECONDS, CALM_SECONDS)
        self._stopping = threading.Event()
        self._on_consuming: Callable[[], None] | None = None

    @abstractmethod
    def _prepare(self, link: ServerConnection, channel: Channel) -> None:
        """Declare the queues on a channel that was just opened."""

    @abstractmethod
    def _lose(self, reason: BaseException) -> None:
        """Keep the unfinished requests of an ended channel for the next one."""

    @abstractmethod
    def _is_done(self) -> bool:
        """Return whether no request is in hand."""

    @abstractmethod
    def _give_up(self) -> None:
        """Close everything but the connection."""

    def _connect(self) -> None:
        """Open a connection and its channel."""
        self._link = ServerConnection(self._nodes, self._loop)
        self.connection = self._link.connection
        try:
            self._open_channel()
        except BaseException:
            self._link.close()
            raise

    def start(self) -> None:
        """Consume until `stop` is called, on new channels and connections if necessary, then close the connection.

        Raises
        ------
        BrokerUnavailable
            If a lost connection cannot be opened again within about a minute.
        """
        try:
            with served(self._nodes[0].virtual_host, self.queue_name):
                while not self._stopping.is_set():
                    self._serve()
        finally:
            self._give_up()
            self._link.close()
            self._loop.close()

    def stop(self) -> None:
        """End `start` when all requests in hand have their replies; may be called from any thread."""
        self._stopping.set()
        self._loop.add_callback_threadsafe(self._cancel)

    def when_consuming(self, callback: Callable[[], None]) -> None:
        """Call a function whenever the server begins to consume, on its first connection and on later ones.

        Parameters
        ----------
        callback : callable
            Takes no arguments. It is called in the thread of `start`.
        """
        self._on_consuming = callback

    def _serve(self) -> None:
        """Consume until `stop` is called or the channel ends, and prepare for the next one."""
        try:
            self._consume(self.channel or self._open_channel())
        except ChannelClosed as end:
            self._lose_channel(end)
            self._go_on_after(end)
        except AMQPConnectionError as error:
            self._lose_channel(error)
            if not self._stopping.is_set():
                print(f" [!] connection lost ({_reason(error)}): connecting again", flush=True)
                self._link.close()
                self._reconnect()
        except QueueUnavailable as error:
            self._lose_channel(error)
            if not self._stopping.is_set():
                print(f" [!] the node of queue '{self.queue_name}' is down: waiting for it", flush=True)
                self._link.close()
                self._reconnect()

    def _open_channel(self) -> Channel:
        channel = self._link.open_channel()
        channel.add_on_cancel_callback(lambda _: self._link.leave())
        self._prepare(self._link, channel)
        self.channel = channel
        return channel

    def _lose_channel(self, reason: BaseException) -> None:
        self.channel = None
        self._lose(reason)

    def _go_on_after(self, end: ChannelClosed) -> None:
        if self._stopping.is_set():
            return
        pause = self._backoff.next()
        if isinstance(end, ChannelClosedByBroker):
            when = f" in {pause:g} s" if pause else ""
            print(f" [!] {broker_errors.explained(end)} Going on with a new channel{when}.", flush=True)
        if pause:
            self._link.pause(pause)

    def _reconnect(self) -> None:
        # The first pause grows if connections were lost repeatedly, the others while the broker is away.
        for delay in (max(self._backoff.next(), RECONNECT_SECONDS[0]), *RECONNECT_SECONDS[1:]):
            if self._stopping.wait(delay):
                return
            try:
                self._connect()
            except (BrokerUnavailable, QueueUnavailable, AMQPConnectionError):
                continue
            return
        raise BrokerUnavailable(
            f"The server on queue {self.queue_name!r} gives up: the broker did not return. Start it again when the "
            "broker runs."
        )

    def _consume(self, channel: Channel) -> None:
        """Consume until all is finished after `stop`, or the broker ends the consumer."""

        def consume(callback: Callable[[object], None]) -> None:

            def begin(ok: object) -> None:
                self._announce()
                callback(ok)

            channel.basic_consume(self.queue_name, self._delivered, callback=begin)

        self._link.ask(consume)
        self._link.run()
        if not self._stopping.is_set():
            self._find_why_the_consumer_ended(channel)

    def _delivered(
        self, ch: Channel, method: pika.spec.Basic.Deliver, properties: pika.BasicProperties, body: bytes
    ) -> None:
        try:
            self.on_request(ch, method, properties, body)
        except BaseException as error:  # noqa: BLE001  pika would close the connection
            self._link.fail(error)

    def _find_why_the_consumer_ended(self, channel: Channel) -> None:
        """Give up the channel, because it is not known what the broker still counts as unacked there."""
        try:
            self._link.ask(channel.queue_declare, self.queue_name, passive=True)
        except ChannelClosedByBroker as end:
            error = broker_errors.explained(end)
            if isinstance(error, QueueUnavailable):
                # RabbitMQ 4 needs a minute to say so, and would need another one for the declaration.
                raise error from end
            if isinstance(error, QueueNotFound):
                print(f" [!] queue '{self.queue_name}' was deleted: declaring it again", flush=True)
            self._lose_channel(end)
        else:
            print(f" [!] the broker ended the consumer of queue '{self.queue_name}': consuming again", flush=True)
            self._lose_channel(ChannelClosed(0, "consumer cancelled"))
            self._link.pause(self._backoff.next())

    def _cancel(self) -> None:
        channel = self._link.channel
        if channel is not None and channel.is_open:
            for tag in channel.consumer_tags:
                channel.basic_cancel(tag, callback=lambda _: None)
        self._leave_when_done()

    def _leave_when_done(self) -> None:
        if self._is_done():
            self._link.leave()
        else:
            self._loop.call_later(LEAVE_SECONDS, self._leave_when_done)

    def _announce(self) -> None:
        # In one write, with the line end: several servers may share one output.
        print(f" [x] Server {whoami()} started on queue '{self.queue_name}'\n", end="", flush=True)
        if self._on_consuming:
            self._on_consuming()


def _reason(error: AMQPConnectionError) -> str:
    """Return the name of an error, and what pika could not read if it closed the connection for that."""
    said = str(error.args[0]) if error.args else ""
    unread = isinstance(error, StreamLostError) and "Error(" in said and not OF_THE_NETWORK.search(said)
    return type(error).__name__ + (f": pika cannot read what was sent, {said.partition(': ')[2]}" if unread else "")
