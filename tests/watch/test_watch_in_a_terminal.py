"""The command in a pseudo-terminal: the picture, Ctrl-C, and a program's own output above it."""

from __future__ import annotations

import os
import pty
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psutil
import pytest
from commands import COMMAND, program, tapped
from waiting import until

from rpclab.broker.environment import URL_VARIABLE

CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal:
    """A command in a terminal of 120 by 40."""

    def __init__(self, command: list[str], environment: dict[str, str]):
        self.raw = b""
        self.pid, self._end = pty.fork()
        if not self.pid:
            os.execve(command[0], command, {**environment, "TERM": "xterm-256color", "COLUMNS": "120", "LINES": "40"})
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        with suppress(OSError):  # what reading says when the other end has gone
            while data := os.read(self._end, 65_536):
                self.raw += data

    @property
    def text(self) -> str:
        """What it has printed, without colours and movements."""
        return CONTROL.sub("", self.raw.decode(errors="replace"))

    def press_ctrl_c(self) -> None:
        os.write(self._end, b"\x03")

    def ended(self) -> int:
        code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        self._reader.join()
        os.close(self._end)
        return code


@pytest.fixture
def in_terminal(lab, monkeypatch):
    monkeypatch.delenv(URL_VARIABLE, raising=False)

    @contextmanager
    def run(*arguments: str) -> Iterator[Terminal]:
        terminal = Terminal([*COMMAND, "watch", *arguments], dict(os.environ))
        try:
            yield terminal
        finally:
            if psutil.pid_exists(terminal.pid):
                os.kill(terminal.pid, 9)
                terminal.ended()

    return run


def test_it_draws_connections_and_messages_until_ctrl_c(in_terminal, start, url, lab):
    with in_terminal(url) as terminal:
        port = int(until(lambda: re.search(r"PASSWORD@127.0.0.1:(\d+)/", terminal.text))[1])
        address = tapped(url, port)
        start(program("server"), AMQP_URL=address).says("serving")
        assert start(program("client", "3,5", "[red]7"), AMQP_URL=address).ended() == 3
        until(lambda: re.search(r"request 1 +3,5 +client +sums +server +acked, answered", terminal.text))
        until(lambda: re.search(r"request 2 +\[red\]7 ", terminal.text))
        until(lambda: "2 requests, 2 replies" in terminal.text)
        terminal.press_ctrl_c()
        assert terminal.ended() == 0
    assert "2 connections, 4 messages, 2 requests, 2 replies." in terminal.text
    assert "Nothing wrong seen in 4 messages." in terminal.text
    assert lab.broker.password not in terminal.text


def test_ctrl_c_ends_the_program_as_well_and_what_it_has_started(in_terminal, url, lab):
    # The name of the lab marks the processes of this test, as others may run the same program at the same time.
    nested = f"{sys.executable} {program('server')[1]} {lab.name} & wait"
    with in_terminal(url, "--", "sh", "-c", nested) as terminal:
        until(lambda: "serving" in terminal.text)
        lab.wait_for("sums", consumers=1)
        terminal.press_ctrl_c()
        terminal.ended()
    assert "1 connection, 0 messages" in terminal.text
    lab.wait_for("sums", consumers=0)
    # Its connection ends a moment before it does.
    until(lambda: not [one for one in psutil.process_iter() if lab.name in " ".join(_command(one))])


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []
