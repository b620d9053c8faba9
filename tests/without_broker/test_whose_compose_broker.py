"""Which clone the broker in Docker belongs to: ``docker`` is a script here that says what Docker would."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from rpclab.broker import compose
from rpclab.errors import LabError

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the script is one of a Unix shell")


@pytest.fixture
def docker(monkeypatch, tmp_path):
    """Put a ``docker`` first on the path that prints this for ``ps`` and writes down what else it is asked."""

    def install(prints: str, status: int = 0) -> Path:
        asked = tmp_path / "asked"
        script = tmp_path / "docker"
        script.write_text(f'''#!/bin/sh
[ "$1" = ps ] || {{ echo "$*" >> "{asked}"; exit; }}
echo "{prints}"; exit {status}
''')
        script.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
        return asked

    return install


@pytest.fixture(autouse=True)
def something_runs(monkeypatch) -> Iterator[None]:
    """What a container's port looks like from here."""
    monkeypatch.setattr(compose, "running", compose.broker)
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setattr(compose, "PORT", server.getsockname()[1])
        yield


def test_this_clones_broker_is_taken_down(docker):
    asked = docker(str(compose.compose_file().parent))
    assert compose.stop()
    assert asked.read_text().split()[-1] == "down"


def test_another_clones_broker_goes_on_and_one_is_told_where_it_can_be_stopped(docker):
    asked = docker("/home/zoe/rpclab")
    with pytest.raises(LabError, match=r"was not stopped.*/home/zoe/rpclab.*docker compose down"):
        compose.stop()
    assert not asked.exists()


@pytest.mark.parametrize("status", [0, 1])
def test_a_broker_that_docker_does_not_know_goes_on(docker, status):
    asked = docker("", status)
    with pytest.raises(LabError, match="elsewhere"):
        compose.stop()
    assert not asked.exists()
