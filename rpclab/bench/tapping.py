"""The cost of the tap."""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median
from urllib.parse import urlsplit

import psutil

from rpclab.bench.measure import Scale, alternately, seconds
from rpclab.bench.pika_baseline import RawClient
from rpclab.bench.report import Row
from rpclab.bench.servers import InlineServer
from rpclab.bench.speed import one_by_one, together
from rpclab.broker import tls
from rpclab.broker.find import at
from rpclab.lab import Lab
from rpclab.rpc.workers import Workers
from rpclab.story.story import Story
from rpclab.watch.options import LOOPBACK
from rpclab.watch.target import Target
from rpclab.wire.events import Event

DIRECT = "bench.direct"
TAPPED = "bench.tapped"
ADDED_MILLISECONDS = 0.6
BURST_PER_SECOND = 3000
GROWTH_MIB = 1.0
STORY_SECONDS = 1.0
WATCHED = "bench.watched"
WATCHED_PER_SECOND = 4000
MIB = 2**20


def rows(lab: Lab, scale: Scale) -> Iterator[Row]:
    """Compare client and server behind the tap with both beside it; then send a burst through it."""
    with _both_ways(lab, TAPPED, lab.url) as (direct, tapped):
        yield _added("tap", tapped, direct, scale)
        burst = together(tapped.gather, scale.burst)
        # The lab remembers a fixed number of events; their memory is filled before the measurement.
        kept = lab.tap.events.maxlen or 0
        while len(lab.tap.events) < kept:
            burst()
        before = _resident()
        yield Row.bounded(f"tap: {scale.burst:,} round trips", burst(), "/s", at_least=BURST_PER_SECOND)
        yield Row.bounded("tap: memory grown by them", _resident() - before, "MiB", at_most=GROWTH_MIB)


def watch_rows(lab: Lab, scale: Scale) -> Iterator[Row]:
    """Compare client and server behind ``rpclab watch`` with both beside it, and send a burst through it."""
    with _watch(lab.broker.vhost_url(lab.vhost)) as url, _both_ways(lab, WATCHED, url) as (direct, watched):
        yield _added("watch", watched, direct, scale)
        rate = median(together(watched.gather, scale.burst)() for _ in range(scale.rounds))
        yield Row.bounded(f"watch: {scale.burst:,} round trips", rate, "/s", at_least=WATCHED_PER_SECOND)


@contextmanager
def _both_ways(lab: Lab, queue: str, url: str) -> Iterator[tuple[RawClient, RawClient]]:
    """Yield a client that reaches its server directly, and one that, like its server, connects to a URL."""
    with (
        Workers(InlineServer, DIRECT, lab.broker.vhost_url(lab.vhost), count=1),
        Workers(InlineServer, queue, url, count=1),
        RawClient(lab.direct_parameters, DIRECT) as direct,
        RawClient(tls.parameters(url), queue) as other,
    ):
        yield direct, other


def _added(what: str, client: RawClient, direct: RawClient, scale: Scale) -> Row:
    sides = one_by_one(client.call, scale.calls), one_by_one(direct.call, scale.calls)
    found = alternately(*sides, rounds=scale.short_rounds)
    added = median(1000 / rate - 1000 / directly for rate, directly in zip(*found, strict=True))
    return Row.bounded(f"{what}: added to a round trip", added, "ms", at_most=ADDED_MILLISECONDS)


@contextmanager
def _watch(url: str) -> Iterator[str]:
    """Run ``rpclab watch``, without looking at its lines, and yield the URL to connect to."""
    command = [sys.executable, "-m", "rpclab", "watch", url, "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as watching:
        lines = watching.stdout
        assert lines
        port = json.loads(lines.readline())["port"]
        reading = threading.Thread(target=lambda: deque(lines, 0))
        reading.start()
        try:
            yield Target(at(url), urlsplit(url).path).tapped_url(LOOPBACK, port)
        finally:
            watching.terminate()
            reading.join()


def story_rows(lab: Lab, scale: Scale) -> Iterator[Row]:
    """Build and draw the story of many round trips from the tap's events."""
    events: list[Event] = []
    with (
        Workers(InlineServer, TAPPED, lab.url, count=1),
        RawClient(lab.parameters, TAPPED) as client,
        lab.tap.subscription(events.append),
    ):
        client.gather(["x"] * scale.told)

    def tell() -> None:
        story = Story(lab.tap.registry.shown)
        for event in events:
            story.take(event)
        story.sequence()

    took = median(seconds(tell) for _ in range(scale.rounds))
    yield Row.bounded(f"story of {2 * scale.told:,} messages, drawn", took, "s", at_most=STORY_SECONDS)


def _resident() -> float:
    gc.collect()
    return psutil.Process().memory_info().rss / MIB
