"""The inside of a worker process: what runs before, around and after the server's own code.

The process that started this one writes to its standard input: where to import from, what to run, and later the order
to stop. The input ends when that process does. The server's output returns by the standard output.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import sys
import threading
import traceback
from typing import BinaryIO, TextIO

from pika.exceptions import AMQPError

# The first lines of the process. The program that started it may have changed where Python imports from.
BOOTSTRAP = (
    "import os, pickle, sys; orders = os.fdopen(os.dup(0), 'rb'); sys.path[:] = pickle.load(orders); "
    "from rpclab.rpc.processes.worker_process import main; main(orders)"
)
STOP = b"s"
READY = "\0ready"
PARENT_GONE = 3


def main(orders: BinaryIO) -> None:
    """Make the server and run it until it stops or the process that started this one ends.

    Parameters
    ----------
    orders : binary file
        Where the process's name, the server's class and arguments (pickled by value) and later orders come from.
    """
    # An interrupted cell interrupts the notebook's whole process group; the workers should go on.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _leave_process_group()
    sys.stdout = sys.stderr = lines = _keep_the_pipes()
    multiprocessing.current_process().name, payload = pickle.load(orders)
    server = _Server()
    threading.Thread(target=_follow, args=(orders, server), daemon=True).start()
    try:
        # Written by cloudpickle, which takes long to import, and is imported here only if what is read names it.
        cls, arguments = pickle.loads(payload)
        server.made = made = cls(*arguments)
        signal.signal(signal.SIGTERM, lambda *_: server.stop())
        _report_when_consuming(made, lines)
        made.start()
    except AMQPError as error:
        print(f" [!] connection lost: {error!r}")
        sys.exit(1)
    except Exception:  # noqa: BLE001  the traceback is for the author of the class
        print(traceback.format_exc().rstrip())
        sys.exit(1)


class _Server:
    """The server, once it is made."""

    made: object = None

    def stop(self) -> None:
        """Let the server finish its requests in hand if its class can; otherwise end this process at once."""
        stop = getattr(self.made, "stop", None)
        if stop is None:
            os._exit(0)
        stop()


def _leave_process_group() -> None:
    """Make the operating system wake and end this process if it is paused when its parent dies.

    Paused, it cannot watch its parent. But the system sends SIGHUP and SIGCONT to an orphaned process group if one of
    its members is stopped: https://pubs.opengroup.org/onlinepubs/9699919799/functions/_exit.html.
    """
    if hasattr(os, "setpgid"):
        os.setpgid(0, 0)


def _keep_the_pipes() -> TextIO:
    """Return the standard output for this process alone; the server's own children inherit neither it nor the input.

    A child that held the output would keep it open after this process has ended, and one that read from the input
    would take the orders. Children print to the error output, which is the notebook's.
    """
    output = os.dup(1)
    os.dup2(2, 1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    return open(output, "w", buffering=1, encoding="utf-8", errors="backslashreplace", newline="\n")


def _follow(orders: BinaryIO, server: _Server) -> None:
    """Stop the server when ordered, and end this process with the one that started it; runs in its own thread."""
    while orders.read(1) == STOP:
        server.stop()
    os._exit(PARENT_GONE)


def _report_when_consuming(server: object, lines: TextIO) -> None:
    """Write READY once the server consumes, or once its connection runs; pika runs callbacks only then."""

    def ready() -> None:
        lines.write(f"{READY}\n")

    announce = getattr(server, "when_consuming", None)  # by then it may use its second connection
    announce = announce or getattr(getattr(server, "connection", None), "add_callback_threadsafe", None)
    if announce:
        announce(ready)
    else:
        ready()
