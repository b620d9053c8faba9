"""The addition service of a check: replies in the order that the check wants, whatever the order of the requests."""

from __future__ import annotations

import time
from collections.abc import Container, Iterable, Sequence
from contextlib import suppress

import pika
from pika.adapters.blocking_connection import BlockingChannel
from pika.spec import Basic

from rpclab.course.evidence import delivered
from rpclab.course.findings import explain
from rpclab.course.running import Running
from rpclab.course.trial import Trial
from rpclab.course.verdict import Mistake
from rpclab.rpc.arithmetic import integers
from rpclab.rpc.protocol import ADDITION_QUEUE, DIRECT_REPLY_TO
from rpclab.wire.messages import Message

PATIENCE_SECONDS = 1.5
# Long enough that a client which does not wait finds nothing, and that it reads an unmatched reply by itself.
WORK_SECONDS = 0.15
BETWEEN_SECONDS = 0.25
UNMATCHED, UNMATCHED_BODY = "no request of yours", "999"

Asked = tuple[pika.BasicProperties, str, int]  # a request's properties, its body, its delivery tag


class AdditionService:
    """Consumes requests like ``"3,5"`` from the addition queue and answers them in batches.

    It runs on the check's own connection, whenever the check waits.

    Parameters
    ----------
    trial : Trial
        The check.
    orders : sequence of sequences of int, optional
        The order of the replies of each batch: ``[(2, 0, 1)]``. Without it, each request is answered by itself.
    unmatched : int
        How many unmatched replies to send, whose correlation id no request had: one every 0.25 s, the first as soon as
        a batch begins. Batches that begin during that time bring no more.
    unanswered : container of str
        Requests that get no reply, as those that it cannot read.
    patience : float
        Seconds that an incomplete batch waits for the next request before it is answered anyway.
    """

    def __init__(
        self, trial: Trial, orders: Sequence[Sequence[int]] = (), *, unmatched: int = 0,
        unanswered: Container[str] = (), patience: float = PATIENCE_SECONDS,
    ):
        self._channel = trial.channel
        self._orders = list(orders)
        self._unmatched = unmatched
        self._unmatched_until = 0.0
        self._unanswered = unanswered
        self._patience = patience
        self._waiting: list[Asked] = []
        self._later = trial.channel.connection.call_later
        self.one_by_one = False
        trial.declare(ADDITION_QUEUE)
        trial.channel.basic_consume(ADDITION_QUEUE, self._take)

    def _take(
        self, channel: BlockingChannel, method: Basic.Deliver, properties: pika.BasicProperties, body: bytes
    ) -> None:
        if properties.reply_to and not self._waiting:
            self._send_unmatched(properties.reply_to)
        self._waiting.append((properties, body.decode(errors="replace"), method.delivery_tag))
        count = len(self._waiting)
        if self._orders and count < len(self._orders[0]):
            self._later(self._patience, lambda: self._answer_those(count))
        else:
            order = self._orders.pop(0) if self._orders else (0,)
            batch, self._waiting = self._waiting, []
            self._later(WORK_SECONDS, lambda: self._answer(batch, order))

    def _answer_those(self, count: int) -> None:
        """Answer an incomplete batch if nothing has come since: the client waits for this before it sends more."""
        if len(self._waiting) == count:
            self.one_by_one = True
            self._orders.clear()
            batch, self._waiting = self._waiting, []
            self._answer(batch, range(count))

    def _answer(self, batch: list[Asked], order: Sequence[int]) -> None:
        for position in order:
            properties, body, tag = batch[position]
            with suppress(ValueError):
                if properties.reply_to and body not in self._unanswered:
                    self._reply(properties.reply_to, properties.correlation_id, str(sum(integers(body, 2))))
            self._channel.basic_ack(tag)

    def _send_unmatched(self, queue: str) -> None:
        if self._unmatched and time.monotonic() >= self._unmatched_until:
            self._unmatched_until = time.monotonic() + BETWEEN_SECONDS * (self._unmatched - 1)
            for number in range(self._unmatched):
                self._later(number * BETWEEN_SECONDS, lambda: self._reply(queue, UNMATCHED, UNMATCHED_BODY))

    def _reply(self, queue: str, correlation_id: str | None, body: str) -> None:
        properties = pika.BasicProperties(correlation_id=correlation_id)
        # With mandatory, the wire shows that a late reply found its queue deleted. The broker returns each mandatory
        # message to direct reply-to, which is no queue.
        mandatory = not queue.startswith(DIRECT_REPLY_TO)
        self._channel.basic_publish("", queue, body.encode(), properties, mandatory=mandatory)


def add_each(cls: type, pairs: Iterable[tuple[int, int]]) -> list:
    """Create a client, and return what its `add` returns for each pair; runs in a process."""
    client = cls()
    return [client.add(x, y) for x, y in pairs]


def first_request(trial: Trial, running: Running, body: str) -> Message:
    """Return a client's request, or raise a mistake: it has not reached the addition queue."""
    if request := trial.message(body, ADDITION_QUEUE):
        return request
    raise Mistake(f"No request `{body}` has reached the queue `{ADDITION_QUEUE}`. {explain(running)}")


def replies_taken(trial: Trial, sums: Iterable[int]) -> None:
    """Check that the service's replies were delivered to a client that has returned the right sums."""
    if not all(delivered(trial.story, str(total)) for total in sums):
        raise Mistake("`add` returned the right sums, and took no reply. Let the service do the work.")
