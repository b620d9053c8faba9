"""How the requests of a panel are shown: as HTML, as text, as records and as a CSV file."""

from __future__ import annotations

import csv
import io
import itertools
import re
from pathlib import Path

from rpclab.errors import LabError
from rpclab.table import Table
from rpclab.widgets import look
from rpclab.widgets.request_log import STATES, Request, RequestLog

ROWS_SHOWN = 10
# Of more requests than this, the text shows the first and the last half of it.
LINES_SHOWN = 20
# Below this a histogram says nothing that the table does not say.
FEWEST_FOR_TIMES = 10
COLUMNS = ("request", "asked", "state", "answer", "worker", "ms", "correlation id")


def html(log: RequestLog, said: str) -> str:
    """Return progress, the last requests, and how long answers took.

    Parameters
    ----------
    log : RequestLog
        The requests.
    said : str
        What else is to be told, for example where a file went.
    """
    requests = log.requests
    done, total = log.progress
    rows = [
        (
            str(request.number),
            look.text(_asked(request)),
            look.state(request.state),
            look.text("" if request.said is None else request.said),
            look.text(request.worker or ""),
            "" if request.seconds is None else f"{request.seconds * 1000:.1f} ms",
            look.short_id(request.correlation_id) if request.correlation_id else "",
        )
        for request in reversed(requests[-ROWS_SHOWN:])
    ]
    columns = ("#", "asked", "state", "answer", "answered by", "time", "correlation id")
    return "".join([
        look.progress(done, total) if total > 1 else "",
        look.table(columns, rows),
        look.note(summary(log)),
        log.times._repr_html_() if len(log.times) >= FEWEST_FOR_TIMES else "",
        look.note(said) if said else "",
    ])


def summary(log: RequestLog) -> str:
    """Return how many requests there are, and how many in which state."""
    fired = len(log)
    if not fired:
        return "Nothing fired yet. Type your values and press Fire."
    counts = ", ".join(f"{log.counts[state]} {state}" for state in STATES if log.counts[state])
    more = f"; the last {ROWS_SHOWN} are shown" if fired > ROWS_SHOWN else ""
    return f"{fired} fired: {counts}{more}."


def text(requests: list[Request]) -> str:
    """Return a table of the requests; of many, the first and the last, and how many were left out."""
    left_out = len(requests) - LINES_SHOWN
    half = LINES_SHOWN // 2
    shown = requests if left_out <= 0 else requests[:half] + requests[-half:]
    table = Table(COLUMNS[:5], records(shown), empty="(nothing fired yet)")
    if left_out <= 0:
        return repr(table)
    lines = repr(table).splitlines()
    return "\n".join([*lines[: half + 1], f"({left_out} more)", *lines[half + 1 :]])


def records(requests: list[Request]) -> list[dict]:
    """Return a record for each request, as one hands them to pandas or writes them to a file."""
    return [
        {
            "request": request.number,
            "asked": _asked(request),
            "state": request.state,
            "answer": request.said,
            "worker": request.worker,
            "ms": None if request.seconds is None else round(request.seconds * 1000, 3),
            "correlation id": request.correlation_id,
        }
        for request in requests
    ]


def csv_text(requests: list[Request]) -> str:
    """Return the records as the text of a CSV file."""
    written = io.StringIO()
    writer = csv.DictWriter(written, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(records(requests))
    return written.getvalue()


def write(content: str, path: Path) -> None:
    """Write a file.

    Raises
    ------
    LabError
        If it cannot be written.
    """
    try:
        path.write_text(content, encoding="utf-8", errors="backslashreplace", newline="")
    except OSError as error:
        raise LabError(f"The file {str(path)!r} could not be written: {error.strerror or error}.") from error


def unused_path(queue: str) -> Path:
    """Return a name for a file of requests to a queue that the working folder does not have yet."""
    stem = re.sub(r"[^A-Za-z0-9_-]+", "-", queue).strip("-")[:60] or "requests"
    numbers = itertools.chain([""], (f"-{number}" for number in itertools.count(2)))
    names = (f"{stem}-requests{number}.csv" for number in numbers)
    return next(path for path in map(Path, names) if not path.exists())


def _asked(request: Request) -> str:
    return ", ".join(map(str, request.arguments))
