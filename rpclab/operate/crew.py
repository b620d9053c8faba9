"""Several `Workers` together: what each process is doing, and commands to a process by its name."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import suppress

from rpclab.errors import InvalidName, InvalidOption
from rpclab.lab import Lab
from rpclab.operate.commands import Command, Commands
from rpclab.rpc.processes.worker import Worker
from rpclab.rpc.workers import Workers
from rpclab.story.worker_activity import Record, Work
from rpclab.table import Table

# How often to read what only the operating system knows.
TICK_SECONDS = 0.25


class Crew:
    """The processes of several `Workers`.

    Parameters
    ----------
    lab : Lab
        The lab whose queues they serve.
    pools : sequence of Workers
        The pools of processes.
    changed : callable
        Called when something may have changed, in any thread.
    """

    def __init__(self, lab: Lab, pools: tuple[Workers, ...], changed: Callable[[], None]):
        self.pools = pools
        self.commands = Commands(changed)
        self._lab = lab
        self._changed = changed
        self._closing = threading.Event()
        self._work = Work(lab.story, changed)
        self._ticker = threading.Thread(target=self._tick, name="rpclab crew", daemon=True)
        self._ticker.start()

    def __iter__(self) -> Iterator[Worker]:
        return (worker for pool in self.pools for worker in self.of(pool))

    def of(self, pool: Workers) -> list[Worker]:
        """Return a pool's processes, without one that is yet to start."""
        return [worker for worker in list(pool) if worker.pid is not None]

    def tell(self, what: str, name: str) -> Command:
        """Stop, kill, pause or resume a process, and return at once.

        Raises
        ------
        InvalidName
            If no process has this name, or several running ones have it.
        """
        worker = self._named(name)
        return self.commands.give(f"{what} {worker.name}", getattr(worker, what))

    def start_one(self, pool: int | str = 0) -> Command:
        """Start one more process of a pool, given by its position or name, and return at once."""
        workers = self.pool(pool)
        return self.commands.give(f"add a process to {workers.name}", workers.start_one)

    def scale(self, count: int, pool: int | str = 0) -> Command:
        """Start or stop processes until `count` run, and return at once."""
        workers = self.pool(pool)
        return self.commands.give(f"scale {workers.name} to {count}", lambda: workers.scale(count))

    def pool(self, which: int | str) -> Workers:
        """Return a pool by its position or its name."""
        named = [pool for pool in self.pools if pool.name == which]
        if named:
            return named[0]
        if not isinstance(which, int) or isinstance(which, bool) or which not in range(len(self.pools)):
            names = ", ".join(pool.name for pool in self.pools)
            raise InvalidOption(f"{which!r}: there are {len(self.pools)} Workers, counted from 0: {names}.")
        return self.pools[which]

    def record(self, worker: Worker) -> Record:
        """Return the deliveries that a process has finished and holds."""
        return self._work.of(worker.pid)

    def states(self) -> dict[str, str]:
        """Return what each process is doing: ``starting``, ``running``, ``paused``, ``stopping``, ``dead``, ..."""
        return {worker.name: _state(worker) for worker in self}

    def table(self) -> Table:
        """Return name, state, and the counts of deliveries done and redelivered of each process."""
        # A closed lab reports nothing more.
        with suppress(RuntimeError):
            self._lab.tap.catch_up()
        records = [(worker, self.record(worker)) for worker in self]
        rows = [
            {"name": worker.name, "state": doing(worker, record), "done": record.done,
             "redelivered": record.redelivered}
            for worker, record in records
        ]
        return Table(("name", "state", "done", "redelivered"), rows, empty="(no processes)")

    def close(self) -> None:
        """End the threads; the processes go on."""
        self._closing.set()
        self._work.close()
        self._ticker.join()
        self.commands.close()

    def _named(self, name: str) -> Worker:
        found = [worker for worker in self if worker.name == name]
        running = [worker for worker in found if worker.alive]
        if len(running) > 1:
            raise InvalidName(f"{len(running)} processes are called {name!r}. Use Workers(..., name=...).")
        if not found:
            names = ", ".join(worker.name for worker in self) or "none"
            raise InvalidName(f"No process on the board is called {name!r}. Its processes: {names}.")
        return (running or found)[0]

    def _tick(self) -> None:
        while not self._closing.wait(TICK_SECONDS):
            self._changed()


def doing(worker: Worker, record: Record) -> str:
    """Return what a process is doing: ``idle``, ``working on request 1``, ``paused, holds request 1``, ``dead``."""
    state = _state(worker)
    held = [step.message.name for step in record.held.values()]
    what = f"{held[0]} and {len(held) - 1} more" if len(held) > 1 else "".join(held)
    if state == "paused":
        return f"paused, holds {what}" if what else state
    if state != "running":
        return state
    return f"working on {what}" if what else "idle"


def _state(worker: Worker) -> str:
    state = worker.state
    return "stopping" if state in ("starting", "running") and worker.stopped else state
