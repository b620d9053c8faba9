"""A server that is started again whenever it ends, as a supervisor such as systemd does."""

from __future__ import annotations

import itertools
import threading

from rpclab.sweep.attendant import READY, SERVE, STOP
from rpclab.sweep.crew import Crew, Hand

_rounds = itertools.count(1)


class Service:
    """A server in a worker process, and the thread that watches it.

    Parameters
    ----------
    crew : Crew
        The processes.

    Attributes
    ----------
    failures : list of str
        How servers ended without an order.
    stuck : bool
        Whether the last one was killed because it did not stop when asked.
    leaked : int
        How many more files or connections were open after the last server than before it.
    """

    def __init__(self, crew: Crew):
        self._round = f"round {next(_rounds)}"
        self.failures: list[str] = []
        self.stuck = False
        self.leaked = 0
        self._crew = crew
        self._hands: list[Hand] = []
        self._ordering = threading.Lock()
        self._ready = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._supervise, name="sweep supervisor", daemon=True)

    def start(self) -> None:
        """Start the server, and return without waiting for it."""
        self._thread.start()

    @property
    def log(self) -> str:
        """What the servers printed."""
        return "\n".join(line for hand in self._hands for line in hand.log(self._round))

    def is_ready(self) -> bool:
        """Return whether a server consumes."""
        return self._ready.is_set()

    def kill(self) -> None:
        """Kill the process; the server is started again in another process."""
        self._ready.clear()
        self._crew.hand.worker.kill()

    def stop(self, patience: float) -> None:
        """Ask the server to stop; kill it if it has not after this many seconds. Calling it again has no effect."""
        with self._ordering:
            if self._stopping.is_set():
                return
            self._stopping.set()
            self._crew.hand.order(STOP, self._round)
        self._thread.join(patience)
        if self._thread.is_alive():
            self.stuck = True
            self._crew.hand.worker.kill()
            self._thread.join()

    def _supervise(self) -> None:
        while True:
            hand = self._crew.ready()
            with self._ordering:
                if self._stopping.is_set():
                    return
                if hand not in self._hands:
                    self._hands.append(hand)
                hand.order(SERVE, self._round)
            while (said := hand.listen()) and said[0] == READY:
                self._ready.set()
            self._ready.clear()
            self.leaked = said[2] if said else 0
            if not self._stopping.is_set():
                self.failures.append(said[1] if said else "killed")
