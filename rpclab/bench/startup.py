"""How long the start takes: for the package, and until the first answer of new workers."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from statistics import median

from rpclab.bench.measure import Scale, alternately, seconds
from rpclab.bench.report import Row
from rpclab.bench.servers import Server, echo
from rpclab.lab import Lab
from rpclab.rpc.client import RpcClient
from rpclab.rpc.workers import Workers

QUEUE = "bench.fresh"
FIRST_REPLY_SECONDS = 1.0
IMPORT_SECONDS = 0.1


def first_reply_rows(lab: Lab, scale: Scale) -> Iterator[Row]:
    """Measure from the call that makes two workers to the first answer."""
    url = lab.broker.vhost_url(lab.vhost)
    with RpcClient(QUEUE, parameters=lab.direct_parameters) as client:

        def once() -> float:
            began = time.perf_counter()
            with Workers(Server, QUEUE, url, echo, count=2):
                client.call("x")
                return time.perf_counter() - began

        found = median(once() for _ in range(scale.long_rounds))
    yield Row.bounded("first reply of fresh Workers(count=2)", found, "s", at_most=FIRST_REPLY_SECONDS)


def import_rows(lab: Lab, scale: Scale) -> Iterator[Row]:
    """Measure ``import rpclab`` in new interpreters that have imported pika already."""
    found = alternately(_interpreter("import pika, rpclab"), _interpreter("import pika"), rounds=3 * scale.long_rounds)
    beyond = median(ours - theirs for ours, theirs in zip(*found, strict=True))
    yield Row.bounded("import rpclab, beyond import pika", beyond, "s", at_most=IMPORT_SECONDS)


def _interpreter(code: str) -> Callable[[], float]:
    return lambda: seconds(lambda: subprocess.run([sys.executable, "-c", code], check=True))
