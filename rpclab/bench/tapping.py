"""What it costs that the lab sees what crosses its connections."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from statistics import median

import psutil

from rpclab.bench.measure import Scale, alternately, seconds
from rpclab.bench.raw import InlineServer, RawClient
from rpclab.bench.report import Row
from rpclab.bench.speed import one_by_one, together
from rpclab.lab import Lab
from rpclab.rpc.workers import Workers
from rpclab.wire.frames import Event
from rpclab.wire.story import Story

DIRECT = "bench.direct"
TAPPED = "bench.tapped"
ADDED_MILLISECONDS = 0.6
BURST_PER_SECOND = 3000
GROWTH_MIB = 1.0
STORY_SECONDS = 1.0
MIB = 2**20


def rows(lab: Lab, scale: Scale) -> Iterator[Row]:
    """Compare client and server behind the tap with both beside it; then send a burst through it."""
    with (
        Workers(InlineServer, DIRECT, lab.broker.vhost_url(lab.vhost), count=1),
        Workers(InlineServer, TAPPED, lab.url, count=1),
        RawClient(lab.direct_parameters, DIRECT) as direct,
        RawClient(lab.parameters, TAPPED) as tapped,
    ):
        found = alternately(
            {"tapped": one_by_one(tapped.call, scale.calls), "direct": one_by_one(direct.call, scale.calls)},
            scale.short_rounds,
        )
        added = median(1000 / ours - 1000 / theirs for ours, theirs in zip(*found.values(), strict=True))
        yield Row.bounded("tap: added to a round trip", added, "ms", at_most=ADDED_MILLISECONDS)
        burst = together(tapped.gather, scale.burst)
        # The lab remembers so many events; what the memory of them takes is taken before one looks.
        while len(lab.tap.events) < lab.tap.events.maxlen:
            burst()
        before = _resident()
        rate = burst()
        yield Row.bounded(f"tap: {scale.burst:,} round trips", rate, "/s", at_least=BURST_PER_SECOND)
        yield Row.bounded("tap: memory grown by them", _resident() - before, "MiB", at_most=GROWTH_MIB)


def story_rows(lab: Lab, scale: Scale) -> Iterator[Row]:
    """Tell the story of many round trips from the events that the tap saw, and draw it."""
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
