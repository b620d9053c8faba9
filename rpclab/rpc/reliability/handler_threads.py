"""Threads that process requests while the thread that owns the connection keeps it alive."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Generic, TypeVar

from pika.adapters.select_connection import IOLoop

# Passing a request to a thread and being woken by it costs as much as a small answer. So the connection's thread waits
# for the handler before it goes back to its loop: longer when no other request can come, since all threads have work,
# and briefly otherwise. Both times are far below any heartbeat.
PATIENCE_SECONDS = 0.1
BRIEF_SECONDS = 0.0005

T = TypeVar("T")


class HandlerThreads(Generic[T]):
    """Threads that run tasks, and pass what they return to the connection's thread.

    Parameters
    ----------
    count : int
        How many tasks run at the same time.
    loop : pika.adapters.select_connection.IOLoop
        The loop of the connection's thread. All methods are for that thread, except `_run`, which is the handlers' own.
    finished : callable
        Called in the connection's thread with what a task has returned.
    """

    def __init__(self, count: int, loop: IOLoop, finished: Callable[[T], None]):
        self._count = count
        self._loop = loop
        self._finished = finished
        self._tasks: queue.SimpleQueue[Callable[[], T] | None] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[T] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._in_flight = 0
        self._collecting = False
        self._awaited = False
        self._woken = False

    def submit(self, task: Callable[[], T]) -> None:
        """Run a task as soon as a thread is free."""
        self._in_flight += 1
        if len(self._threads) < min(self._in_flight, self._count):
            # A daemon, because a task that never ends must not keep a process that should stop.
            self._threads.append(threading.Thread(target=self._run, name="rpclab handler", daemon=True))
            self._threads[-1].start()
        self._tasks.put(task)

    def collect_soon(self) -> None:
        """Wait a little for the tasks, instead of returning to the connection and being woken.

        This happens once for all deliveries that were read at the same time.
        """
        if not self._collecting:
            self._collecting = True
            self._loop.call_later(0, self._collect_with_patience)

    def close(self) -> None:
        """Let the threads end when they have run what they were given."""
        for _ in self._threads:
            self._tasks.put(None)

    def _collect_with_patience(self) -> None:
        self._collecting = False
        while self._in_flight:
            if not self._collect(PATIENCE_SECONDS if self._in_flight >= self._count else BRIEF_SECONDS):
                break

    def _collect(self, patience: float) -> bool:
        """Pass on the results, after waiting at most `patience` seconds for the first; return whether there is any."""
        done: list[T] = []
        self._woken = False
        if patience:
            self._awaited = True
            with suppress(queue.Empty):
                done.append(self._done.get(timeout=patience))
            self._awaited = False
        # From now on the handlers wake this thread. What they finished just before is in the queue.
        while not self._done.empty():
            done.append(self._done.get_nowait())
        self._in_flight -= len(done)
        for result in done:
            self._finished(result)
        return bool(done)

    def _collect_at_once(self) -> None:
        self._collect(0)

    def _run(self) -> None:
        while (task := self._tasks.get()) is not None:
            self._done.put(task())
            if not self._awaited and not self._woken:
                self._woken = True
                self._loop.add_callback_threadsafe(self._collect_at_once)
