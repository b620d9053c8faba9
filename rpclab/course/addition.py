"""The addition service of a check: answers in the order that the check wants, not in that of the requests."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pika

from rpclab.course.trial import Trial
from rpclab.rpc.arithmetic import integers
from rpclab.rpc.queues import ADDITION_QUEUE

# How long requests that come one by one are waited for until those that are there are answered all the same.
PATIENCE_SECONDS = 1.5
# Long enough that a client which does not wait finds nothing.
WORK_SECONDS = 0.1
STRANGER = "nobody's question"

Asked = tuple[pika.BasicProperties, int, Callable[[], None]]  # its properties, its answer, its acknowledgement


class AdditionService:
    """Takes requests like ``"3,5"`` from the addition queue and answers them in batches.

    It runs on the check's own connection, whenever the check waits.

    Parameters
    ----------
    trial : Trial
        The check.
    orders : sequence of sequences of int, optional
        For each batch the order in which its requests are answered: ``[(2, 0, 1)]``. Without it, each at once.
    stray : bool
        Whether to send to each callback queue first a reply that answers nothing, with an unknown correlation id.
    """

    def __init__(self, trial: Trial, orders: Sequence[Sequence[int]] = (), *, stray: bool = False):
        self._channel = trial.channel
        self._orders = list(orders)
        self._stray = stray
        self._waiting: list[Asked] = []
        self._later = trial.channel.connection.call_later
        self.one_by_one = False
        trial.declare(ADDITION_QUEUE)
        trial.channel.basic_consume(ADDITION_QUEUE, self._take)

    def _take(self, channel, method, props: pika.BasicProperties, body: bytes) -> None:
        try:
            total = sum(integers(body.decode(errors="replace"), 2))
        except ValueError:
            channel.basic_ack(method.delivery_tag)
            return
        self._waiting.append((props, total, lambda: channel.basic_ack(method.delivery_tag)))
        if len(self._waiting) == (len(self._orders[0]) if self._orders else 1):
            order = self._orders.pop(0) if self._orders else (0,)
            batch, self._waiting = self._waiting, []
            self._later(WORK_SECONDS, lambda: self._answer(batch, order))
        else:
            count = len(self._waiting)
            self._later(PATIENCE_SECONDS, lambda: self._answer_those(count))

    def _answer_those(self, count: int) -> None:
        """Answer an incomplete batch, if nothing has come since: whoever asks waits for this before asking on."""
        if self._waiting and len(self._waiting) == count:
            self.one_by_one = True
            self._orders.clear()
            batch, self._waiting = self._waiting, []
            self._answer(batch, range(count))

    def _answer(self, batch: list[Asked], order: Sequence[int]) -> None:
        if self._stray and batch[0][0].reply_to:
            self._reply(batch[0][0].reply_to, STRANGER, 999)
        for position in order:
            props, total, acknowledge = batch[position]
            if props.reply_to:
                self._reply(props.reply_to, props.correlation_id, total)
            acknowledge()

    def _reply(self, queue: str, correlation_id: str | None, total: int) -> None:
        properties = pika.BasicProperties(correlation_id=correlation_id)
        self._channel.basic_publish("", queue, str(total), properties, mandatory=True)
