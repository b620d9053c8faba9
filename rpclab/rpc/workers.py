"""Servers in operating-system processes of their own, started, watched and ended from a notebook."""

from __future__ import annotations

import multiprocessing
import threading
import time

import cloudpickle

from rpclab.errors import InvalidOption, LabError, WorkerFailed
from rpclab.rpc.worker import START_SECONDS, STOP_SECONDS, Worker
from rpclab.table import Table

MOST = 64


class Workers:
    """Several processes that each run one server; a context manager.

    The class is sent to the processes by value, so it may have been defined in a notebook cell. The processes end with
    this one, however it ends. Any thread may start, pause and end them, also at the same time as another one.

    Parameters
    ----------
    cls : type
        A class with a ``start`` method, usually a `BaseServer`.
    *arguments
        What to make each server with, for example the queue's name for a `CallbackWorker`.
    count : int
        How many processes to begin with, 0 to 64.
    name : str, optional
        The processes are called ``NAME-0``, ``NAME-1``, ...; by default after the class.
    start_method : str
        ``"spawn"`` (the same on each system) or another of `multiprocessing.get_all_start_methods`.

    Raises
    ------
    WorkerFailed
        If one of them ends before it consumes.
    """

    def __init__(self, cls: type, *arguments, count: int = 2, name: str | None = None, start_method: str = "spawn"):
        if not isinstance(cls, type) or not callable(getattr(cls, "start", None)):
            raise InvalidOption(f"{cls!r} cannot be run by Workers: it is no class with a start method.")
        self._changed = threading.Condition()
        self._counting = threading.Lock()
        if start_method not in multiprocessing.get_all_start_methods():
            known = ", ".join(multiprocessing.get_all_start_methods())
            raise InvalidOption(f"start_method={start_method!r}: on this system it is one of {known}.")
        self._context = multiprocessing.get_context(start_method)
        self._payload = cloudpickle.dumps((cls, arguments))
        self.name = name or cls.__name__
        self._number = 0
        self._workers: list[Worker] = []
        self.scale(count)

    @property
    def names(self) -> list[str]:
        """The names of the processes."""
        return [worker.name for worker in self._workers]

    @property
    def pids(self) -> list[int]:
        """The pids of those that run."""
        return [worker.pid for worker in self._workers if worker.alive]

    def scale(self, count: int) -> None:
        """Start or stop processes until so many run; return when all of them consume."""
        if isinstance(count, bool) or not isinstance(count, int) or not 0 <= count <= MOST:
            raise InvalidOption(f"count={count!r}: it is the number of processes, up to {MOST}.")
        with self._counting:
            running = self._running()
            surplus = running[count:]
            _ask_to_stop(surplus)
            fresh = [self._start() for _ in range(count - len(running))]
        _join(surplus)
        try:
            for worker in fresh:
                worker.wait_until_ready()
        except WorkerFailed:
            self.stop()
            raise

    def start_one(self) -> Worker:
        """Start one more process and return it when it consumes.

        Raises
        ------
        WorkerFailed
            If it ends before that; the others go on.
        InvalidOption
            If there are 64 already.
        """
        with self._counting:
            if len(self._running()) >= MOST:
                raise InvalidOption(f"{self.name} has {MOST} processes already, which is as many as there can be.")
            worker = self._start()
        worker.wait_until_ready()
        return worker

    def stop_one(self, index: int) -> None:
        """Ask one process to end when it has answered what it has taken, and return when it has."""
        self[index].stop()

    def kill(self, index: int) -> None:
        """End one process at once with SIGKILL, as ``kill -9`` does."""
        self[index].kill()

    def pause(self, index: int) -> None:
        """Put one process on hold with SIGSTOP, as ``kill -STOP`` does: alive, connected, and doing nothing.

        Raises
        ------
        LabError
            If it has ended, or was asked to.
        """
        self[index].pause()

    def resume(self, index: int) -> None:
        """Have a paused process go on with SIGCONT; does nothing to one that runs.

        Raises
        ------
        LabError
            If it has ended.
        """
        self[index].resume()

    def stop(self) -> None:
        """End all processes; a second time does nothing."""
        with self._counting:
            workers = list(self._workers)
            _ask_to_stop(workers)
        _join(workers)

    @property
    def log(self) -> str:
        """What the processes printed, one after the other."""
        return "\n".join(line for worker in self._workers for line in worker.log)

    def wait_for_lines(self, text: str, count: int = 1, timeout: float = START_SECONDS) -> list[str]:
        """Wait until the processes have printed so many lines with a text in them, and return those lines.

        Raises
        ------
        LabError
            If fewer come before the timeout in seconds.
        """

        def lines() -> list[str]:
            return [line for worker in self._workers for line in worker.log if text in line]

        with self._changed:
            if not self._changed.wait_for(lambda: len(lines()) >= count, timeout):
                raise LabError(
                    f"After {timeout:g} s the processes have printed {len(lines())} of {count} lines with {text!r}. "
                    "workers.log shows what they did print."
                )
            return lines()

    def table(self) -> Table:
        """Return name, pid and state of each process."""
        rows = [{"name": worker.name, "pid": worker.pid, "state": worker.state} for worker in self._workers]
        return Table(("name", "pid", "state"), rows)

    def __getitem__(self, index: int) -> Worker:
        return self._workers[index]

    def __len__(self) -> int:
        return len(self._workers)

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *exc_info) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"Workers({', '.join(map(repr, self._workers)) or 'none'})"

    def _running(self) -> list[Worker]:
        """Return those that are to stay: one that was asked to stop is as good as gone."""
        return [worker for worker in self._workers if worker.alive and not worker.stopped]

    def _start(self) -> Worker:
        worker = Worker(f"{self.name}-{self._number}", self._payload, self._context, self._changed)
        self._number += 1
        self._workers.append(worker)
        return worker


def _ask_to_stop(workers: list[Worker]) -> None:
    for worker in workers:
        worker.terminate()


def _join(workers: list[Worker]) -> None:
    deadline = time.monotonic() + STOP_SECONDS
    for worker in workers:
        worker.join(max(0, deadline - time.monotonic()))
