"""A program that is started to be watched or checked, with its broker's URL in its environment."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Sequence
from typing import IO
from uuid import uuid4

import psutil

from rpclab.errors import LabError

# Inherited by all that a program starts.
MARK = "RPCLAB_STARTED"
ENDING_SECONDS = 5
POLL_SECONDS = 0.02
# Ctrl-C in a terminal reaches the program as well.
GRACE_SECONDS = 1


class Program:
    """A running program; a context manager that ends it.

    Parameters
    ----------
    command : sequence of str
        The program and its arguments.
    environment : dict of str to str
        Its environment.
    output : file or int, optional
        Where its output and errors go, as ``subprocess`` takes it; to ours unless given.

    Raises
    ------
    LabError
        If it cannot be started.
    """

    def __init__(self, command: Sequence[str], environment: dict[str, str], output: IO | int | None = None):
        self._mark = str(uuid4())
        try:
            # In our group of processes: Ctrl-C in the terminal reaches it as well, and it can read what is typed.
            self._process = subprocess.Popen(
                list(command), env={**environment, MARK: self._mark}, stdout=output,
                stderr=None if output is None else subprocess.STDOUT,
            )
        except OSError as error:
            raise LabError(f"Could not start {command[0]!r}: {error.strerror or error}.") from error
        self.pid = self._process.pid

    @property
    def output(self) -> IO[bytes]:
        """What it prints, if that goes to a pipe."""
        assert self._process.stdout is not None
        return self._process.stdout

    @property
    def code(self) -> int | None:
        """Its exit code, as a shell would say it; None while it runs."""
        code = self._process.poll()
        return code if code is None or code >= 0 else 128 - code

    def ends_within(self, seconds: float) -> bool:
        """Wait for its end, for some seconds at most; return whether it has ended."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def ending(self) -> int:
        """End it, if it does not end by itself in a second, and return its exit code; 0 if it had to be ended."""
        by_itself = self.ends_within(GRACE_SECONDS)
        self.end()
        return self.code or 0 if by_itself else 0

    def end(self) -> None:
        """End it and what it has started: by SIGTERM, and by SIGKILL what still runs five seconds later."""
        running = [*family(self.pid), *self._left_behind()]
        for signal in (psutil.Process.terminate, psutil.Process.kill):
            send(signal, running)
            running = outlasting(running, ENDING_SECONDS)
        self._process.wait()

    def _left_behind(self) -> list[psutil.Process]:
        """Return what it started and did not wait for, known by the mark in its environment."""
        return [one for one in psutil.process_iter() if one.pid != self.pid and _mark(one) == self._mark]

    def __enter__(self) -> Program:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.end()


def _mark(process: psutil.Process) -> str | None:
    try:
        return process.environ().get(MARK)
    except (psutil.Error, OSError):  # it has ended, or is another user's
        return None


def family(pid: int) -> list[psutil.Process]:
    """Return a process and all that it has started, or nothing if it has ended."""
    try:
        parent = psutil.Process(pid)
        return [parent, *parent.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def send(signal: Callable[[psutil.Process], object], processes: Sequence[psutil.Process]) -> None:
    """Send a signal to processes; those that have ended need none."""
    for process in processes:
        try:
            signal(process)
        except psutil.NoSuchProcess:
            continue


def outlasting(processes: Sequence[psutil.Process], seconds: float) -> list[psutil.Process]:
    """Wait until processes have ended, for some seconds at most, and return those that have not."""
    deadline = time.monotonic() + seconds
    # Not by psutil's waiting, which takes the exit code of a child of ours away from `subprocess`.
    while (running := [process for process in processes if not ended(process)]) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
    return running


def ended(process: psutil.Process) -> bool:
    """Return whether a process has ended, also if its parent has not asked for its exit code yet."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
