"""Servers with a fault each, to see whether the sweep finds it.

They have a module of their own, without pytest, so that a worker process that imports it starts quickly.
"""

from __future__ import annotations

import pika

from rpclab import BaseServer
from rpclab.broker import tls
from rpclab.broker.connect import connect
from rpclab.broker.environment import named
from rpclab.sweep.cases import Setup
from rpclab.sweep.server import QUEUE, BookingServer, answer, write_line


class Correct(BaseServer):
    """What the faulty ones are made of: works, replies, waits until the broker has the reply, and acknowledges."""

    def __init__(self, url: str, book: str, setup: Setup):
        super().__init__(QUEUE, parameters=named(tls.parameters(url)))
        self.channel.confirm_delivery()
        self.book = book

    def on_request(self, ch, method, properties, body) -> None:
        self.work(body.decode())
        self.reply(ch, properties, body.decode())
        ch.basic_ack(method.delivery_tag)

    def work(self, body: str) -> None:
        write_line(self.book, body)

    def reply(self, ch, properties, body: str) -> None:
        same_id = pika.BasicProperties(correlation_id=properties.correlation_id)
        ch.basic_publish("", properties.reply_to, answer(body), same_id)


class AcknowledgesFirst(Correct):
    """Loses a request with its process."""

    def on_request(self, ch, method, properties, body) -> None:
        ch.basic_ack(method.delivery_tag)
        self.work(body.decode())
        self.reply(ch, properties, body.decode())


class DoesNotWaitForTheConfirm(Correct):
    """Replies by a channel without confirms."""

    def __init__(self, url: str, book: str, setup: Setup):
        super().__init__(url, book, setup)
        self.replies = self.connection.channel()

    def reply(self, ch, properties, body: str) -> None:
        super().reply(self.replies, properties, body)


class RepliesUnderAnotherId(Correct):
    """Has its client wait in vain."""

    def reply(self, ch, properties, body: str) -> None:
        properties.correlation_id = "another"
        super().reply(ch, properties, body)


class RepliesSomethingElse(Correct):
    """Replies with an answer that belongs to another request."""

    def reply(self, ch, properties, body: str) -> None:
        super().reply(ch, properties, f"{body} of another")


class LosesWhatComesAgain(Correct):
    """Acknowledges what was delivered before, unseen."""

    def on_request(self, ch, method, properties, body) -> None:
        if method.redelivered:
            ch.basic_ack(method.delivery_tag)
        else:
            super().on_request(ch, method, properties, body)


class DoesNoWork(Correct):
    """Replies and does nothing."""

    def work(self, body: str) -> None:
        pass


class HoldsOn(Correct):
    """Replies, and does not acknowledge."""

    def __init__(self, url: str, book: str, setup: Setup):
        super().__init__(url, book, setup)
        self.channel.basic_qos(prefetch_count=0)

    def on_request(self, ch, method, properties, body) -> None:
        self.work(body.decode())
        self.reply(ch, properties, body.decode())


class LeavesAConnection(Correct):
    """Opens a connection that it does not close."""

    left: list = []

    def __init__(self, url: str, book: str, setup: Setup):
        super().__init__(url, book, setup)
        self.left.append(connect(named(tls.parameters(url)), "left over"))


class LeavesAQueue(Correct):
    """Declares a queue for each request."""

    def reply(self, ch, properties, body: str) -> None:
        ch.queue_declare(f"{body} left over", durable=True)
        super().reply(ch, properties, body)


class Forgets(BookingServer):
    """Says that it remembers, and works without."""

    def __init__(self, url: str, book: str, setup: Setup):
        super().__init__(url, book, Setup("plain", setup.queue_type))


class WorksTwice(Correct):
    """Does all of its work twice."""

    def work(self, body: str) -> None:
        super().work(body)
        super().work(body)
