"""Runs in the sweep's worker processes: one server after the other, because starting a process takes longer."""

from __future__ import annotations

import gc
import os
import queue
import sys
import threading
import traceback
from multiprocessing.connection import Client
from typing import Any

import psutil

SERVE, STOP = "serve", "stop"
READY, ENDED = "ready", "ended"


class Attendant:
    """Makes and runs a server for each order, until the order to stop, and waits for the next one.

    Parameters
    ----------
    address : tuple of (str, int)
        The address at which the sweep gives its orders.
    key : bytes
        The key for that address.
    cls : type
        The server's class.
    *arguments
        The arguments of each server.
    """

    def __init__(self, address: tuple[str, int], key: bytes, cls: type, *arguments: object):
        self._cls = cls
        self._arguments = arguments
        self._server: Any = None
        self._stopping = False
        self._serving = threading.Lock()
        self._rounds: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._address = address
        self._key = key

    def start(self) -> None:
        """Serve as ordered, until the sweep closes the connection."""
        self._sweep = Client(self._address, authkey=self._key)
        self._sweep.send(os.getpid())
        threading.Thread(target=self._follow, daemon=True).start()
        while round := self._rounds.get():
            print(round, flush=True)
            files = _open_files()
            error = self._serve()
            gc.collect()
            self._sweep.send((ENDED, error, _open_files() - files))

    def stop(self) -> None:
        """End `start`; may be called from any thread."""
        self._rounds.put("")
        self._stop_server()

    def _follow(self) -> None:
        try:
            while True:
                order, round = self._sweep.recv()
                if order == SERVE:
                    self._stopping = False
                    self._rounds.put(round)
                else:
                    self._stop_server()
        except (EOFError, OSError):
            self.stop()

    def _serve(self) -> str:
        """Run a server, and return its error; empty if it was ordered to stop."""
        try:
            server = self._cls(*self._arguments)
            with self._serving:
                self._server = server
                if self._stopping:
                    server.stop()
            self._say_when_ready(server)
            server.start()
        except Exception as error:  # noqa: BLE001  the traceback is for the log, and the next round may go better
            print(traceback.format_exc().rstrip(), flush=True)
            return repr(error)
        finally:
            with self._serving:
                self._server = None
        return ""

    def _say_when_ready(self, server: Any) -> None:
        def say() -> None:
            self._sweep.send((READY, "", 0))

        if hasattr(server, "when_consuming"):
            server.when_consuming(say)
        else:
            server.connection.add_callback_threadsafe(say)

    def _stop_server(self) -> None:
        with self._serving:
            self._stopping = True
            if self._server is not None:
                self._server.stop()


def _open_files() -> int:
    process = psutil.Process()
    if sys.platform == "win32":
        return process.num_handles()
    return process.num_fds()
