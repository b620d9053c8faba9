"""Work shared by several processes: how much faster it is."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

from rpclab.bench.measure import Scale, alternately, seconds
from rpclab.bench.report import Row
from rpclab.bench.servers import Server, compute, sleep
from rpclab.lab import Lab
from rpclab.rpc.client import RpcClient
from rpclab.rpc.workers import Workers

ONE = "bench.one"
SEVERAL = "bench.several"


def working_rows(lab: Lab, scale: Scale) -> Iterator[Row]:
    """Compare two processes with one where the work needs a processor."""
    for _, several, one in _compared(lab, compute, str(scale.work), [2], scale.shared_calls, scale.rounds):
        yield Row.compared(f"2 processes : 1, handler computes fib({scale.work})", several, one, at_least=1.9)


def sleeping_rows(lab: Lab, scale: Scale) -> Iterator[Row]:
    """Compare N processes with N times one where the work is waiting."""
    counts = sorted(scale.processes, reverse=True)
    for count, several, one in _compared(lab, sleep, "x", counts, scale.shared_calls, scale.long_rounds):
        as_many = [count * one_process for one_process in one]
        what = f"{count} processes : {count} times 1, handler sleeps 20 ms"
        yield Row.compared(what, several, as_many, at_least=0.95)


def _compared(
    lab: Lab, function: Callable[[str], object], body: str, counts: list[int], calls: int, rounds: int
) -> Iterator[tuple[int, list[float], list[float]]]:
    """Yield how many requests a second several processes answer, and how many one does, for each round.

    The counts of processes go from the greatest to the least, so that none has to be started again.
    """
    url, parameters = lab.broker.vhost_url(lab.vhost), lab.direct_parameters
    with (
        Workers(Server, ONE, url, function, count=1),
        Workers(Server, SEVERAL, url, function, count=counts[0]) as workers,
        RpcClient(ONE, parameters=parameters) as to_one,
        RpcClient(SEVERAL, parameters=parameters) as to_several,
    ):
        for count in counts:
            workers.scale(count)
            several, one = alternately(
                _steadily(to_several, body, calls * count, 2 * count), _steadily(to_one, body, calls, 2), rounds=rounds
            )
            yield count, several, one


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
