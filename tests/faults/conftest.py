from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pika
import pytest
from waiting import until

from rpclab import Lab


class Gate:
    """A file that a request names, and without which the worker that took the request goes on working."""

    def __init__(self, path: Path):
        self.path = path

    def held(self, word: str) -> str:
        """Return the body of a request that is worked on until the gate opens."""
        return f"{word} until {self.path}"

    def open(self) -> None:
        self.path.touch()


class Stranger:
    """A connection of somebody else: sends any message there can be and sees what comes back to its own queue."""

    def __init__(self, lab: Lab):
        self._connection = lab.connect("stranger")
        self.channel = self._connection.channel()
        # A confirmed message is in its queue: if the queue is empty afterwards, a worker has taken it.
        self.channel.confirm_delivery()
        self.queue = self.channel.queue_declare("", exclusive=True).method.queue
        self.replies: list[tuple[pika.BasicProperties, bytes]] = []
        self.channel.basic_consume(self.queue, self._take, auto_ack=True)

    def send(self, queue: str, body: bytes | str = b"", **properties) -> str:
        """Send a message that asks for an answer, unless its properties say otherwise, and return its id."""
        given = {"reply_to": self.queue, "correlation_id": str(uuid.uuid4()), **properties}
        self.channel.basic_publish("", queue, body, pika.BasicProperties(**given))
        return given["correlation_id"]

    def next_reply(self) -> tuple[pika.BasicProperties, bytes]:
        return self.wait_for_replies(1)[0]

    def wait_for_replies(self, count: int) -> list[tuple[pika.BasicProperties, bytes]]:
        """Return ``count`` replies, and forget them."""
        until(lambda: self._connection.process_data_events(0.1) or len(self.replies) >= count)
        taken, self.replies = self.replies[:count], self.replies[count:]
        return taken

    def _take(self, channel, method, properties: pika.BasicProperties, body: bytes) -> None:
        self.replies.append((properties, body))


@pytest.fixture
def gate(tmp_path) -> Iterator[Gate]:
    gate = Gate(tmp_path / "gate")
    yield gate
    gate.open()


@pytest.fixture
def stranger(lab) -> Stranger:
    return Stranger(lab)
