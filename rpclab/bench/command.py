"""Measures, or soaks, in a lab of its own, and prints the results."""

from __future__ import annotations

import json as json_module
import platform
from collections.abc import Iterator
from dataclasses import asdict

import pika
import psutil

from rpclab.bench import report, scaling, soak, speed, startup, tapping
from rpclab.bench.measure import QUICK, Scale
from rpclab.lab import Lab

LAB = "bench"
ROWS = (
    speed.rows, scaling.working_rows, scaling.sleeping_rows, startup.first_reply_rows, startup.import_rows,
    tapping.rows, tapping.watch_rows, tapping.story_rows,
)


def run(seconds_soak: float | None, json: bool, *, quick: bool = False) -> int:
    """Measure, or soak, and print the results.

    Parameters
    ----------
    seconds_soak : float or None
        How long to soak instead of measuring; None for measuring, which takes about a minute.
    json : bool
        Whether to print one JSON object instead of a table.
    quick : bool
        Whether to measure roughly, in ten seconds.

    Returns
    -------
    int
        1 if the soak lost or mixed up an answer, else 0. A missed target does not count: a reader must judge it.
    """
    if seconds_soak is not None:
        with Lab(LAB) as lab:
            counts = soak.run(lab, seconds_soak)
        print(json_module.dumps(counts) if json else soak.table(counts))
        return 0 if counts["sound"] else 1
    around, found = circumstances(), rows(quick=quick)
    if json:
        print(json_module.dumps(around | {"rows": [asdict(row) for row in found]}))
    else:
        print(", ".join(f"{name} {value}" for name, value in around.items()), report.table(found), sep="\n")
    return 0


def rows(*, quick: bool) -> list[report.Row]:
    """Measure in a separate lab."""
    with Lab(LAB) as lab:
        return list(measured(lab, QUICK if quick else Scale()))


def measured(lab: Lab, scale: Scale) -> Iterator[report.Row]:
    """Measure row by row."""
    for measure in ROWS:
        yield from measure(lab, scale)


def circumstances() -> dict[str, str | int | float | None]:
    """Return what the numbers depend on; load from before, which other programs cause, makes them worthless."""
    load = {"load before": round(psutil.getloadavg()[0], 2)}
    return {"Python": platform.python_version(), "pika": pika.__version__, "processors": psutil.cpu_count()} | load
