"""One server in an operating-system process of its own, as the notebook that started it sees it."""

from __future__ import annotations

import atexit
import os
import threading
import time
import weakref
from collections import deque
from contextlib import suppress
from multiprocessing.connection import Connection, wait

import psutil

from rpclab.errors import LabError, WorkerFailed
from rpclab.rpc import worker_process

START_SECONDS = 15.0
STOP_SECONDS = 5.0
SIGNAL_SECONDS = 5.0
SIGNAL_POLL_SECONDS = 0.002
LINES_KEPT = 1_000

# The operating system tells of a child's end once. Two threads that ask at the same time would each miss something,
# and starting a process asks for all the others.
_children = threading.RLock()
_started: weakref.WeakSet[Worker] = weakref.WeakSet()


class Worker:
    """One server in one process. Its methods may be called from any thread.

    Attributes
    ----------
    name : str
        The process's name, for example ``FibonacciServer-0``.
    pid : int
        The operating system's number for it.
    stopped : bool
        Whether it was asked to end.
    """

    def __init__(self, name: str, payload: bytes, context, changed: threading.Condition):
        self.name = name
        self.stopped = False
        self._lines: deque[str] = deque(maxlen=LINES_KEPT)
        self._changed = changed
        self._ready = False
        self._silent = False
        self._signalling = threading.Lock()
        receiver, sender = context.Pipe(duplex=False)
        self._process = context.Process(
            target=worker_process.main, args=(payload, sender, dict(os.environ)), name=name, daemon=True
        )
        with _children:
            self._process.start()
            self.pid: int = self._process.pid
            self._system = psutil.Process(self.pid)
        sender.close()
        _started.add(self)
        self._listener = threading.Thread(target=self._listen, args=(receiver,), name=f"log of {name}", daemon=True)
        self._listener.start()

    @property
    def alive(self) -> bool:
        """Whether the process is there, be it paused."""
        with _children:
            return self._process.is_alive()

    @property
    def paused(self) -> bool:
        """Whether the operating system has put it on hold, at whoever's wish."""
        with suppress(psutil.NoSuchProcess):
            return self.alive and self._system.status() == psutil.STATUS_STOPPED
        return False

    @property
    def state(self) -> str:
        """``starting``, ``running``, ``paused``, ``stopped`` (it was asked to) or ``dead`` (it was not)."""
        if self.paused:
            return "paused"
        if self.alive:
            return "running" if self._ready else "starting"
        return "stopped" if self.stopped else "dead"

    @property
    def exitcode(self) -> int | None:
        """None while it runs; 0 for a clean end, -9 for one by SIGKILL, and so on."""
        with _children:
            return self._process.exitcode

    @property
    def log(self) -> list[str]:
        """The lines that it has printed, at most the last 1,000."""
        with self._changed:
            return list(self._lines)

    def wait_until_ready(self, timeout: float = START_SECONDS) -> None:
        """Return when it consumes, or was asked to end before it did.

        Raises
        ------
        WorkerFailed
            If it ends before that, with what it printed.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._ready or self._silent, timeout)
        if self._ready or self.stopped:
            return
        ended = self._ends_within(STOP_SECONDS if self._silent else 0)
        what = f"ended (exit code {self.exitcode})" if ended else f"was not ready after {timeout:g} s"
        said = "\n".join(self.log) or "(nothing printed)"
        raise WorkerFailed(f"{self.name} {what}. What it printed:\n{said}")

    def kill(self) -> None:
        """End it at once with SIGKILL, whatever it is doing; it cannot object."""
        self._process.kill()
        with _children:
            self._process.join()
        self._listener.join(STOP_SECONDS)

    def pause(self) -> None:
        """Put it on hold with SIGSTOP: it does nothing more, and keeps what it has. It cannot object.

        Raises
        ------
        LabError
            If it has ended, or was asked to.

        Notes
        -----
        https://man7.org/linux/man-pages/man7/signal.7.html
        """
        with self._signalling:
            if self.stopped and self.alive:
                raise LabError(f"{self.name} was asked to stop, and has to run in order to do so: it is not paused.")
            self._signal("pause", psutil.Process.suspend)
            self._wait_for(paused=True)

    def resume(self) -> None:
        """Have it go on where `pause` held it up, with SIGCONT; does nothing to one that runs.

        Raises
        ------
        LabError
            If it has ended.
        """
        with self._signalling:
            self._signal("resume", psutil.Process.resume)
            self._wait_for(paused=False)

    def stop(self) -> None:
        """Ask it to end when it has answered what it has taken, and return when it has; after 5 s, kill it."""
        self.terminate()
        self.join(STOP_SECONDS)

    def terminate(self) -> None:
        """Ask it to end, without waiting; does nothing to one that has ended or was asked already."""
        with self._signalling:
            # Asked once more while it winds up, when Python's own handlers are gone, it would be killed by the signal.
            if self.stopped or not self.alive:
                return
            self.stopped = True
            self._process.terminate()
            # A process on hold hears of it only when it goes on.
            if self.paused:
                with suppress(psutil.NoSuchProcess):
                    self._system.resume()

    def join(self, timeout: float) -> None:
        """Wait until it has ended; after the timeout in seconds, kill it."""
        if not self._ends_within(timeout):
            self.kill()
        self._listener.join(STOP_SECONDS)

    def __repr__(self) -> str:
        return f"{self.name} {self.state}"

    def _ends_within(self, seconds: float) -> bool:
        # The sentinel may be watched by several threads at once, and is watched without keeping others waiting.
        if self.alive and wait([self._process.sentinel], seconds):
            with _children:
                self._process.join()
        return not self.alive

    def _signal(self, what: str, send) -> None:
        try:
            if self.alive:
                send(self._system)
                return
        except psutil.NoSuchProcess:
            self._ends_within(STOP_SECONDS)
        raise LabError(
            f"{self.name} is {self.state}: there is nothing to {what}. workers.start_one() starts another process."
        )

    def _wait_for(self, *, paused: bool) -> None:
        """Return when the signal has had its effect, which takes the operating system a moment."""
        deadline = time.monotonic() + SIGNAL_SECONDS
        while self.alive and self.paused != paused and time.monotonic() < deadline:
            time.sleep(SIGNAL_POLL_SECONDS)

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


@atexit.register
def _resume_all() -> None:
    """Let go of what is on hold: when a program ends, multiprocessing asks its children to end, and waits for them."""
    for worker in list(_started):
        if worker.paused:
            with suppress(psutil.NoSuchProcess):
                worker._system.resume()
