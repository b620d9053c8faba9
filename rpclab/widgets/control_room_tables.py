"""The tables in the drawer of the control room; that of requests is in `rpclab.operate.request_view`."""

from __future__ import annotations

from collections.abc import Iterable

from rpclab.findings import Diagnosis
from rpclab.operate.arrivals import Arrivals
from rpclab.operate.request_view import shown
from rpclab.rpc.processes.worker import Worker


def callbacks(feeds: Iterable[Arrivals], most: int) -> dict:
    """Return the last messages on several callback queues, the latest first."""
    rows: list[dict] = [
        {"key": f"{feed._queue} {one.number}", "message": one.message.number,
         "cells": [f"{feed._queue} {one.number}", *one.cells], "order": one.message.number}
        for feed in feeds for one in feed.arrivals[-most:]
    ]
    rows.sort(key=lambda row: -row["order"])
    columns = ["callback queue", "body", "sent by", "received by", "state", "correlation id"]
    return {"columns": columns, "rows": rows[:most]}


def printed(workers: Iterable[Worker], most: int) -> dict:
    """Return the last lines that each process printed."""
    rows = [
        {"key": f"{worker.pid} {at}", "cells": [worker.name, shown(line)]}
        for worker in workers for at, line in list(enumerate(worker.log))[-most:]
    ]
    return {"columns": ["process", "printed"], "rows": rows}


def findings(found: Diagnosis) -> dict:
    """Return what is wrong; a click shows the first message that shows it."""
    rows = [
        {"key": f"{one.rule} {one.title}", "message": one.evidence[0].message,
         "cells": [one.gravity, shown(one.title), shown(one.cure)]}
        for one in found
    ]
    return {"columns": ["gravity", "what is wrong", "fix"], "rows": rows}
