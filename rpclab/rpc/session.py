"""One connection of an `RpcClient`, owned by one thread, from its opening to its end."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from functools import partial
from itertools import takewhile

import pika

from rpclab.broker import refusals
from rpclab.broker.connect import explained
from rpclab.errors import Blocked, BrokerUnavailable, ConnectionLost, LabError, RpcTimeout, UnroutableError
from rpclab.rpc.queues import DIRECT_REPLY_TO
from rpclab.rpc.stats import Stats

# A header of requests that were sent before.
RESENT = "x-rpclab-resent"

OPEN_SECONDS = 10
CLOSE_SECONDS = 2


class Session:
    """An open connection with its channel and callback queue.

    Parameters
    ----------
    parameters : pika.connection.Parameters
        Where to connect.
    reply : str
        ``"exclusive"``, ``"direct"`` or the name of a callback queue.
    read : callable
        Takes a reply's properties and body; returns the result or raises the error that the reply stands for.
    stats : Stats
        Where to count.
    retry : float, optional
        Seconds after which a request without an answer is sent again, and then after twice as long each time.
    on_lost : callable, optional
        Takes the calls that wait when the connection is lost, instead of their failing.

    Raises
    ------
    BrokerUnavailable, BrokerRefused, LabError
        If the connection does not come about.
    """

    def __init__(
        self, parameters: pika.connection.Parameters, reply: str, read: Callable, stats: Stats, *,
        retry: float | None = None, on_lost: Callable[[list[Future]], None] | None = None,
    ):
        self.alive = True
        self.reply_to = ""
        self._parameters = parameters
        self._reply = reply
        self._read = read
        self._stats = stats
        self._pending: dict[str, Future] = {}
        self._timers: dict[str, object] = {}
        self._retry = retry
        self._retries: dict[str, object] = {}
        self._for_others: set[str] = set()
        self._published = 0
        self._unconfirmed: dict[int, str] = {}
        self._on_lost = on_lost
        self._lock = threading.Lock()
        self._outbox: list[Callable[[], None]] = []
        self._waking = False
        self._opened: Future = Future()
        self._end: LabError = ConnectionLost("The connection to the broker was lost before the reply came.")
        self._blocked: str | None = None
        self._channel: pika.channel.Channel | None = None
        self._connection = pika.SelectConnection(
            parameters,
            on_open_callback=lambda connection: connection.channel(on_open_callback=self._on_channel),
            on_open_error_callback=lambda _, error: self._finish(explained(_cause(error), parameters)),
            on_close_callback=lambda _, reason: self._finish(self._end),
        )
        self._connection.add_on_connection_blocked_callback(self._on_blocked)
        self._connection.add_on_connection_unblocked_callback(self._on_unblocked)
        self._thread = threading.Thread(target=self._run, name="rpclab client", daemon=True)
        self._thread.start()
        try:
            self._opened.result(OPEN_SECONDS)
        except FutureTimeout:
            self.close(ConnectionLost("The connection did not open in time."))
            raise BrokerUnavailable(f"{parameters.host}:{parameters.port} took more than {OPEN_SECONDS} s.") from None

    def request(self, queue: str, call: Future) -> None:
        """Send a call's request; its future gets the outcome."""
        self._start(call, partial(self._send, queue, call))

    def publish(self, queue: str, body: str, properties: pika.BasicProperties, sent: Future) -> None:
        """Send a message whose answer is not for this client; the future tells when it is on its way."""
        self._for_others.add(sent.correlation_id)
        self._start(sent, partial(self._send_for_another, queue, body, properties, sent))

    def close(self, reason: LabError) -> None:
        """Close the connection; calls that wait get the reason."""
        if not self.alive:
            return
        self._end = reason
        self._connection.ioloop.add_callback_threadsafe(self._close_connection)
        if threading.current_thread() is self._thread:
            return
        self._thread.join(CLOSE_SECONDS)
        if self._thread.is_alive():
            # A broker that is short of memory, or gone without a word, does not answer that we leave, and pika has no
            # public way to leave without an answer.
            self._connection.ioloop.add_callback_threadsafe(partial(self._connection._terminate_stream, None))
            self._thread.join(OPEN_SECONDS)

    def _start(self, call: Future, action: Callable[[], None]) -> None:
        """Have a request sent by the connection's thread, which is woken once for many."""
        with self._lock:
            if not self.alive:
                raise self._end
            self._pending[call.correlation_id] = call
            self._outbox.append(action)
            wake, self._waking = not self._waking, True
        if wake:
            self._connection.ioloop.add_callback_threadsafe(self._empty_outbox)

    # What follows runs in the connection's own thread.

    def _run(self) -> None:
        try:
            self._connection.ioloop.start()
        except Exception as error:  # noqa: BLE001  whatever it was, nobody may be left waiting
            self._end = explained(error, self._parameters)
            if self._opened.done():
                self._end = ConnectionLost(f"The connection broke: {error!r}")
        finally:
            self._finish(self._end)
            self._connection.ioloop.close()

    def _empty_outbox(self) -> None:
        with self._lock:
            actions, self._outbox = self._outbox, []
            self._waking = False
        for action in actions:
            action()

    def _on_channel(self, channel: pika.channel.Channel) -> None:
        self._channel = channel
        channel.add_on_close_callback(self._on_channel_closed)
        channel.add_on_return_callback(self._on_return)
        channel.add_on_cancel_callback(self._on_cancel)
        if self._retry:
            channel.confirm_delivery(self._on_confirm)
        if self._reply == "direct":
            self._consume(DIRECT_REPLY_TO, auto_ack=True)
        elif self._reply == "exclusive":
            channel.queue_declare("", exclusive=True, callback=lambda ok: self._consume(ok.method.queue, auto_ack=True))
        else:
            channel.queue_declare(self._reply, durable=True, callback=lambda ok: self._consume(self._reply))

    def _consume(self, queue: str, *, auto_ack: bool = False) -> None:
        self.reply_to = queue
        self._channel.basic_consume(
            queue, self._on_reply, auto_ack=auto_ack, callback=lambda _: self._opened.set_result(None)
        )

    def _send(self, queue: str, call: Future) -> None:
        if call.cancelled():
            self._pending.pop(call.correlation_id)
            return
        if self._blocked is not None:
            self._pending.pop(call.correlation_id).set_exception(self._blocked_error())
            return
        self._timers[call.correlation_id] = self._connection.ioloop.call_later(
            max(0, call.sent + call.timeout - time.monotonic()), partial(self._on_deadline, call.correlation_id)
        )
        self._publish_request(queue, call, self._retry)

    def _publish_request(self, queue: str, call: Future, pause: float | None) -> None:
        again = call.times_sent > 0
        call.times_sent += 1
        self._stats.sent += not again
        self._stats.resent += again
        seconds = call.sent + call.timeout - time.monotonic() if again else call.timeout
        self._channel_publish(queue, call.body, pika.BasicProperties(
            reply_to=self.reply_to,
            correlation_id=call.correlation_id,
            content_type="text/plain",
            # A request that nobody waits for any more is not worth a worker's time.
            expiration=str(max(1, int(seconds * 1000))),
            delivery_mode=pika.DeliveryMode.Persistent.value if self._retry else None,
            headers={RESENT: call.times_sent - 1} if again else None,
        ))
        if self._retry:
            self._retries[call.correlation_id] = self._connection.ioloop.call_later(
                # Twice as long each time: requests that are only slow must not be buried under copies of themselves.
                pause, partial(self._send_again, queue, call, 2 * pause)
            )

    def _send_again(self, queue: str, call: Future, pause: float) -> None:
        if call.cancelled():
            self._settled(call.correlation_id, "timed out")
        elif call.correlation_id in self._unconfirmed.values():
            self._begin_anew()
        elif self._channel.is_open:
            self._publish_request(queue, call, pause)

    def _on_confirm(self, frame) -> None:
        """Take note of what the broker has got; what it has not got, it will not take by this channel."""
        tag = frame.method.delivery_tag
        confirmed = list(takewhile(lambda each: each <= tag, self._unconfirmed)) if frame.method.multiple else [tag]
        for each in confirmed:
            self._unconfirmed.pop(each, None)
        if isinstance(frame.method, pika.spec.Basic.Nack):
            self._begin_anew()

    def _begin_anew(self) -> None:
        # A channel that published to a quorum queue without a leader stays cut off from it when there is one again.
        self._end = ConnectionLost("The broker did not take a request in time: its queue may have no leader.")
        self._close_connection()

    def _send_for_another(self, queue: str, body: str, properties: pika.BasicProperties, sent: Future) -> None:
        self._channel_publish(queue, body, properties)
        self._for_others.discard(properties.correlation_id)
        self._pending.pop(properties.correlation_id).set_result(None)

    def _channel_publish(self, queue: str, body: str, properties: pika.BasicProperties) -> None:
        if self._retry:
            self._published += 1
            self._unconfirmed[self._published] = properties.correlation_id
        # Mandatory: without a queue that takes it, the broker sends the message back instead of dropping it.
        self._channel.basic_publish("", queue, body.encode(), properties, mandatory=True)

    def _on_reply(self, channel, method, properties: pika.BasicProperties, body: bytes) -> None:
        if self.reply_to == self._reply:
            channel.basic_ack(method.delivery_tag)
        call = self._settled(properties.correlation_id, "answered")
        if call is None:
            self._stats.count_stray(properties.correlation_id)
            return
        call.worker = (properties.headers or {}).get("worker")
        try:
            result = self._read(properties, body)
        except LabError as error:
            self._stats.failed += 1
            call.set_exception(error)
        else:
            self._stats.answered += 1
            call.set_result(result)

    def _on_return(self, channel, method, properties: pika.BasicProperties, body: bytes) -> None:
        self._stats.returned += 1
        call = self._settled(properties.correlation_id, "returned")
        if call:
            call.set_exception(UnroutableError(
                f"There is no queue {method.routing_key!r}, so nobody can get this request. Start the server that "
                "declares it; lab.queues() shows which queues there are, and whether the node of one is down."
            ))

    def _on_deadline(self, correlation_id: str) -> None:
        call = self._settled(correlation_id, "timed out")
        if call:
            self._stats.timed_out += 1
            call.set_exception(RpcTimeout(f"No reply within {call.timeout:g} s."))

    def _settled(self, correlation_id: str | None, how: str) -> Future | None:
        """Take a call off the list and remember for a while what became of it."""
        call = self._pending.pop(correlation_id, None)
        if call:
            for timers in (self._timers, self._retries):
                if correlation_id in timers:
                    self._connection.ioloop.remove_timeout(timers.pop(correlation_id))
            self._stats.remember(correlation_id, how)
        return call

    def _on_blocked(self, connection, frame) -> None:
        """Fail what waits: the broker has stopped reading from this connection, and will not say for how long."""
        self._blocked = frame.method.reason
        for correlation_id in list(self._timers):
            self._settled(correlation_id, "timed out").set_exception(self._blocked_error())

    def _on_unblocked(self, connection, frame) -> None:
        self._blocked = None

    def _blocked_error(self) -> Blocked:
        return Blocked(
            f"The broker takes no messages at present ({self._blocked}). It goes on when it has memory or disk space "
            "again; `rabbitmqctl status` shows its alarms."
        )

    def _on_cancel(self, frame) -> None:
        self._end = ConnectionLost(f"The callback queue {self.reply_to!r} was deleted; the next call makes a new one.")
        self._close_connection()

    def _on_channel_closed(self, channel, reason: Exception) -> None:
        if isinstance(reason, pika.exceptions.ChannelClosedByBroker):
            self._end = refusals.explained(reason, "A call ended")
            self._close_connection()

    def _close_connection(self) -> None:
        if self._connection.is_open:
            self._connection.close()
        elif self._connection.is_closed:
            self._finish(self._end)

    def _finish(self, reason: LabError) -> None:
        """Settle all that waits, once, and let the thread end."""
        with self._lock:
            self.alive, self._end = False, reason
            unsettled = list(self._pending.values())
            self._pending.clear()
        if not self._opened.done():
            self._opened.set_exception(reason)
        self._connection.ioloop.stop()
        again = []
        for call in unsettled:
            if self._on_lost and isinstance(reason, ConnectionLost) and call.correlation_id not in self._for_others:
                again.append(call)
            else:
                fail(call, reason)
        if again:
            self._on_lost(again)


def fail(call: Future, reason: LabError) -> None:
    """End a call with an error of its own: one that several threads raise would collect the tracebacks of all."""
    call.set_exception(type(reason)(*reason.args))


def _cause(error: BaseException) -> BaseException:
    """Return the reason behind pika's list of failed connection attempts."""
    while getattr(error, "exceptions", None):
        error = error.exceptions[-1]
    return error
