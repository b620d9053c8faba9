"""How long one waits at the beginning: for the package, and for the first answer of fresh workers."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
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
    """Time from the call that makes two workers to the first answer."""
    url = lab.broker.vhost_url(lab.vhost)
    with RpcClient(QUEUE, parameters=lab.direct_parameters) as client:

        def once() -> float:
            pools = []
            try:
                return seconds(lambda: (pools.append(Workers(EchoServer, QUEUE, url, count=2)), client.call("x")))
            finally:
                for pool in pools:
                    pool.stop()

        found = median(once() for _ in range(scale.starts))
    yield Row.bounded("first reply of fresh Workers(count=2)", found, "s", at_most=FIRST_REPLY_SECONDS)


def import_rows(lab: Lab, scale: Scale) -> Iterator[Row]:
    """Time ``import rpclab`` in fresh interpreters that have imported pika already."""
    found = alternately({"rpclab": _interpreter("import pika, rpclab"), "pika": _interpreter("import pika")},
                        2 * scale.starts)
    beyond = median(ours - theirs for ours, theirs in zip(*found.values(), strict=True))
    yield Row.bounded("import rpclab, beyond import pika", beyond, "s", at_most=IMPORT_SECONDS)


def _interpreter(code: str) -> Callable[[], float]:
    return lambda: seconds(lambda: subprocess.run([sys.executable, "-c", code], check=True))
