"""A board of worker processes: what each one does, and buttons to add, stop, kill and pause them."""

from __future__ import annotations

import time

from rpclab.errors import InvalidOption
from rpclab.lab import Lab, current_lab
from rpclab.operate.commands import Command
from rpclab.operate.crew import Crew, doing
from rpclab.operate.request_view import shown
from rpclab.rpc.processes.worker import Worker
from rpclab.rpc.workers import Workers
from rpclab.table import Table
from rpclab.widgets.pane import Pane, act

WAIT_SECONDS = 30.0
ENDED_SHOWN = 6
ENDED = ("stopped", "dead")
MOODS = {"working": "calm", "starting": "wait", "paused": "wait", "stopping": "wait", "dead": "bad"}


class WorkerBoard(Pane):
    """A row for each process of one or more `Workers`: its state, its request, its counts, and what it printed.

    The board reads from the lab's connections what a process does, so it works for any class that `Workers` runs.
    ``done`` counts the deliveries that it acknowledged, ``redelivered`` those that the broker had sent before. Closing
    the board does not stop the processes.

    Parameters
    ----------
    *workers : Workers
        The processes to show, one `Workers` or more.
    lab : Lab, optional
        The lab whose queues they serve; the one opened last if not given.
    """

    _crew: Crew

    def __init__(self, *workers: Workers, lab: Lab | None = None):
        if not workers or not all(isinstance(each, Workers) for each in workers) or len(set(workers)) < len(workers):
            raise InvalidOption(
                f"WorkerBoard({', '.join(map(repr, workers))}): it takes one or more Workers, each of them once, as in "
                "rpclab.WorkerBoard(workers)."
            )
        lab = lab or current_lab()
        lab.check_open()  # before there is anything to close again
        self._workers = workers
        self._acts = {
            "stop_one": self.stop, "kill": self.kill, "pause": self.pause, "resume": self.resume, "start_one": self.add,
        }
        super().__init__()
        self._crew = Crew(lab, workers, self._touch)
        self._touch()

    def stop(self, name: str) -> Command:
        """Ask a process to stop, as a click on its Stop does, and return at once; `wait` waits until it has.

        Raises
        ------
        InvalidName
            If no process on the board has this name, or several running ones have it.
        """
        return self._crew.tell("stop", name)

    def kill(self, name: str) -> Command:
        """Kill a process at once with SIGKILL; see `stop` for the rest."""
        return self._crew.tell("kill", name)

    def pause(self, name: str) -> Command:
        """Pause a process with SIGSTOP; see `stop` for the rest."""
        return self._crew.tell("pause", name)

    def resume(self, name: str) -> Command:
        """Resume a paused process with SIGCONT; see `stop` for the rest."""
        return self._crew.tell("resume", name)

    def add(self, index: int = 0) -> Command:
        """Start one more process of the board's first `Workers`, or of another; see `stop` for the rest."""
        return self._crew.start_one(index)

    def scale(self, count: int, index: int = 0) -> Command:
        """Start or stop processes until `count` run; see `stop` for the rest."""
        return self._crew.scale(count, index)

    def wait(self, timeout: float = WAIT_SECONDS) -> WorkerBoard:
        """Return when all commands of the board have run, failed ones included.

        Raises
        ------
        LabError
            If some have not run within the timeout in seconds.
        """
        self._crew.commands.wait(timeout)
        return self

    def table(self) -> Table:
        """Return name, state, and the counts of deliveries done and redelivered of each process."""
        return self._crew.table()

    def close(self) -> None:
        """Remove the board and end its threads; the processes go on. Calling it again has no effect."""
        # The finalizer also closes a board whose __init__ failed.
        if "_crew" in vars(self) and self._refresher:
            self._crew.close()
            self._stop_drawing()
        super().close()

    def __str__(self) -> str:
        return repr(self.table())

    def __repr__(self) -> str:
        return f"WorkerBoard({', '.join(workers.name for workers in self._workers)})"

    def _render(self) -> None:
        if "_crew" not in vars(self):
            return
        ended = [worker for worker in self._crew if not worker.alive]
        hidden = ended[:-ENDED_SHOWN]
        buttons = [
            act("start_one", f"+ 1 {workers.name}", "Start one more process", index)
            for index, workers in enumerate(self._workers)
        ]
        notes = [self._crew.commands.line or self._trouble]
        if hidden:
            notes.append(f"{len(hidden)} that ended before are not shown.")
        self.scene = {"card": {
            "title": "Processes of", "code": ", ".join(workers.name for workers in self._workers), "acts": buttons,
            "table": {
                "columns": ["process", "state", "done", "redelivered", "printed last", ""],
                "rows": [self._row(worker) for worker in self._crew if worker not in hidden],
            },
            "note": " ".join(filter(None, notes)),
        }}

    def _row(self, worker: Worker) -> dict:
        record = self._crew.record(worker)
        state = doing(worker, record)
        first = next(iter(record.held.values()), None) if state.startswith("working") else None
        since = f" for {time.monotonic() - first.time:.0f} s" if first else ""
        log = worker.log
        return {"key": worker.pid, "cells": [
            {"text": worker.name, "title": f"process {worker.pid}"},
            {"mood": MOODS.get(state.split(" ")[0].strip(","), "off"), "text": f"{state}{since}"},
            str(record.done), str(record.redelivered), shown(log[-1] if log else "(nothing printed)", 160),
            {"acts": process_acts(worker.name, state)},
        ]}


def process_acts(name: str, state: str) -> list[dict]:
    """Return the buttons of a process."""
    if state in ENDED:
        return []
    ending = state == "stopping"
    hold = act("pause", "pause", f"Pause {name} (SIGSTOP)", name, off=ending, key="hold")
    if state.startswith("paused"):
        hold = act("resume", "resume", f"Resume {name} (SIGCONT)", name, key="hold")
    return [
        act("kill", "kill -9", f"Kill {name} at once, whatever it is doing (SIGKILL)", name, danger=True),
        hold,
        act("stop_one", "stop", f"Ask {name} to stop after the requests in hand", name, off=ending),
    ]
