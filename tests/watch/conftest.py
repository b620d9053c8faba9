from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack

import pytest
from commands import COMMAND
from waiting import until

from rpclab import Lab
from rpclab.broker.environment import URL_VARIABLE

ADDRESS = re.compile(r"Connect to amqp://USER:PASSWORD@(\S+):(\d+)(/\S+) ")
LONGEST_SECONDS = 60


class Running:
    """A command that runs; its output is read as it comes."""

    def __init__(self, command: Sequence[str], environment: dict[str, str]):
        self.process = subprocess.Popen(
            command, env=environment, text=True, errors="surrogateescape", stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )
        self.out, self.err = "", ""
        self._readers = [threading.Thread(target=self._read, args=[name]) for name in ("stdout", "stderr")]
        for reader in self._readers:
            reader.start()

    def _read(self, name: str) -> None:
        attribute = name[3:]
        with getattr(self.process, name) as stream:
            for line in stream:
                setattr(self, attribute, getattr(self, attribute) + line)

    @property
    def port(self) -> int:
        """The port that a watch listens at."""
        return int(until(lambda: ADDRESS.search(self.out))[2])

    def says(self, text: str) -> None:
        """Wait until it has printed a text."""
        until(lambda: text in self.out)

    def interrupt(self) -> int:
        """Send it SIGINT, as Ctrl-C does, and return its exit code."""
        self.process.send_signal(signal.SIGINT)
        return self.ended()

    def ended(self) -> int:
        """Wait for its end and return its exit code."""
        code = self.process.wait(LONGEST_SECONDS)
        for reader in self._readers:
            reader.join()
        return code

    def kill(self) -> None:
        self.process.kill()
        self.ended()


@pytest.fixture
def url(lab: Lab) -> str:
    """The broker's own URL, with a virtual host that is empty."""
    return lab.broker.vhost_url(lab.vhost).partition("?")[0]


@pytest.fixture
def start(lab: Lab, monkeypatch) -> Iterator[Callable[..., Running]]:
    """Start a program with an address in its environment, or one of rpclab's commands; it ends with the test."""
    monkeypatch.delenv(URL_VARIABLE, raising=False)
    with ExitStack() as running:

        def run(command: Sequence[str], **environment: str) -> Running:
            started = Running(command, {**os.environ, **environment})
            running.callback(started.kill)
            return started

        yield run


@pytest.fixture
def watch(start: Callable[..., Running]) -> Callable[..., Running]:
    return lambda *arguments: start([*COMMAND, "watch", *arguments])


@pytest.fixture
def check(start: Callable[..., Running]) -> Callable[..., Running]:
    """Run a check and return it when it has ended."""

    def run(*arguments: str) -> Running:
        checked = start([*COMMAND, "check", *arguments])
        checked.code = checked.ended()
        return checked

    return run
