"""The inside of a worker process: what runs before, around and after the server's own code."""

from __future__ import annotations

import io
import multiprocessing
import os
import signal
import sys
import threading
import traceback
from multiprocessing.connection import Connection, wait

import cloudpickle
from pika.exceptions import AMQPError

READY = b"\0ready"
PARENT_GONE = 3


def main(payload: bytes, link: Connection, environment: dict[str, str]) -> None:
    """Make the server and run it until it stops or the process that started this one is gone.

    Parameters
    ----------
    payload : bytes
        The server's class and arguments, pickled by value by the process that started this one.
    link : multiprocessing.connection.Connection
        Where printed lines and the word that the server consumes are sent.
    environment : dict of str
        The starting process's environment at the time; a fork server's may be older.
    """
    os.environ.update(environment)
    # An interrupted cell interrupts the notebook's whole process group; the workers are not meant.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _leave_process_group()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    sys.stdout = sys.stderr = lines = _Lines(link)
    try:
        cls, arguments = cloudpickle.loads(payload)
        server = cls(*arguments)
        signal.signal(signal.SIGTERM, lambda *_: _stop(server))
        _tell_when_consuming(server, lines)
        server.start()
    except AMQPError as error:
        print(f" [!] connection lost: {error!r}")
        sys.exit(1)
    except Exception:  # noqa: BLE001  the traceback is for the one who wrote the class
        print(traceback.format_exc().rstrip())
        sys.exit(1)


def _leave_process_group() -> None:
    """Have the operating system wake and end this process if it is paused when its parent dies.

    Paused, it cannot watch its parent. But a process group whose last tie to its session is gone is sent SIGHUP and
    SIGCONT if one of its members is stopped: https://pubs.opengroup.org/onlinepubs/9699919799/functions/_exit.html.
    """
    if hasattr(os, "setpgid"):
        os.setpgid(0, 0)


def _end_with_parent() -> None:
    wait([multiprocessing.parent_process().sentinel])
    os._exit(PARENT_GONE)


def _stop(server) -> None:
    """Stop in good order where the class can, at once where it cannot."""
    stop = getattr(server, "stop", None)
    if stop is None:
        os._exit(0)
    stop()


def _tell_when_consuming(server, lines: _Lines) -> None:
    """Send READY once the server consumes, or once its connection is being served; pika runs callbacks only then."""
    connection = getattr(server, "connection", None)
    if hasattr(server, "when_consuming"):
        server.when_consuming(lines.ready)  # by then it may be on its second connection
    elif hasattr(connection, "add_callback_threadsafe"):
        connection.add_callback_threadsafe(lines.ready)
    else:
        lines.ready()


class _Lines(io.TextIOBase):
    """A standard output that goes line by line to the process that started this one."""

    def __init__(self, link: Connection):
        self._link = link
        self._rest = ""
        self._lock = threading.Lock()

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        with self._lock:
            *lines, self._rest = (self._rest + text).split("\n")
            for line in lines:
                self._link.send_bytes(line.encode(errors="backslashreplace"))
        return len(text)

    def ready(self) -> None:
        """Say that the server consumes."""
        with self._lock:
            self._link.send_bytes(READY)
