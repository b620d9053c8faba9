"""The worker processes of a station: one that serves, and one that replaces it when it is killed."""

from __future__ import annotations

import os
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from multiprocessing.connection import Connection, Listener

from rpclab.errors import WorkerFailed
from rpclab.rpc.processes.worker import Worker
from rpclab.rpc.workers import Workers
from rpclab.sweep.attendant import Attendant

TRIES = 3


class Hand:
    """A worker process, and the connection over which it gets its orders.

    Attributes
    ----------
    worker : Worker
        The process.
    gone : bool
        Whether it has ended.
    """

    def __init__(self, worker: Worker, orders: Connection):
        self.worker = worker
        self.gone = False
        self._orders = orders

    def order(self, what: str, round: str) -> None:
        """Send it an order; has no effect if it has ended."""
        with suppress(OSError):
            self._orders.send((what, round))

    def log(self, round: str) -> list[str]:
        """Return what it has printed in a round and after it."""
        lines = self.worker.log
        return lines[lines.index(round) + 1:] if round in lines else []

    def listen(self) -> tuple[str, str, int] | None:
        """Return its next message, or None if it has ended."""
        try:
            return self._orders.recv()
        except (EOFError, OSError):
            self.gone = True
            return None


class Crew:
    """The processes of a station; a context manager, which ends them.

    After the first kill, the next process is always started before it is needed.

    Parameters
    ----------
    cls : type
        The server's class.
    *arguments
        The arguments of each server.
    """

    def __init__(self, cls: type, *arguments: object):
        key = os.urandom(16)
        self._listener = Listener(("127.0.0.1", 0), authkey=key)
        self._workers = Workers(Attendant, self._listener.address, key, cls, *arguments, count=0, name="worker")
        self._starting = ThreadPoolExecutor(1, "sweep crew")
        self._spare: Future[Hand] | None = None
        try:
            self.hand = self._new_hand(TRIES)
        except BaseException:
            self.close()
            raise

    def ready(self) -> Hand:
        """Return the process that serves; replace it first if it has ended."""
        if self.hand.gone:
            self.hand.worker.kill()
            self.hand = self._spare.result() if self._spare else self._new_hand(TRIES)
            self._spare = self._starting.submit(self._new_hand, TRIES)
        return self.hand

    def close(self) -> None:
        """End all processes."""
        self._starting.shutdown()
        self._listener.close()
        self._workers.stop()

    def __enter__(self) -> Crew:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def _new_hand(self, tries: int) -> Hand:
        try:
            worker = self._workers.start_one()
        except WorkerFailed:
            # On a busy machine, a process may take too long to start.
            if tries == 1:
                raise
            return self._new_hand(tries - 1)
        while True:
            orders = self._listener.accept()
            with suppress(EOFError, OSError):  # it may be one that was given up
                if orders.recv() == worker.pid:
                    return Hand(worker, orders)
