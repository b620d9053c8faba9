"""How long the start takes: for the package, and until the first answer of new workers."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from statistics import median

from rpclab.bench.measure import Scale, alternately, seconds
from rpclab.bench.report import Row
from rpclab.bench.servers import EchoServer
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
            with ExitStack() as pools:

                def start_and_call() -> None:
                    pools.enter_context(Workers(EchoServer, QUEUE, url, count=2))
                    client.call("x")

                return seconds(start_and_call)

        found = median(once() for _ in range(scale.starts))
    yield Row.bounded("first reply of fresh Workers(count=2)", found, "s", at_most=FIRST_REPLY_SECONDS)


def import_rows(lab: Lab, scale: Scale) -> Iterator[Row]:
    """Measure ``import rpclab`` in new interpreters that have imported pika already."""
    found = alternately({"rpclab": _interpreter("import pika, rpclab"), "pika": _interpreter("import pika")},
                        2 * scale.starts)
    beyond = median(ours - theirs for ours, theirs in zip(*found.values(), strict=True))
    yield Row.bounded("import rpclab, beyond import pika", beyond, "s", at_most=IMPORT_SECONDS)


def _interpreter(code: str) -> Callable[[], float]:
    return lambda: seconds(lambda: subprocess.run([sys.executable, "-c", code], check=True))
