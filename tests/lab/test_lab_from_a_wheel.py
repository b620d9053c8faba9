"""The course as somebody has it who installed the package and has no clone: an environment with what it declares."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from importlib.metadata import Distribution, distribution
from pathlib import Path

import httpx
import psutil
import pytest
from packaging.requirements import Requirement
from waiting import until

from rpclab.broker.node_files import free_ports

ROOT = Path(__file__).resolve().parents[2]
VERSION = f"python{sys.version_info.major}.{sys.version_info.minor}"
ORDINARY = "nobody"
# One that an ordinary user may run, if there is one.
PYTHON = next((path for path in (f"/usr/bin/{VERSION}", f"/usr/local/bin/{VERSION}") if Path(path).exists()), None)
LESSON = "00_start_here.ipynb"
TOKEN = "wheel-tests"


def pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def needed_by(package: Distribution) -> dict[str, Distribution]:
    """Return the distributions, as they are installed here, that one declares to need, and those that they need."""
    todo, seen, found = list(map(Requirement, package.requires)), set(), {}
    while todo:
        wanted = todo.pop()
        if str(wanted) not in seen:
            seen.add(str(wanted))
            found[wanted.name.lower()] = distribution(wanted.name)
            todo += [
                further for further in map(Requirement, distribution(wanted.name).requires or ())
                if not further.marker or any(further.marker.evaluate({"extra": one}) for one in wanted.extras or {""})
            ]
    return found


def put_into(packages: Path, found: Distribution) -> None:
    """Install what is installed here there too, but for its commands, which name the Python of here."""
    for file in found.files:
        target = Path(os.path.normpath(packages / file))
        if target.parent.name != "bin":
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(file.locate(), target)
            except FileExistsError:  # a file of two distributions
                pass
            except OSError:  # another file system
                shutil.copyfile(file.locate(), target)


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A folder that every user can reach, unlike those of pytest."""
    made = Path(tempfile.mkdtemp(prefix="rpclab-wheel-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


@pytest.fixture(scope="module")
def environment(folder: Path) -> Path:
    """An environment without this clone, into which its wheel was installed with what that declares."""
    made = folder / "venv"
    subprocess.run([PYTHON or sys.executable, "-m", "venv", "--without-pip", made], check=True)
    pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(ROOT))
    (wheel,) = folder.glob("rpclab-*.whl")
    pip("--python", str(made / "bin" / "python"), "install", "--no-index", "--no-deps", str(wheel))
    (packages,) = made.glob("lib/python*/site-packages")
    (package,) = Distribution.discover(name="rpclab", path=[str(packages)])
    for found in needed_by(package).values():
        put_into(packages, found)
    pip("--python", str(made / "bin" / "python"), "check")
    return made


@pytest.fixture
def run(folder: Path, environment: Path) -> Callable[..., subprocess.Popen]:
    """Return a function that starts a command of the environment, in an empty folder, for root as an ordinary user."""
    home = folder / "home"
    home.mkdir()
    user = {}
    if os.geteuid() == 0 and PYTHON:
        user = {"user": ORDINARY, "group": "nogroup", "extra_groups": []}
        shutil.chown(home, ORDINARY)
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "JUPYTER"))}
    variables |= {"HOME": str(home), "RPCLAB_HOME": str(home / "state")}

    def started(*command: str) -> subprocess.Popen:
        return subprocess.Popen(
            [environment / "bin" / command[0], *command[1:]], cwd=home, env=variables, text=True, **user,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )

    started.folder = home
    return started


def test_its_command_hands_the_lessons_out_and_opens_them_and_they_run(run, environment):
    (port,) = free_ports(1)
    address = f"http://127.0.0.1:{port}"
    with (
        run("rpclab", "lab", "--no-browser", f"--ServerApp.port={port}", f"--IdentityProvider.token={TOKEN}") as lab,
        httpx.Client(headers={"Authorization": f"token {TOKEN}"}, trust_env=False, follow_redirects=True) as browser,
    ):
        try:
            until(lambda: lab.poll() is not None or answers(browser, f"{address}/api"))
            assert lab.poll() is None, lab.stdout.read()
            assert browser.get(f"{address}/").url.path == f"/lab/tree/{LESSON}"
            assert browser.get(f"{address}/api/contents/{LESSON}").json()["path"] == LESSON
            lessons = run.folder / "rpclab-lessons"
            with run("python", "-m", "nbconvert", "--execute", "--to=notebook", "--inplace", lessons / LESSON) as done:
                assert done.wait(timeout=120) == 0, done.stdout.read()
            with run("python", "-c", "import rpclab; print(rpclab.__file__)") as done:
                assert Path(done.stdout.read()).is_relative_to(environment)
        finally:
            said = ended_while_it_lists_files(lab, browser, address)
    assert f"Your lessons are in {lessons}\n" in said
    assert "Stopping RabbitMQ" in said or "RPCLAB_BROKER" in os.environ
    assert (lessons / "images" / "control_room.png").stat().st_uid == run.folder.stat().st_uid


def ended_while_it_lists_files(lab: subprocess.Popen, browser: httpx.Client, address: str) -> str:
    """End the lab as a browser asks what there is, as one that shows JupyterLab does again and again."""
    listed: list[float] = []

    def ask() -> None:
        while answers(browser, f"{address}/api/contents?content=1"):
            listed.append(time.monotonic())

    asking = threading.Thread(target=ask)
    asking.start()
    until(lambda: len(listed) > 2 or not asking.is_alive())
    lab.send_signal(signal.SIGTERM)
    try:
        return lab.communicate(timeout=60)[0]
    except subprocess.TimeoutExpired:
        for child in psutil.Process(lab.pid).children():
            child.kill()
        raise
    finally:
        asking.join()


def answers(browser: httpx.Client, address: str) -> bool:
    try:
        return browser.get(address).is_success
    except httpx.HTTPError:
        return False
