"""Addition servers with one bug each, for the control room: in the case study's plain form, to show the bug."""

from __future__ import annotations

from abc import abstractmethod

import pika
from pika.adapters.blocking_connection import BlockingChannel
from pika.spec import Basic

from rpclab.rpc.arithmetic import integers
from rpclab.rpc.protocol import ADDITION_QUEUE
from rpclab.rpc.server import BaseServer


class BrokenServer(BaseServer):
    """Adds two integers in the case study's plain form; a subclass replies and acknowledges, or fails to."""

    def __init__(self) -> None:
        super().__init__(ADDITION_QUEUE)

    def on_request(
        self, ch: BlockingChannel, method: Basic.Deliver, properties: pika.BasicProperties, body: bytes
    ) -> None:
        """Add, and answer."""
        x, y = integers(body.decode(), 2)
        print(f" [.] {x} + {y}", flush=True)
        self.answer(ch, method, properties, str(x + y))

    @abstractmethod
    def answer(
        self, ch: BlockingChannel, method: Basic.Deliver, properties: pika.BasicProperties, result: str
    ) -> None:
        """Reply and acknowledge, or do what this server does instead."""


class ForgetfulServer(BrokenServer):
    """Replies and does not acknowledge."""

    def answer(
        self, ch: BlockingChannel, method: Basic.Deliver, properties: pika.BasicProperties, result: str
    ) -> None:
        """Reply."""
        reply(ch, properties.reply_to, properties.correlation_id, result)


class RepetitiveServer(BrokenServer):
    """Replies twice."""

    def answer(
        self, ch: BlockingChannel, method: Basic.Deliver, properties: pika.BasicProperties, result: str
    ) -> None:
        """Reply, reply again, and acknowledge."""
        for _ in range(2):
            reply(ch, properties.reply_to, properties.correlation_id, result)
        ch.basic_ack(method.delivery_tag)


class ConfusedServer(BrokenServer):
    """Replies with a correlation id that no client has sent."""

    def answer(
        self, ch: BlockingChannel, method: Basic.Deliver, properties: pika.BasicProperties, result: str
    ) -> None:
        """Reply with another correlation id, and acknowledge."""
        reply(ch, properties.reply_to, "not the one you sent", result)
        ch.basic_ack(method.delivery_tag)


def reply(ch: BlockingChannel, reply_to: str, correlation_id: str, result: str) -> None:
    """Publish a reply."""
    ch.basic_publish("", reply_to, result.encode(), pika.BasicProperties(correlation_id=correlation_id))
