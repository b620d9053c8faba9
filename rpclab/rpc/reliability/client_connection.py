"""One connection of an `RpcClient`: the channel of its callback queue, and the channel of its requests."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import pika
from pika.adapters.select_connection import IOLoop
from pika.adapters.utils.connection_workflow import AMQPConnectionWorkflow
from pika.channel import Channel
from pika.exceptions import ChannelClosedByBroker, ConnectionClosedByBroker

from rpclab.broker import broker_errors
from rpclab.broker.connect import explained
from rpclab.errors import BrokerUnavailable, ConnectionLost, LabError, RequestRejected
from rpclab.rpc.protocol import DIRECT_REPLY_TO
from rpclab.rpc.reliability.publisher import Message, Publisher
from rpclab.rpc.reliability.queue_inspection import Inspection

if TYPE_CHECKING:
    from rpclab.rpc.pending_calls import PendingCalls
    from rpclab.rpc.reliability.client_session import ClientSession

CLOSE_SECONDS = 2.0
TOO_LARGE = re.compile(r"message size (\d+)")
LOST = "The connection to the broker was lost before the reply came."


class ClientConnection:
    """A connection from its opening to its end. All of it runs in the thread of the loop.

    Requests have their own channel. The broker closes the channel on which it refuses something, and the channel that
    replies come by should survive that. Direct reply-to is the exception: its replies come by the channel of the
    requests (https://www.rabbitmq.com/docs/direct-reply-to).

    Parameters
    ----------
    loop : IOLoop
        What it runs on.
    parameters : pika.connection.Parameters
        Where to connect.
    queue : str
        Where requests go.
    reply : str
        ``"exclusive"``, ``"direct"`` or the name of a callback queue.
    owner : ClientSession
        It is called with what happens to the connection.
    calls : PendingCalls
        They are called with replies, and what the broker did with requests.
    seconds : float
        Seconds that the opening may take.
    """

    def __init__(
        self, loop: IOLoop, parameters: pika.connection.Parameters, queue: str, reply: str, owner: ClientSession,
        calls: PendingCalls, seconds: float,
    ):
        self.where = f"{parameters.host}:{parameters.port}"
        self.open = False
        self.over = False
        self.blocked: str | None = None
        self.inspection: Inspection | None = None
        self._loop = loop
        self._parameters = parameters
        self._queue = queue
        self._reply = reply
        self.reply_to = ""
        self._is_closed = False
        self._owner = owner
        self._calls = calls
        self._publisher: Publisher | None = None
        self._waiting: list[Message] = []
        self._connection: pika.SelectConnection | None = None
        link = self

        class Opening(_Connection):
            """A connection that the link knows before it is open."""

            def __init__(self, *arguments: Any, **options: Any):
                super().__init__(*arguments, **options)
                link._connection = self

        # As pika does by itself: after one refusal it does not try the host's next address.
        self._opening = Opening.create_connection(
            [parameters], self._on_connected, custom_ioloop=loop,
            workflow=AMQPConnectionWorkflow(_until_first_amqp_attempt=True),
        )
        self._limit = loop.call_later(seconds, partial(self._took_too_long, seconds))

    def publish(self, message: Message) -> None:
        """Send a request, as soon as there is a channel for it."""
        if self._publisher and self._publisher.is_open:
            self._publisher.publish(message)
            return
        self._waiting.append(message)
        if len(self._waiting) == 1:
            self._open_publisher()

    def renew_publisher(self) -> None:
        """Publish on another channel from now on: a rejected channel may stay cut off from a queue that recovers."""
        if self._reply == "direct":
            self.end(ConnectionLost("The broker rejected a request, and the client connects again."))
        elif self._publisher:
            self._calls.resending.forgotten(self._publisher.forget())
            if self._publisher.is_open:
                self._publisher.close()
            self._publisher = None

    def end(self, error: LabError) -> None:
        """Give the connection up, and pass the reason to the owner."""
        self._give_up(error)
        self.close()

    def close(self) -> None:
        """Close the connection, within two seconds whatever the broker does."""
        self.over, self.open = True, False
        if self._is_closed:
            return
        if self._connection is None:
            # Not later: pika's abort fails once the handshake has begun, and closing the connection does not.
            self._opening.abort()
        elif not (self._connection.is_closing or self._connection.is_closed):
            self._connection.close()
            self._loop.call_later(CLOSE_SECONDS, self.abort)

    # Opening

    def _on_connected(self, connection: pika.SelectConnection | Exception | Callable[[], Exception]) -> None:
        if isinstance(connection, pika.SelectConnection):
            self._connected(connection)
        else:  # pika reports an aborted opening with a class
            error = connection if isinstance(connection, Exception) else connection()
            self._closed(explained(error, self._parameters))

    def _connected(self, connection: pika.SelectConnection) -> None:
        connection.add_on_close_callback(lambda _, reason: self._closed(_reason(reason)))
        connection.add_on_connection_blocked_callback(self._on_blocked)
        connection.add_on_connection_unblocked_callback(self._on_unblocked)
        if self.over:
            self.close()
            return
        self.inspection = Inspection(connection, self._queue)
        connection.channel(on_open_callback=self._on_reply_channel)
        if self._reply != "direct":
            self._open_publisher()

    def _on_reply_channel(self, channel: Channel) -> None:
        if self._reply == "direct":
            self._publish_on(channel)
        channel.add_on_close_callback(self._on_reply_channel_closed)
        channel.add_on_cancel_callback(self._on_cancel)
        if self._reply == "direct":
            self._consume(channel, DIRECT_REPLY_TO)
        elif self._reply == "exclusive":
            channel.queue_declare("", exclusive=True, callback=lambda ok: self._consume(channel, ok.method.queue))
        else:
            channel.queue_declare(self._reply, durable=True, callback=lambda ok: self._consume(channel, self._reply))

    def _consume(self, channel: Channel, queue: str) -> None:
        shared = queue == self._reply
        take = self._on_shared_reply if shared else self._on_reply
        channel.basic_consume(
            queue, take, auto_ack=not shared, callback=lambda _: self._on_consuming(queue)
        )

    def _on_consuming(self, queue: str) -> None:
        self.reply_to = queue
        self._open_if_complete()

    def _open_publisher(self) -> None:
        if self._connection and self._connection.is_open:
            self._connection.channel(on_open_callback=self._on_request_channel)

    def _on_request_channel(self, channel: Channel) -> None:
        if self.over:
            return
        publisher = self._publish_on(channel)
        self._open_if_complete()
        waiting, self._waiting = self._waiting, []
        for message in waiting:
            publisher.publish(message)

    def _publish_on(self, channel: Channel) -> Publisher:
        self._publisher = publisher = Publisher(channel, self._calls.on_outcome)
        publisher.select()
        channel.add_on_close_callback(partial(self._on_request_channel_closed, publisher))
        return publisher

    def _open_if_complete(self) -> None:
        if self.reply_to and self._publisher and not self.open and not self.over:
            self.open = True
            self._loop.remove_timeout(self._limit)
            self._owner.link_opened(self)

    def _took_too_long(self, seconds: float) -> None:
        self.end(BrokerUnavailable(
            f"{self.where} took more than {seconds:g} s to open a connection. The broker may be stopped or overloaded."
        ))

    # Open

    def _on_reply(
        self, channel: Channel, method: pika.spec.Basic.Deliver, properties: pika.BasicProperties, body: bytes
    ) -> None:
        self._calls.replied(properties, body)

    def _on_shared_reply(
        self, channel: Channel, method: pika.spec.Basic.Deliver, properties: pika.BasicProperties, body: bytes
    ) -> None:
        channel.basic_ack(method.delivery_tag)
        self._calls.replied(properties, body)

    def _on_blocked(self, connection: object, frame: pika.frame.Method) -> None:
        self.blocked = frame.method.reason
        self._calls.resending.blocked()

    def _on_unblocked(self, connection: object, frame: pika.frame.Method) -> None:
        self.blocked = None

    # Ending

    def _on_cancel(self, frame: pika.frame.Method) -> None:
        self.end(ConnectionLost(f"The callback queue {self.reply_to!r} was deleted; the next call makes a new one."))

    def _on_reply_channel_closed(self, channel: Channel, reason: Exception) -> None:
        if not isinstance(reason, ChannelClosedByBroker):
            return
        if not self.open:
            self.end(broker_errors.explained(reason, "Opening the callback queue"))
        else:
            self.end(ConnectionLost(f"The broker closed the channel of the callback queue ({reason.reply_text})."))

    def _on_request_channel_closed(self, publisher: Publisher, channel: Channel, reason: Exception) -> None:
        if not isinstance(reason, ChannelClosedByBroker):
            return
        unconfirmed = publisher.forget()
        too_large = TOO_LARGE.search(reason.reply_text)
        if too_large is None:
            self._calls.resending.refused(unconfirmed, broker_errors.explained(reason, "Publishing a request"))
            return
        # The broker names a request by its size alone. It took what came before, and did not look at what came after:
        # publish that again, on another channel.
        index = next((n for n, each in enumerate(unconfirmed) if len(each.body) == int(too_large[1])), 0)
        self._calls.resending.refused(unconfirmed[index:index + 1], RequestRejected(
            f"The broker rejected the request ({reason.reply_text}). Send less at once, for example where to find the "
            "data instead of the data; an administrator can raise max_message_size."
        ))
        self._calls.resending.overlooked(unconfirmed[index + 1:])

    def _give_up(self, error: LabError) -> None:
        if not self.over:
            self.over, self.open = True, False
            self._loop.remove_timeout(self._limit)
            self._owner.link_lost(self, error)

    def _closed(self, error: LabError) -> None:
        self._is_closed = True
        self._give_up(error)
        self._owner.link_closed(self)

    def abort(self) -> None:
        """Close the socket: a broker that is short of memory, or hangs, does not answer a close."""
        if self._connection and not self._connection.is_closed:
            # pika has no public way to close without an answer.
            self._connection._terminate_stream(None)


class _Connection(pika.SelectConnection):
    """Hands a message's frames to the operating system together: one system call instead of three for each request."""

    def _output_marshaled_frames(self, marshaled_frames: Sequence[bytes]) -> None:
        super()._output_marshaled_frames([b"".join(marshaled_frames)])


def _reason(reason: Exception) -> ConnectionLost:
    if isinstance(reason, ConnectionClosedByBroker):
        return ConnectionLost(
            f"The broker closed the connection before the reply came ({reason.reply_code} {reason.reply_text})."
        )
    return ConnectionLost(LOST)
