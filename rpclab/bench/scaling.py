"""Work shared by several processes: how much faster it is done, and what happens when one of them is killed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from statistics import median

from rpclab.bench.measure import Scale, alternately
from rpclab.bench.report import Row
from rpclab.bench.servers import HoldingServer, SleepingServer, WorkingServer
from rpclab.bench.speed import gather, together
from rpclab.lab import Lab
from rpclab.rpc.client import RpcClient
from rpclab.rpc.workers import Workers

ONE = "bench.one"
SEVERAL = "bench.several"
HELD = "bench.held"


def working_rows(lab: Lab, scale: Scale) -> Iterator[Row]:
    """Compare two processes with one where the work needs a processor."""
    with _Pools(lab, WorkingServer, 2) as pools:
        found = pools.compared(2, str(scale.work), scale.work_calls, scale.rounds)
        yield Row.compared(f"2 processes : 1, handler computes fib({scale.work})", *found, "/s", at_least=1.9)


def sleeping_rows(lab: Lab, scale: Scale) -> Iterator[Row]:
    """Compare N processes with N times one where the work is waiting."""
    most = max(scale.processes)
    with _Pools(lab, SleepingServer, most) as pools:
        for count in sorted(scale.processes, reverse=True):
            several, one = pools.compared(count, "x", scale.sleep_calls, scale.rounds)
            yield Row.near(f"{count} processes : {count} times 1, handler sleeps 20 ms",
                           several, count * one, "/s", within=0.05)


def killing_rows(lab: Lab, scale: Scale) -> Iterator[Row]:
    """Time how long a request is in nobody's hands when the worker that holds it is killed."""
    gone = []
    with Workers(HoldingServer, HELD, lab.broker.vhost_url(lab.vhost), count=2) as workers, \
            RpcClient(HELD, parameters=lab.direct_parameters) as client:
        for number in range(scale.kills):
            client.submit(f"request {number}")
            workers.wait_for_lines(f"begun request {number}")
            holder = next(i for i in range(len(workers)) if workers[i].log[-1].endswith(f"request {number}"))
            started = time.perf_counter()
            workers.kill(holder)
            workers.wait_for_lines(f"begun request {number}", 2)
            gone.append((time.perf_counter() - started) * 1000)
            workers.stop()
            lab.purge(HELD)
            workers.scale(2)
    yield Row("worker killed until another has begun its request", median(gone), "ms")


class _Pools:
    """One process on one queue and several on another, and a client of each; a context manager."""

    def __init__(self, lab: Lab, server: type, most: int):
        url = lab.broker.vhost_url(lab.vhost)
        self._one = Workers(server, ONE, url, count=1)
        self._several = Workers(server, SEVERAL, url, count=most)
        self._clients = [RpcClient(queue, parameters=lab.direct_parameters) for queue in (SEVERAL, ONE)]

    def compared(self, count: int, body: str, calls: int, rounds: int) -> tuple[float, float]:
        """Return how many requests a second so many processes answer, and how many one does."""
        self._several.scale(count)
        several, one = map(gather, self._clients)
        found = alternately({
            "several": together(several, calls * count, body), "one": together(one, calls, body),
        }, rounds)
        return found["several"], found["one"]

    def __enter__(self) -> _Pools:
        return self

    def __exit__(self, *exc_info) -> None:
        for each in self._clients:
            each.close()
        self._several.stop()
        self._one.stop()
