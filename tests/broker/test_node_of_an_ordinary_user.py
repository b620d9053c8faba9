"""Where the tests run as root: a node that an ordinary user starts and stops."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

import rpclab

USER = "nobody"
REPOSITORY = Path(rpclab.__file__).parents[1]
PACKAGES = os.pathsep.join([str(REPOSITORY), *(path for path in sys.path if path.endswith("-packages"))])
SCRIPT = """
import json
from rpclab.broker import node
from rpclab.broker.management import Management

started = node.start()
with Management(started.broker) as api:
    name = api.get("whoami")["name"]
users = [process.username() for process in node.processes()]
stopped = node.stop()
print(json.dumps([name, users, stopped, len(node.processes()), node.node_folder().exists()]))
"""

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="the tests run as an ordinary user already")


@pytest.fixture
def home():
    folder = tempfile.mkdtemp(prefix="rpclab-", dir="/tmp")
    shutil.chown(folder, USER)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def run_as_user(home):
    environment = {"PATH": os.environ["PATH"], "RPCLAB_HOME": home, "PYTHONPATH": PACKAGES}

    def run(python: str, code: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            [python, "-B", "-c", code], user=USER, group="nogroup", extra_groups=[], cwd=home, env=environment,
            capture_output=True, text=True, check=False,
        )

    return run


@pytest.fixture
def python(run_as_user) -> str:
    """A Python that the user may run and that can import what rpclab needs."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for candidate in (sys.executable, f"/usr/bin/{version}", f"/usr/local/bin/{version}"):
        try:
            if run_as_user(candidate, "import rpclab.broker.node, rpclab.broker.management").returncode == 0:
                return candidate
        except OSError:
            continue
    pytest.skip(f"no {version} that user {USER} may run reaches the packages")


def test_an_ordinary_user_can_start_and_stop_a_node(run_as_user, python):
    done = run_as_user(python, SCRIPT)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == ["rpclab", [USER] * 2, True, 0, False]
