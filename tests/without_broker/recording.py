"""Bytes that really crossed a lab's connections, written down once, so that stories can be told without a broker.

``python tests/without_broker/recording.py`` makes the recordings again.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pika

import rpclab
from rpclab.story.story import Story
from rpclab.wire.events import Event, Link
from rpclab.wire.frames import FrameReader
from rpclab.wire.registry import Registry

FOLDER = Path(__file__).parent / "recordings"


def told(name: str) -> Story:
    """Return the story that a recording tells."""
    registry = Registry()
    story = Story(registry.shown, journal=registry.journal)
    replay(name, lambda event: story.take(registry.take(event)))
    return story


def replay(name: str, take: Callable[[Event], None], *, speed: float = 1) -> None:
    """Read a recording as the tap would have, with the times of then, or as many times faster."""
    pieces = json.loads((FOLDER / f"{name}.json").read_text())
    links, readers = {}, {}
    for moment, number, from_client, data in pieces:
        link = links.setdefault(number, Link(number))
        emit = lambda event, moment=moment: take(replace(event, time=moment / speed))  # noqa: E731  a name would add nothing
        reader = readers.setdefault((number, from_client), FrameReader(link, from_client, emit))
        reader._emit = emit
        if data is None:
            reader.close()
        else:
            reader.feed(bytes.fromhex(data))


@contextmanager
def recorded(name: str, password: str):
    """Write down all bytes that cross the tap while the block runs, but for the password."""
    secret = password.encode()
    pieces, feed, close = [], FrameReader.feed, FrameReader.close
    begun = time.monotonic()

    def note(reader: FrameReader, data: bytes | None) -> None:
        moment = round(time.monotonic() - begun, 6)
        pieces.append([moment, reader.link.number, reader.from_client, _hidden(data, secret)])

    FrameReader.feed = lambda reader, data: (note(reader, data), feed(reader, data))[1]
    FrameReader.close = lambda reader: (note(reader, None), close(reader))[1]
    try:
        yield
    finally:
        FrameReader.feed, FrameReader.close = feed, close
        (FOLDER / f"{name}.json").write_text("[\n" + ",\n".join(map(json.dumps, pieces)) + "\n]\n")


def _hidden(data: bytes | None, secret: bytes) -> str | None:
    return None if data is None else data.replace(secret, b"x" * len(secret)).hex()


class Napper(rpclab.RpcServer):
    """Sleeps as long as it is told, unless the request has been delivered before."""

    def __init__(self):
        super().__init__("naps")

    def handle(self, body: str) -> str:
        time.sleep(float(body))
        return "awake"


def make_all() -> None:
    with rpclab.Lab("recording") as lab:
        for make in (a_call, a_killed_worker, dead_letters_and_returns):
            with recorded(make.__name__, lab.broker.password):
                make(lab)


def a_call(lab: rpclab.Lab) -> None:
    with rpclab.Workers(rpclab.AdditionServer, count=1), rpclab.AddClient() as add:
        add.call(3, 5)
        lab.wait_for("addition", ready=0, unacked=0)


def a_killed_worker(lab: rpclab.Lab) -> None:
    with rpclab.Workers(Napper, count=1) as workers, rpclab.RpcClient("naps") as naps:
        future = naps.submit("1", timeout=20)
        lab.wait_for("naps", unacked=1)
        workers.kill(0)
        lab.wait_for("naps", ready=1)
        workers.scale(1)
        future.result()
        lab.wait_for("naps", ready=0, unacked=0)


def dead_letters_and_returns(lab: rpclab.Lab) -> None:
    channel = lab.connect("tester").channel()
    channel.confirm_delivery()
    channel.exchange_declare("events", "fanout")
    to_the_dead = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead"}
    channel.queue_declare("work", durable=True, arguments=to_the_dead)
    channel.queue_declare("copies", durable=True)
    channel.queue_declare("dead", durable=True)
    for queue in ("work", "copies"):
        channel.queue_bind(queue, "events")
    channel.basic_publish("events", "", "to both")
    for queue in ("work", "copies"):
        lab.wait_for(queue, ready=1)
    channel.basic_ack(channel.basic_get("copies")[0].delivery_tag)
    channel.basic_reject(channel.basic_get("work")[0].delivery_tag, requeue=False)
    lab.wait_for("dead", ready=1)
    channel.basic_get("dead", auto_ack=True)
    with suppress(pika.exceptions.UnroutableError):
        channel.basic_publish("", "nowhere", "lost", mandatory=True)


if __name__ == "__main__":
    make_all()
