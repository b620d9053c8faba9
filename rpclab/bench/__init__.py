"""``python -m rpclab bench``: figures to hold the package to, measured against pika by itself in the same run."""

from __future__ import annotations

import json as json_module
import platform
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pika
import psutil

from rpclab.bench import report, scaling, soak, speed, startup, tapping
from rpclab.bench.measure import QUICK, Scale
from rpclab.lab import Lab

if TYPE_CHECKING:
    from rpclab.bench.figures import Figures

LAB = "bench"
ROWS = (
    speed.rows, scaling.working_rows, scaling.sleeping_rows, startup.first_reply_rows, startup.import_rows,
    tapping.rows, tapping.story_rows, scaling.killing_rows,
)


def run(seconds_soak: float | None, json: bool, *, quick: bool = False) -> int:
    """Measure, or soak, and print what was found.

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
        1 if the soak lost or mixed up an answer, else 0: a missed target is for the reader to judge.
    """
    with Lab(LAB) as lab:
        if seconds_soak is not None:
            tally = soak.run(lab, seconds_soak)
            print(json_module.dumps(tally.plain()) if json else tally.table())
            return 0 if tally.sound else 1
        around = circumstances()
        rows = list(measured(lab, QUICK if quick else Scale()))
    if json:
        print(json_module.dumps(around | {"rows": report.plain(rows)}))
    else:
        print(", ".join(f"{name} {value}" for name, value in around.items()), report.table(rows), sep="\n")
    return 0


def figures(*, quick: bool = True) -> Figures:
    """Measure in a lab of its own and return a chart: ten seconds, or a minute if it need not be quick."""
    from rpclab.bench.figures import Figures

    with Lab(LAB) as lab:
        return Figures(list(measured(lab, QUICK if quick else Scale())))


def measured(lab: Lab, scale: Scale) -> Iterator[report.Row]:
    """Measure one row after the other."""
    for rows in ROWS:
        yield from rows(lab, scale)


def circumstances() -> dict[str, str | int | float]:
    """Return what the figures depend on; a load before they were measured is somebody else's, and spoils them."""
    load = {"load before": round(psutil.getloadavg()[0], 2)}
    return {"Python": platform.python_version(), "pika": pika.__version__, "processors": psutil.cpu_count()} | load
