"""Calls at full rate while workers are killed and connections cut: each call must end, and with its own answer."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from functools import partial

from rpclab.bench.outcome_counts import Tally
from rpclab.bench.servers import EchoServer
from rpclab.errors import InvalidOption, LabError
from rpclab.lab import Lab
from rpclab.rpc.client import RpcClient
from rpclab.rpc.workers import Workers

QUEUE = "bench.soak"
WORKERS = 3
CLIENTS = 2
CALLERS = 4
IN_FLIGHT = 25
KILL_SECONDS = 1.0
CUT_SECONDS = 2.0
CALL_SECONDS = 10.0
# A call that has not ended this long after its deadline never will.
GRACE_SECONDS = 5.0


def run(lab: Lab, length: float) -> Tally:
    """Soak for the given seconds and return what happened to the calls.

    Parameters
    ----------
    lab : Lab
        The lab; its tap cuts the connections.
    length : float
        Seconds, plus the deadlines of the calls that wait then.

    Raises
    ------
    InvalidOption
        If the length is not above 0 and at most a day.
    """
    if not 0 < length <= 86_400:
        raise InvalidOption(f"A soak of {length!r} s: it takes more than 0 and at most 86400 s (a day).")
    over, faults = threading.Event(), Tally()
    with ExitStack() as opened:
        workers = opened.enter_context(Workers(EchoServer, QUEUE, lab.url, count=WORKERS))
        clients = [
            opened.enter_context(RpcClient(QUEUE, timeout=CALL_SECONDS, parameters=lab.parameters))
            for _ in range(CLIENTS)
        ]
        started = time.monotonic()
        with ThreadPoolExecutor(CALLERS + 2) as threads:
            callers = [threads.submit(_call, clients[n % CLIENTS], f"caller {n}", over) for n in range(CALLERS)]
            killer = threads.submit(_every, KILL_SECONDS, over, partial(_kill_oldest, workers, faults))
            cutter = threads.submit(_every, CUT_SECONDS, over, partial(_cut_next, lab, faults))
            try:
                over.wait(length)
            finally:
                over.set()
        faults.seconds = time.monotonic() - started
    for fault in (killer, cutter):
        fault.result()
    dropped = [_dropped(client) for client in clients]
    return sum([*(caller.result() for caller in callers), *dropped], faults)


def _call(client: RpcClient, name: str, over: threading.Event) -> Tally:
    """Call until it is over, many at a time, each with its own text, which must return."""
    tally, number = Tally(), 0
    while not over.is_set():
        bodies = [f"{name}, request {number + i}" for i in range(IN_FLIGHT)]
        number += IN_FLIGHT
        for call, body in [(_submitted(client, body), body) for body in bodies]:
            tally.take(call, body, CALL_SECONDS + GRACE_SECONDS)
    return tally


def _submitted(client: RpcClient, body: str) -> Future:
    """Return a call's future, or one with the reason if it could not be sent."""
    try:
        return client.submit(body)
    except Exception as error:  # noqa: BLE001  whatever it is, the tally shows it
        unsent: Future = Future()
        unsent.set_exception(error)
        return unsent


def _every(seconds: float, over: threading.Event, action: Callable[[], None]) -> None:
    """Do something at a steady rate until it is over; a failure ends the soak."""
    due = time.monotonic() + seconds
    try:
        while not over.wait(max(0, due - time.monotonic())):
            action()
            due += seconds
    finally:
        over.set()


def _kill_oldest(workers: Workers, faults: Tally) -> None:
    workers.kill(next(index for index in range(len(workers)) if workers[index].alive))
    faults.kills += 1
    workers.scale(WORKERS)


def _cut_next(lab: Lab, faults: Tally) -> None:
    """Cut the client's connection that is open the longest; there may be none at this moment."""
    links = [link for link in lab.tap.links() if link.name.startswith(RpcClient.__name__)]
    if links:
        with suppress(LabError):
            faults.cuts += lab.tap.cut(min(links, key=lambda link: link.number).name)


def _dropped(client: RpcClient) -> Tally:
    """Return the client's counts of dropped replies."""
    return Tally(duplicate=client.stats.duplicate, late=client.stats.late, unknown=client.stats.unknown)
