"""Servers in operating-system processes of their own, started, watched and ended from a notebook."""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from collections import deque
from multiprocessing.connection import Connection

import cloudpickle

from rpclab.errors import InvalidOption, LabError, WorkerFailed
from rpclab.rpc import worker_process
from rpclab.table import Table

START_SECONDS = 15.0
STOP_SECONDS = 5.0
LINES_KEPT = 1_000


class Worker:
    """One server in one process.

    Attributes
    ----------
    name : str
        The process's name, for example ``FibonacciServer-0``.
    pid : int
        The operating system's number for it.
    """

    def __init__(self, name: str, payload: bytes, context, changed: threading.Condition):
        self.name = name
        self.stopped = False
        self._lines: deque[str] = deque(maxlen=LINES_KEPT)
        self._changed = changed
        self._ready = False
        self._silent = False
        receiver, sender = context.Pipe(duplex=False)
        self._process = context.Process(
            target=worker_process.main, args=(payload, sender, dict(os.environ)), name=name, daemon=True
        )
        self._process.start()
        sender.close()
        self.pid: int = self._process.pid
        self._listener = threading.Thread(target=self._listen, args=(receiver,), name=f"log of {name}", daemon=True)
        self._listener.start()

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process.is_alive()

    @property
    def state(self) -> str:
        """``starting``, ``running``, ``stopped`` (it was asked to) or ``dead`` (it was not)."""
        if self.alive:
            return "running" if self._ready else "starting"
        return "stopped" if self.stopped else "dead"

    @property
    def exitcode(self) -> int | None:
        """None while it runs; 0 for a clean end, -9 for one by SIGKILL, and so on."""
        return self._process.exitcode

    @property
    def log(self) -> list[str]:
        """The lines that it has printed, at most the last 1,000."""
        with self._changed:
            return list(self._lines)

    def wait_until_ready(self, timeout: float = START_SECONDS) -> None:
        """Return when it consumes.

        Raises
        ------
        WorkerFailed
            If it ends before that, with what it printed.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._ready or self._silent, timeout)
        if not self._ready:
            self._process.join(STOP_SECONDS if self._silent else 0)
            what = f"ended (exit code {self.exitcode})" if not self.alive else f"was not ready after {timeout:g} s"
            said = "\n".join(self.log) or "(nothing printed)"
            raise WorkerFailed(f"{self.name} {what}. What it printed:\n{said}")

    def kill(self) -> None:
        """End it at once with SIGKILL, whatever it is doing; it cannot object."""
        self._process.kill()
        self._process.join()
        self._listener.join(STOP_SECONDS)

    def terminate(self) -> None:
        """Ask it to end, without waiting."""
        self.stopped = True
        self._process.terminate()

    def join(self, timeout: float) -> None:
        """Wait until it has ended; after the timeout in seconds, kill it."""
        self._process.join(timeout)
        if self.alive:
            self.kill()
        self._listener.join(STOP_SECONDS)

    def __repr__(self) -> str:
        return f"{self.name} {self.state}"

    def _listen(self, receiver: Connection) -> None:
        """Collect what the process says until it has ended; runs in a thread of its own."""
        with receiver:
            while True:
                try:
                    said = receiver.recv_bytes()
                except (EOFError, OSError):
                    break
                with self._changed:
                    if said == worker_process.READY:
                        self._ready = True
                    else:
                        self._lines.append(said.decode())
                    self._changed.notify_all()
        with self._changed:
            self._silent = True
            self._changed.notify_all()


class Workers:
    """Several processes that each run one server; a context manager.

    The class is sent to the processes by value, so it may have been defined in a notebook cell. The processes end with
    this one, however it ends.

    Parameters
    ----------
    cls : type
        A class with a ``start`` method, usually a `BaseServer`.
    *arguments
        What to make each server with, for example the queue's name for a `CallbackWorker`.
    count : int
        How many processes, 1 to 64.
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
        if isinstance(count, bool) or not isinstance(count, int) or not 0 <= count <= 64:
            raise InvalidOption(f"count={count!r}: it is the number of processes, up to 64.")
        running = [worker for worker in self._workers if worker.alive]
        _stop(running[count:])
        fresh = [self._start_one() for _ in range(count - len(running))]
        try:
            for worker in fresh:
                worker.wait_until_ready()
        except WorkerFailed:
            self.stop()
            raise

    def kill(self, index: int) -> None:
        """End one process at once with SIGKILL, as ``kill -9`` does."""
        self[index].kill()

    def stop(self) -> None:
        """End all processes; a second time does nothing."""
        _stop(self._workers)

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

    def _start_one(self) -> Worker:
        worker = Worker(f"{self.name}-{self._number}", self._payload, self._context, self._changed)
        self._number += 1
        self._workers.append(worker)
        return worker


def _stop(workers: list[Worker]) -> None:
    running = [worker for worker in workers if worker.alive]
    for worker in running:
        worker.terminate()
    deadline = time.monotonic() + STOP_SECONDS
    for worker in running:
        worker.join(max(0, deadline - time.monotonic()))
