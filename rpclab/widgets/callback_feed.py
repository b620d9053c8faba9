"""A live list of the messages on a callback queue."""

from __future__ import annotations

from rpclab.lab import Lab, current_lab
from rpclab.operate.arrivals import Arrivals
from rpclab.widgets.pane import Pane

ROWS_SHOWN = 10


class CallbackFeed(Arrivals, Pane):
    """A live list of the messages on one queue. It watches the lab's connections and takes nothing from the queue.

    Parameters
    ----------
    queue : str
        The queue to watch, usually a callback queue; its name, or the one that `Lab.queues` shows.
    lab : Lab, optional
        The lab it belongs to; the one opened last if not given.
    """

    def __init__(self, queue: str, *, lab: Lab | None = None):
        Arrivals.__init__(self, queue, lab or current_lab(), self._touch)
        Pane.__init__(self)
        self._touch()

    def close(self) -> None:
        """Remove the feed and end its thread; calling it again has no effect."""
        # The finalizer also closes a feed whose __init__ failed.
        self.end()
        self._stop_drawing()
        Pane.close(self)

    def __repr__(self) -> str:
        return f"CallbackFeed({self._queue!r})"

    def _render(self) -> None:
        arrivals = self.arrivals
        note = f"{len(arrivals)} arrived." if arrivals else "Nothing arrived yet."
        if len(arrivals) > ROWS_SHOWN:
            note = f"{len(arrivals)} arrived; the last {ROWS_SHOWN} are shown."
        rows = [{"key": one.number, "cells": [str(one.number), *one.cells]} for one in arrivals[-ROWS_SHOWN:]]
        self.scene = {"card": {
            "title": "Messages on callback queue", "code": self._queue, "note": note,
            "table": {
                "columns": ["#", "body", "sent by", "received by", "state", "correlation id"], "rows": rows[::-1],
            },
        }}
