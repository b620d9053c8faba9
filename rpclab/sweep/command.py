"""Runs the selected cases, several sets of options at a time, and prints what came of them."""

from __future__ import annotations

import json as json_module
import queue
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from rpclab.errors import InvalidOption
from rpclab.sweep import report
from rpclab.sweep.cases import PLAIN, SETUPS, Selection, Setup
from rpclab.sweep.report import Result
from rpclab.sweep.station import Station

LAB = "sweep"
# More than the processors: a run mostly waits.
AT_ONCE = 4


def run(only: str | None = None, *, quick: bool = False, json: bool = False, lab: str = LAB) -> int:
    """Sweep, and print each run that broke a promise, then a table of all.

    Parameters
    ----------
    only : str, optional
        Which runs: a case such as ``plain/classic/kill/server-in-9``, or a pattern such as ``retry/*/drop/*``.
    quick : bool
        Whether to try a selection that takes half a minute.
    json : bool
        Whether to print one JSON object instead.
    lab : str
        How the names of the labs begin.

    Returns
    -------
    int
        1 if a promise was broken, else 0.

    Raises
    ------
    InvalidOption
        If no run has this name.
    """
    results = []
    for result in swept(Selection(only, quick=quick), lab=lab):
        results.append(result)
        if result.broken and not json:
            print(result, flush=True)
    if not results:
        raise InvalidOption(f"--only {only}: no run has this name. An example of a name: {PLAIN}/kill/server-in-9.")
    print(json_module.dumps(report.plain(results)) if json else report.table(results))
    return 0 if report.sound(results) else 1


def swept(selection: Selection, *, lab: str = LAB) -> Iterator[Result]:
    """Run the selection, several sets of options at a time, and yield each result when it is ready."""
    found: queue.SimpleQueue[Result | BaseException | None] = queue.SimpleQueue()
    enough = threading.Event()

    def sweep(setup: Setup) -> None:
        try:
            with Station(setup, f"{lab}-{setup.options}-{setup.queue_type}") as station:
                for number, case in enumerate(station.cases):
                    if selection.has(case, number) and not enough.is_set():
                        found.put(station.run(case))
        except BaseException as error:  # noqa: BLE001  raised where the results are taken
            found.put(error)
        finally:
            found.put(None)

    with ThreadPoolExecutor(AT_ONCE) as threads:
        sweeping = [threads.submit(sweep, setup) for setup in SETUPS if selection.may_have(setup)]
        try:
            while sweeping:
                result = found.get()
                if result is None:
                    sweeping.pop()
                elif isinstance(result, Result):
                    yield result
                else:
                    raise result
        finally:
            enough.set()
            threads.shutdown(cancel_futures=True)
