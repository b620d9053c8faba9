"""The course in containers, for real: images are built and pulled, so only `make hosted` runs these."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from rpclab.broker.node_files import free_ports

ROOT = Path(__file__).resolve().parents[2]
ASKED_FOR = "RPCLAB_TEST_HOSTED"
# Neither the reader's volumes nor the reader's ports.
PROJECT = "rpclab-tests"
OTHER_PORTS = """\
services:
  broker: {ports: !reset []}
  rabbit1: {ports: !reset []}
  rabbit2: {ports: !reset []}
  rabbit3: {ports: !reset []}
"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if not os.environ.get(ASKED_FOR):
        for item in items:
            if Path(__file__).parent in item.path.parents:
                item.add_marker(pytest.mark.skip(reason="it builds and pulls images: `make hosted` runs it"))


class Compose:
    """`docker compose` on the repository's file, as a project of its own."""

    def __init__(self, override: Path):
        (self.port,) = free_ports(1)
        self._files = ["--file", str(ROOT / "docker-compose.yml"), "--file", str(override)]

    def __call__(self, *arguments: str) -> str:
        command = ["docker", "compose", "--project-name", PROJECT, "--profile", "*", *self._files, *arguments]
        done = subprocess.run(
            command, cwd=ROOT, env=os.environ | {"RPCLAB_LAB_PORT": str(self.port)}, capture_output=True, text=True,
            timeout=900, check=False,
        )
        assert done.returncode == 0, f"{' '.join(arguments)}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def inside(self, service: str, *command: str) -> str:
        """Run a command in a service's container, and return what it printed."""
        return self("exec", "-T", service, *command)

    def state(self, service: str) -> dict:
        """Return what the engine says about a service's container."""
        (identity,) = self("ps", "--quiet", service).split()
        found = subprocess.run(["docker", "inspect", identity], capture_output=True, text=True, check=True)
        return json.loads(found.stdout)[0]


@pytest.fixture(scope="module")
def compose(tmp_path_factory) -> Iterator[Compose]:
    override = tmp_path_factory.mktemp("compose") / "other-ports.yml"
    override.write_text(OTHER_PORTS)
    project = Compose(override)
    yield project
    project("down", "--volumes", "--timeout", "5")
