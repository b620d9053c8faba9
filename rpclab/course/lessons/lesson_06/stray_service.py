"""The addition service of this lesson's checks: each answer takes a moment, and strays come in between."""

from __future__ import annotations

from collections.abc import Container

import pika

from rpclab.course.trial import Trial
from rpclab.rpc.arithmetic import integers
from rpclab.rpc.queues import ADDITION_QUEUE

# Long enough that what comes at once is read by itself, before the answer.
WORK_SECONDS = 0.15
STRAY_SECONDS = 0.25
STRANGER, STRAY = "not yours", "999"


class StrayService:
    """Takes requests like ``"3,5"`` and answers them; before it does, a stray comes to the callback queue.

    It runs on the check's own connection, whenever the check waits.

    Parameters
    ----------
    trial : Trial
        The check.
    strays : int
        How many strays come, one every 0.25 s, the first as soon as the request is there. Requests that come
        meanwhile bring none of their own.
    unanswered : container of str
        Questions that are acknowledged and never answered.
    """

    def __init__(self, trial: Trial, *, strays: int = 1, unanswered: Container[str] = ()):
        self._channel = trial.channel
        self._later = trial.channel.connection.call_later
        self._strays = strays
        self._left = 0
        self._unanswered = unanswered
        trial.declare(ADDITION_QUEUE)
        trial.channel.basic_consume(ADDITION_QUEUE, self._take, auto_ack=True)

    def _take(self, channel, method, props: pika.BasicProperties, body: bytes) -> None:
        question = body.decode(errors="replace")
        if not props.reply_to:
            return
        if not self._left:
            self._left = self._strays
            self._stray(props.reply_to)
        try:
            total = sum(integers(question, 2))
        except ValueError:
            return
        if question not in self._unanswered:
            self._later(WORK_SECONDS, lambda: self._reply(props.reply_to, props.correlation_id, str(total)))

    def _stray(self, queue: str) -> None:
        self._left -= 1
        self._reply(queue, STRANGER, STRAY)
        if self._left:
            self._later(STRAY_SECONDS, lambda: self._stray(queue))

    def _reply(self, queue: str, correlation_id: str | None, body: str) -> None:
        properties = pika.BasicProperties(correlation_id=correlation_id)
        # Mandatory, so that the wire shows of a reply that came too late that its queue was gone. Direct reply-to is
        # no queue, and not to be asked for that.
        mandatory = not queue.startswith("amq.rabbitmq.reply-to")
        self._channel.basic_publish("", queue, body, properties, mandatory=mandatory)
