"""Requests as cells and lines for the front end, as text, as records and as a CSV file."""

from __future__ import annotations

import csv
import io
import itertools
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from rpclab.errors import LabError
from rpclab.operate.request_log import STATES, Request, RequestLog
from rpclab.table import Table, shortened

if TYPE_CHECKING:
    from rpclab.operate.desk import Desk

# With more requests, the text shows the first and the last half of this number.
LINES_SHOWN = 20
COLUMNS = ("request", "asked", "state", "answer", "worker", "ms", "correlation id")


MOODS = {
    "pending": ("wait", "\u2026 pending"),
    "queued": ("wait", "\u2026 queued"),
    "answered": ("good", "\u2713 answered"),
    "answered late": ("bad", "\u2715 answered late"),
    "failed": ("bad", "\u2715 failed"),
    "timed out": ("bad", "\u2715 timed out"),
    "rejected": ("bad", "\u2715 rejected"),
    "cancelled": ("off", "\u2013 cancelled"),
}


def table(requests: list[Request]) -> dict:
    """Return the table of requests that the front end draws, the last one first."""
    rows = [{"key": request.number, "cells": [str(request.number), *_cells(request)]} for request in requests[::-1]]
    return {"columns": ["#", "asked", "state", "answer", "answered by", "time", "correlation id"], "rows": rows}


def table_of(desks: Mapping[str, Desk], most: int) -> dict:
    """Return a table of the last requests of several clients, by name; a click shows the request's message."""
    found = [(name, request) for name, desk in desks.items() for request in desk.last(most)]
    # A request without a message is the latest.
    found.sort(key=lambda one: one[1].message.number if one[1].message else float("inf"))
    rows = [
        {"key": f"{name} {request.number}", "message": request.message.number if request.message else None,
         "cells": [f"{name} {request.number}", *_cells(request)]}
        for name, request in found[: -most - 1 : -1]
    ]
    return {"columns": ["request", "asked", "state", "answer", "answered by", "time", "correlation id"], "rows": rows}


def _cells(request: Request) -> list:
    return [
        shown(_asked(request)), state(request), "" if request.said is None else shown(request.said),
        shown(request.worker or ""), "" if request.seconds is None else f"{request.seconds * 1000:.1f} ms",
        short_id(request.correlation_id) if request.correlation_id else "",
    ]


def line(request: Request) -> dict:
    """Return a request and its answer in one line, for the client's box."""
    mood, said = MOODS.get(request.state, ("calm", f"\u2192 {request.state}"))
    answer = "" if request.said is None or request.state == "timed out" else f" {shown(request.said, 44)}"
    took = "" if request.seconds is None else f" ({request.seconds * 1000:.1f} ms)"
    return {"number": request.number, "mood": mood, "title": shown(request.said or "", 600),
            "text": f"{shown(_asked(request), 20)} {said}{answer}{took}"}


def state(request: Request) -> dict:
    """Return a request's state as a cell; any other state shows where it is: ``at AdditionServer-0``."""
    mood, said = MOODS.get(request.state, ("calm", f"\u2192 {shortened(request.state, 40)}"))
    return {"mood": mood, "text": said}


def short_id(identifier: str | None) -> dict:
    """Return the first eight characters of a correlation id, with the whole of it as a tooltip."""
    return {"text": shown(identifier[:8]), "title": shown(identifier)} if identifier else {"text": "none"}


def shown(value: object, most: int = 120) -> str:
    """Return any value as text for a browser, cut to a length."""
    # Half of a surrogate pair is not valid Unicode, and could not be sent.
    return shortened(str(value), most).encode(errors="backslashreplace").decode()


def summary(log: RequestLog) -> str:
    """Return the number of requests, and of those in each state."""
    fired = len(log)
    if not fired:
        return "Nothing fired yet. Type your values and press Fire."
    counts = ", ".join(f"{log.counts[state]} {state}" for state in STATES if log.counts[state])
    return f"{fired} fired: {counts}."


def text(requests: list[Request]) -> str:
    """Return a table of the requests; of many, the first and the last, and the number left out."""
    left_out = len(requests) - LINES_SHOWN
    half = LINES_SHOWN // 2
    shown = requests if left_out <= 0 else requests[:half] + requests[-half:]
    table = Table(COLUMNS[:5], records(shown), empty="(nothing fired yet)")
    if left_out <= 0:
        return repr(table)
    lines = repr(table).splitlines()
    return "\n".join([*lines[: half + 1], f"({left_out} more)", *lines[half + 1 :]])


def records(requests: list[Request]) -> list[dict]:
    """Return a record for each request, for pandas or a file."""
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
    """Return an unused name for a file of requests to a queue, in the working folder."""
    stem = re.sub(r"[^A-Za-z0-9_-]+", "-", queue).strip("-")[:60] or "requests"
    numbers = itertools.chain([""], (f"-{number}" for number in itertools.count(2)))
    names = (f"{stem}-requests{number}.csv" for number in numbers)
    return next(path for path in map(Path, names) if not path.exists())


def _asked(request: Request) -> str:
    return ", ".join(map(str, request.arguments))
