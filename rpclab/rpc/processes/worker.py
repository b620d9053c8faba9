"""One server in its own process, as the notebook that started it sees it."""

from __future__ import annotations

import atexit
import os
import pickle
import subprocess
import sys
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import IO

import psutil

from rpclab.errors import LabError, WorkerFailed
from rpclab.rpc.processes import worker_process

START_SECONDS = 15.0
STOP_SECONDS = 5.0
SIGNAL_SECONDS = 5.0
SIGNAL_POLL_SECONDS = 0.002
LINES_KEPT = 1_000

_started: weakref.WeakSet[Worker] = weakref.WeakSet()


class Worker:
    """One server in one process, after `start`. Its methods may be called from any thread.

    Attributes
    ----------
    name : str
        The process's name, for example ``FibonacciServer-0``.
    pid : int or None
        The operating system's number for it.
    stopped : bool
        Whether it was asked to stop.
    """

    def __init__(self, name: str, changed: threading.Condition):
        self.name = name
        self.pid: int | None = None
        self.stopped = False
        self._lines: deque[str] = deque(maxlen=LINES_KEPT)
        self._changed = changed
        self._alive = False
        self._ready = False
        self._signalling = threading.Lock()

    def start(self, payload: bytes) -> None:
        """Start the process, and return without waiting for the server in it.

        Parameters
        ----------
        payload : bytes
            The server's class and arguments; see `rpclab.rpc.processes.payload.pickled`.

        Raises
        ------
        WorkerFailed
            If the operating system cannot start another process.
        """
        with self._signalling:
            try:
                self._process, self._input, self._output = _start_process(self.name)
            except OSError as error:
                raise WorkerFailed(
                    f"{self.name} could not be started: {error}. End processes that are not needed, and try again."
                ) from error
            try:
                self._system = psutil.Process(self._process.pid)
                self._owner = os.getpid()
                self._listener = threading.Thread(target=self._listen, name=f"log of {self.name}", daemon=True)
                self._listener.start()
                self._alive = True
                threading.Thread(target=self._wait_for_its_end, name=f"end of {self.name}", daemon=True).start()
                self.pid = self._process.pid
                _started.add(self)
                self._say(pickle.dumps(sys.path) + pickle.dumps((self.name, payload)))
            except BaseException:
                self._process.kill()
                with self._process:  # closes the pipes and waits
                    self._alive = False
                raise

    @property
    def alive(self) -> bool:
        """Whether the process runs, including when it is paused."""
        return self._alive

    @property
    def paused(self) -> bool:
        """Whether the process is paused, by this or another program."""
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
        """None while it runs; then 0 for a clean end, -9 for one by SIGKILL, and so on."""
        return None if self.alive or self.pid is None else self._process.returncode

    @property
    def log(self) -> list[str]:
        """The lines that it has printed, at most the last 1,000."""
        with self._changed:
            return list(self._lines)

    def wait_until_ready(self, timeout: float = START_SECONDS) -> None:
        """Return when it consumes, or was asked to stop before it did.

        Raises
        ------
        WorkerFailed
            If it ends before that, with what it printed.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._ready or not self._alive, timeout)
        what = f"was not ready after {timeout:g} s"
        if not self.alive:
            # It may have been ready, and died of its first message; its last lines say which.
            self._listener.join(STOP_SECONDS)
            what = f"ended (exit code {self.exitcode})"
        if self._ready or self.stopped:
            return
        said = "\n".join(self.log) or "(nothing printed)"
        raise WorkerFailed(f"{self.name} {what}. What it printed:\n{said}")

    def kill(self) -> None:
        """Kill it at once with SIGKILL, whatever it is doing."""
        if self.alive:
            self._process.kill()
            self._ends_within(STOP_SECONDS)
            self._listener.join(STOP_SECONDS)

    def pause(self) -> None:
        """Pause it with SIGSTOP: it does nothing more, and keeps its connection and its requests.

        Raises
        ------
        LabError
            If it has ended, or was asked to stop.

        Notes
        -----
        https://man7.org/linux/man-pages/man7/signal.7.html
        """
        with self._signalling:
            if self.stopped and self.alive:
                raise LabError(f"{self.name} was asked to stop, and must run to do so: it is not paused.")
            self._signal("pause", psutil.Process.suspend)
            self._wait_for(paused=True)

    def resume(self) -> None:
        """Let it go on where `pause` stopped it, with SIGCONT; has no effect on a running one.

        Raises
        ------
        LabError
            If it has ended.
        """
        with self._signalling:
            self._signal("resume", psutil.Process.resume)
            self._wait_for(paused=False)

    def stop(self) -> None:
        """Ask it to stop after the requests in hand, and return when it has ended; after 5 s, kill it."""
        self.terminate()
        self.join(STOP_SECONDS)

    def terminate(self) -> None:
        """Ask it to stop, without waiting; has no effect on one that has ended or was asked already."""
        with self._signalling:
            if self.stopped or not self.alive:
                return
            self.stopped = True
            # Not by a signal: Windows has none that a process can handle.
            self._say(worker_process.STOP)
            # A paused process reads it only when it goes on.
            if self.paused:
                with suppress(psutil.NoSuchProcess):
                    self._system.resume()

    def join(self, timeout: float) -> None:
        """Wait until it has ended; after the timeout in seconds, kill it."""
        if not self._ends_within(timeout):
            self.kill()
        if self.pid is not None:
            self._listener.join(STOP_SECONDS)

    def __repr__(self) -> str:
        return f"{self.name} {self.state}"

    def _ends_within(self, seconds: float) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: not self._alive, seconds)

    def _signal(self, what: str, send: Callable[[psutil.Process], None]) -> None:
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
        """Return when the signal has had its effect, which takes a moment."""
        deadline = time.monotonic() + SIGNAL_SECONDS
        while self.alive and self.paused != paused and time.monotonic() < deadline:
            time.sleep(SIGNAL_POLL_SECONDS)

    def _say(self, what: bytes) -> None:
        # It may have ended just now.
        with suppress(BrokenPipeError):
            self._input.write(what)
            self._input.flush()

    def _listen(self) -> None:
        """Collect what the process prints until it has ended; runs in its own thread."""
        # An interrupted start closes the pipe before its end is read.
        with self._output as output, suppress(ValueError):
            for said in output:
                text, ready, _ = said.decode(errors="replace").removesuffix("\n").partition(worker_process.READY)
                with self._changed:
                    self._ready = self._ready or bool(ready)
                    if text or not ready:
                        self._lines.append(text)
                    self._changed.notify_all()

    def _wait_for_its_end(self) -> None:
        """Record when the process has ended; runs in its own thread."""
        self._process.wait()
        with self._changed:
            self._alive = False
            self._changed.notify_all()
        with self._signalling, suppress(BrokenPipeError):
            self._input.close()


def _start_process(name: str) -> tuple[subprocess.Popen[bytes], IO[bytes], IO[bytes]]:
    """Start an interpreter that waits for orders on its input; it ends when its input does, so none is left behind."""
    interpreter, environment = sys.executable, None
    if os.name == "nt" and (real := getattr(sys, "_base_executable", interpreter)) != interpreter:
        # A virtual environment's python.exe starts the real one, and has another pid.
        interpreter, environment = real, os.environ | {"__PYVENV_LAUNCHER__": interpreter}
    # The name is for a list of processes.
    command = [interpreter, "-c", worker_process.BOOTSTRAP, name]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)
    assert process.stdin is not None
    assert process.stdout is not None
    return process, process.stdin, process.stdout


@atexit.register
def _end_all() -> None:
    """Stop the workers of a program that ends, after the requests in hand."""
    left = [worker for worker in list(_started) if worker.alive and worker._owner == os.getpid()]
    for worker in left:
        worker.terminate()
    join_all(left, STOP_SECONDS)


def join_all(workers: Iterable[Worker], seconds: float) -> None:
    """Wait until workers that were asked to stop have ended; after the time for all of them together, kill them."""
    deadline = time.monotonic() + seconds
    for worker in workers:
        worker.join(max(0, deadline - time.monotonic()))
