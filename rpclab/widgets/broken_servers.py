"""Addition servers with one mistake each, for the control room: in the case study's plain form, so that one sees it."""

from __future__ import annotations

from abc import abstractmethod

import pika

from rpclab.rpc.arithmetic import integers
from rpclab.rpc.queues import ADDITION_QUEUE
from rpclab.rpc.server import BaseServer


class _Broken(BaseServer):
    def __init__(self):
        super().__init__(ADDITION_QUEUE)

    def on_request(self, ch, method, props, body) -> None:
        x, y = integers(body.decode(), 2)
        print(f" [.] {x} + {y}", flush=True)
        self.answer(ch, method, props, str(x + y))

    @abstractmethod
    def answer(self, ch, method, props, result: str) -> None:
        """Reply and acknowledge, or what this server takes for it."""


class ForgetfulServer(_Broken):
    """Replies and does not acknowledge."""

    def answer(self, ch, method, props, result: str) -> None:
        """Reply."""
        reply(ch, props.reply_to, props.correlation_id, result)


class RepetitiveServer(_Broken):
    """Replies twice."""

    def answer(self, ch, method, props, result: str) -> None:
        """Reply, reply again, and acknowledge."""
        for _ in range(2):
            reply(ch, props.reply_to, props.correlation_id, result)
        ch.basic_ack(method.delivery_tag)


class ConfusedServer(_Broken):
    """Replies with a correlation id that nobody has sent."""

    def answer(self, ch, method, props, result: str) -> None:
        """Reply to some other question, and acknowledge."""
        reply(ch, props.reply_to, "not the one you sent", result)
        ch.basic_ack(method.delivery_tag)


def reply(ch, reply_to: str, correlation_id: str, result: str) -> None:
    """Publish an answer."""
    ch.basic_publish("", reply_to, result, pika.BasicProperties(correlation_id=correlation_id))
