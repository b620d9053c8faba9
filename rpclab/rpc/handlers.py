"""Threads that work on requests while another thread, the one that owns the connection, keeps it alive."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from contextlib import suppress


class Handlers:
    """Some threads that carry out tasks; what each returns is for the connection's thread to collect.

    Parameters
    ----------
    count : int
        How many tasks are carried out at the same time.
    wake : callable
        Called in a handler's thread when a task is done and nobody waits for it in `collect`; it has the connection's
        thread call `collect` soon.
    """

    def __init__(self, count: int, wake: Callable[[], None]):
        self._count = count
        self._wake = wake
        self._tasks: queue.SimpleQueue[Callable[[], object] | None] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[object] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._under_way = 0
        self._awaited = False

    def submit(self, task: Callable[[], object]) -> None:
        """Have a task carried out as soon as a thread is free."""
        self._under_way += 1
        if len(self._threads) < min(self._under_way, self._count):
            # A daemon, because a task that never ends must not keep a process that is told to stop.
            self._threads.append(threading.Thread(target=self._run, name="rpclab handler", daemon=True))
            self._threads[-1].start()
        self._tasks.put(task)

    def collect(self, patience: float) -> list[object]:
        """Return what has been done since the last time, after waiting so many seconds for the first at the most."""
        done = []
        if patience:
            self._awaited = True
            with suppress(queue.Empty):
                done.append(self._done.get(timeout=patience))
            self._awaited = False
        # Only now that the handlers see that they have to wake us: what one of them did just before is here.
        while not self._done.empty():
            done.append(self._done.get_nowait())
        self._under_way -= len(done)
        return done

    def close(self) -> None:
        """Let the threads end when they have carried out what they were given."""
        for _ in self._threads:
            self._tasks.put(None)

    def _run(self) -> None:
        while (task := self._tasks.get()) is not None:
            self._done.put(task())
            if not self._awaited:
                self._wake()
