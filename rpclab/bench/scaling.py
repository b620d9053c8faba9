"""Work shared by several processes: how much faster it is, and what happens when one is killed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from statistics import median

from rpclab.bench.measure import Scale, alternately, seconds
from rpclab.bench.report import Row
from rpclab.bench.servers import HoldingServer, SleepingServer, WorkingServer
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
            several, one = pools.compared(count, "x", scale.sleep_calls, scale.sleep_rounds)
            yield Row.near(f"{count} processes : {count} times 1, handler sleeps 20 ms",
                           several, [count * one_process for one_process in one], "/s", within=0.05)


def killing_rows(lab: Lab, scale: Scale) -> Iterator[Row]:
    """Measure how long a request waits after the worker that holds it is killed."""
    with Workers(HoldingServer, HELD, lab.broker.vhost_url(lab.vhost), count=2) as workers, \
            RpcClient(HELD, parameters=lab.direct_parameters) as client:
        gone = median(_without_a_worker(lab, workers, client, number) for number in range(scale.kills))
    yield Row("worker killed until another has begun its request", gone, "ms")


def _without_a_worker(lab: Lab, workers: Workers, client: RpcClient, number: int) -> float:
    """Kill the one of two workers that has a request; return the milliseconds until the other one has it."""
    begun = f"begun request {number}"
    client.submit(f"request {number}")
    workers.wait_for_lines(begun)
    holder = next(index for index in range(len(workers)) if begun in workers[index].log)

    def kill() -> None:
        workers.kill(holder)
        workers.wait_for_lines(begun, 2)

    gone = 1000 * seconds(kill)
    # Without a kill, the other one would end only after its request.
    for index in range(len(workers)):
        workers.kill(index)
    lab.purge(HELD)
    workers.scale(2)
    return gone


class _Pools:
    """One process on one queue and several on another, and a client of each; a context manager."""

    def __init__(self, lab: Lab, server: type, most: int):
        url = lab.broker.vhost_url(lab.vhost)
        self._one = Workers(server, ONE, url, count=1)
        self._several = Workers(server, SEVERAL, url, count=most)
        self._clients = [RpcClient(queue, parameters=lab.direct_parameters) for queue in (SEVERAL, ONE)]

    def compared(self, count: int, body: str, calls: int, rounds: int) -> tuple[list[float], list[float]]:
        """Return how many requests a second ``count`` processes answer, and how many one does, for each round."""
        self._several.scale(count)
        several, one = self._clients
        found = alternately({
            "several": _steadily(several, body, calls * count, 2 * count), "one": _steadily(one, body, calls, 2),
        }, rounds)
        return found["several"], found["one"]

    def __enter__(self) -> _Pools:
        return self

    def __exit__(self, *exc_info: object) -> None:
        for each in self._clients:
            each.close()
        self._several.stop()
        self._one.stop()


def _steadily(client: RpcClient, body: str, count: int, in_flight: int) -> Callable[[], float]:
    """Return a measurement: calls a second, a new one sent when an old one ends, so that no worker is ever idle."""

    def send_all() -> None:
        places = threading.Semaphore(in_flight)
        calls = []
        for _ in range(count):
            places.acquire()
            calls.append(client.submit(body))
            calls[-1].add_done_callback(lambda _: places.release())
        for call in calls:
            call.result()

    return lambda: count / seconds(send_all)
