"""Servers in separate processes, started, watched and stopped from a notebook."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from rpclab.errors import InvalidOption, LabError
from rpclab.rpc.processes.payload import pickled
from rpclab.rpc.processes.worker import START_SECONDS, STOP_SECONDS, Worker, join_all
from rpclab.table import Table

MOST = 64


class Workers:
    """Several processes that each run one server; a context manager.

    The class is sent to the processes by value, so a notebook cell may define it. The processes end with this one,
    however it ends. Any thread may start, pause and stop them, even while another one does. A script needs no
    ``if __name__ == "__main__"``: the processes do not import it.

    Parameters
    ----------
    cls : type
        A class with a ``start`` method, usually a `BaseServer`.
    *arguments
        The class's arguments, for example the queue's name for a `CallbackWorker`. They are copied to the processes, so
        none may be a client, a connection or a lab: the server's ``__init__`` opens its own.
    count : int
        How many processes to start, 0 to 64.
    name : str, optional
        The processes are called ``NAME-0``, ``NAME-1``, ...; the class's name by default.

    Raises
    ------
    WorkerFailed
        If one of them ends before it consumes. The others are then stopped, as after an interrupted start.
    InvalidOption
        If the class or an argument holds something that cannot be sent to another process.

    Notes
    -----
    To stop a server, its ``stop`` method is called, from another thread than ``start``: it should use pika's
    ``add_callback_threadsafe``. A class without ``stop`` is killed.
    """

    def __init__(self, cls: type, *arguments: object, count: int = 2, name: str | None = None):
        if not isinstance(cls, type) or not callable(getattr(cls, "start", None)):
            raise InvalidOption(f"Workers cannot run {cls!r}: give it a class with a start method, like a BaseServer.")
        self._changed = threading.Condition()
        self._counting = threading.Lock()
        self._payload = pickled(cls, arguments)
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
        """The pids of the running processes."""
        return [worker.pid for worker in self._workers if worker.alive and worker.pid is not None]

    def scale(self, count: int) -> None:
        """Start or stop processes until `count` run; return when all of them consume.

        Raises
        ------
        WorkerFailed
            If a new one ends before it consumes. The other new ones are stopped; those that ran before go on.
        """
        if isinstance(count, bool) or not isinstance(count, int) or not 0 <= count <= MOST:
            raise InvalidOption(f"count={count!r}: it is the number of processes, up to {MOST}.")
        with self._starting() as fresh:
            with self._counting:
                running = self._running()
                surplus = running[count:]
                _ask_to_stop(surplus)
                for _ in range(count - len(running)):
                    self._start(fresh)
            join_all(surplus, STOP_SECONDS)

    def start_one(self) -> Worker:
        """Start one more process and return it when it consumes.

        Raises
        ------
        WorkerFailed
            If it ends before it consumes; the others go on.
        InvalidOption
            If 64 run already.
        """
        with self._starting() as fresh, self._counting:
            if len(self._running()) >= MOST:
                raise InvalidOption(f"{self.name} has {MOST} processes already, the maximum. Stop one before.")
            self._start(fresh)
        return fresh[0]

    def stop_one(self, index: int) -> None:
        """Stop one process when it has replied to its requests in hand, and return when it has ended."""
        self[index].stop()

    def kill(self, index: int) -> None:
        """Kill one process at once with SIGKILL, as ``kill -9`` does."""
        self[index].kill()

    def pause(self, index: int) -> None:
        """Pause one process with SIGSTOP, as ``kill -STOP`` does: alive, connected, and doing nothing.

        Raises
        ------
        LabError
            If it has ended, or was asked to stop.
        """
        self[index].pause()

    def resume(self, index: int) -> None:
        """Resume a paused process with SIGCONT; has no effect on a running one.

        Raises
        ------
        LabError
            If it has ended.
        """
        self[index].resume()

    def stop(self) -> None:
        """Stop all processes; calling it again has no effect."""
        with self._counting:
            workers = list(self._workers)
            _ask_to_stop(workers)
        join_all(workers, STOP_SECONDS)

    @property
    def log(self) -> str:
        """What the processes printed, one after the other."""
        return "\n".join(line for worker in self._workers for line in worker.log)

    def wait_for_lines(self, text: str, count: int = 1, timeout: float = START_SECONDS) -> list[str]:
        """Wait until the processes have printed ``count`` lines with a text in them, and return those lines.

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

    def __iter__(self) -> Iterator[Worker]:
        return iter(self._workers)

    def __len__(self) -> int:
        return len(self._workers)

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"Workers({', '.join(map(repr, self._workers)) or 'none'})"

    def _running(self) -> list[Worker]:
        """Return the running processes, without those that were asked to stop."""
        return [worker for worker in self._workers if worker.alive and not worker.stopped]

    @contextmanager
    def _starting(self) -> Iterator[list[Worker]]:
        """Wait for the processes that are started within; stop them if one fails, or on an interrupt."""
        fresh: list[Worker] = []
        try:
            yield fresh
            for worker in fresh:
                worker.wait_until_ready()
        except BaseException:
            _ask_to_stop(fresh)
            join_all(fresh, STOP_SECONDS)
            raise

    def _start(self, fresh: list[Worker]) -> None:
        worker = Worker(f"{self.name}-{self._number}", self._changed)
        self._number += 1
        # Before it starts, so that an interrupt can stop it at any moment.
        fresh.append(worker)
        self._workers.append(worker)
        worker.start(self._payload)


def _ask_to_stop(workers: list[Worker]) -> None:
    for worker in workers:
        worker.terminate()
