"""Calls at full rate while workers are killed and connections cut: each call must end, and with its own answer."""

from __future__ import annotations

import itertools
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import ExitStack, suppress
from typing import Any

from rpclab.bench.servers import PREFETCH, Server, echo
from rpclab.errors import InvalidOption, LabError
from rpclab.lab import Lab
from rpclab.rpc.client import RpcClient
from rpclab.rpc.workers import Workers
from rpclab.table import Table

QUEUE = "bench.soak"
WORKERS = 3
CLIENTS = 2
CALLERS = 4
IN_FLIGHT = 25
# A worker is killed each time, and a connection cut every other time.
FAULT_SECONDS = 1.0
CALL_SECONDS = 10.0
# A call that has not ended this long after its deadline never will.
GRACE_SECONDS = 5.0


def run(lab: Lab, length: float) -> dict[str, Any]:
    """Soak for the given seconds and return what happened to the calls.

    Parameters
    ----------
    lab : Lab
        The lab; its tap cuts the connections.
    length : float
        Seconds, plus the deadlines of the calls that wait then.

    Returns
    -------
    dict
        How many calls were ``sent``, ``answered``, ``lost`` (with neither answer nor error) and ``mismatched`` (with
        another one's answer), and by their classes the ``errors`` of others; the replies that the clients dropped, as
        in `Stats`; ``kills``, ``cuts`` and ``seconds``; and whether this is ``sound``: nothing lost or mismatched.

    Raises
    ------
    InvalidOption
        If the length is not above 0 and at most a day.
    """
    if not 0 < length <= 86_400:
        raise InvalidOption(f"A soak of {length!r} s: it takes more than 0 and at most 86400 s (a day).")
    over = threading.Event()
    with ExitStack() as opened:
        workers = opened.enter_context(Workers(Server, QUEUE, lab.url, echo, PREFETCH, count=WORKERS))
        clients = [
            opened.enter_context(RpcClient(QUEUE, timeout=CALL_SECONDS, parameters=lab.parameters))
            for _ in range(CLIENTS)
        ]
        began = time.monotonic()
        with ThreadPoolExecutor(CALLERS) as threads:
            callers = [threads.submit(_call, clients[n % CLIENTS], f"caller {n}", over) for n in range(CALLERS)]
            try:
                kills, cuts = _break(lab, workers, length)
            finally:
                over.set()
        seconds = time.monotonic() - began
    ended = sum((caller.result() for caller in callers), Counter[str]())
    counts = {"sent": ended.total()} | {how: ended.pop(how, 0) for how in ("answered", "lost", "mismatched")}
    counts |= {how: sum(getattr(one.stats, how) for one in clients) for how in ("duplicate", "late", "unknown")}
    counts |= {"kills": kills, "cuts": cuts}
    sound = not counts["lost"] and not counts["mismatched"]
    return {**counts, "seconds": round(seconds, 1), "sound": sound, "errors": dict(ended)}


def table(found: dict[str, Any]) -> Table:
    """Return what `run` has returned as it is printed."""
    counts = {what: count for what, count in found.items() if what != "errors"}
    counts |= {f"error: {kind}": count for kind, count in sorted(found["errors"].items())}
    return Table(("what", "count"), [{"what": what, "count": count} for what, count in counts.items()])


def _call(client: RpcClient, name: str, over: threading.Event) -> Counter[str]:
    """Call until it is over, many at a time, each with its own text, which must return; count how the calls ended."""
    ended: Counter[str] = Counter()
    numbers = itertools.count()
    while not over.is_set():
        bodies = [f"{name}, request {next(numbers)}" for _ in range(IN_FLIGHT)]
        for call, body in [(client.submit(body), body) for body in bodies]:
            try:
                answer = call.result(CALL_SECONDS + GRACE_SECONDS)
                ended["answered" if answer == body else "mismatched"] += 1
            except FutureTimeout:
                ended["lost"] += 1
            except Exception as error:  # noqa: BLE001  an error that is not the lab's own is worth a line as well
                ended[type(error).__name__] += 1
    return ended


def _break(lab: Lab, workers: Workers, length: float) -> tuple[int, int]:
    """Kill workers and cut clients' connections at a steady rate; return how many."""
    kills = cuts = 0
    due = time.monotonic()
    end = due + length
    while due < end:
        due += FAULT_SECONDS
        time.sleep(max(0, min(due, end) - time.monotonic()))
        if not kills % 2:
            cuts += _cut_oldest(lab)
        workers.kill(next(index for index, worker in enumerate(workers) if worker.alive))
        kills += 1
        workers.scale(WORKERS)
    return kills, cuts


def _cut_oldest(lab: Lab) -> int:
    """Cut the client's connection that is open the longest; there may be none at this moment."""
    links = [link for link in lab.tap.links() if link.name.startswith(RpcClient.__name__)]
    with suppress(LabError):
        return lab.tap.cut(min(links, key=lambda link: link.number).name) if links else 0
    return 0
