"""JupyterLab as `make lab` serves it, and a notebook opened there by a browser."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from playwright.sync_api import Page
from waiting import until

ROOT = Path(__file__).resolve().parents[2]
SCRATCH = Path(__file__).parent / "scratch"
CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# The last five keep Chromium from looking for its maker's servers.
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]
TOKEN = "browser-tests"
# A first cell: what a test does is nobody's progress.
RECORD = """\
import pathlib, pika, tempfile
import rpclab
from rpclab.course import record
folder = pathlib.Path(tempfile.mkdtemp())
record.state_folder = lambda: folder
"""


@contextmanager
def serving(settings: Path) -> Iterator[str]:
    """What `make lab` opens, without a window of its own and with settings of its own; its address."""
    environment = os.environ | {
        "JUPYTERLAB_SETTINGS_DIR": str(settings / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(settings / "workspaces"),
    }
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    options = ["--no-browser", f"--ServerApp.port={port}", f"--IdentityProvider.token={TOKEN}"]
    with subprocess.Popen(
        [sys.executable, "-m", "rpclab", "lab", *options],
        cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    ) as process:
        until(lambda: _answers(address) or process.poll() is not None, timeout=60)
        assert process.poll() is None, "JupyterLab ended instead of starting"
        yield address
        process.send_signal(signal.SIGTERM)


def open_in(page: Page, address: str, *, run: bool) -> None:
    """Open a notebook, and run all its cells if that is wanted."""
    page.goto(f"{address}?token={TOKEN}&reset")
    page.locator(".jp-Notebook .jp-CodeCell").first.wait_for(timeout=60_000)
    # Before that, running a cell asks which kernel to use.
    page.get_by_text("Python 3 (ipykernel) | Idle").wait_for(timeout=60_000)
    if run:
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.get_by_text("Run All Cells", exact=True).click()


def end_kernels(address: str, endings: dict[str, threading.Thread]) -> None:
    """Begin to shut down the kernels that run, whose workers and widgets would go on to the end of all tests."""
    for session in {each["id"] for each in _asked("GET", f"{address}/api/sessions").json()} - endings.keys():
        endings[session] = threading.Thread(target=_asked, args=("DELETE", f"{address}/api/sessions/{session}"))
        endings[session].start()


def chromium() -> str | None:
    """Return where Chromium is on this machine, if it is."""
    return next(filter(None, map(shutil.which, CHROMIUM)), None)


def _answers(address: str) -> bool:
    try:
        return httpx.get(f"{address}/api", trust_env=False).is_success
    except httpx.HTTPError:
        return False


def _asked(method: str, url: str) -> httpx.Response:
    said = {"Authorization": f"token {TOKEN}"}
    return httpx.request(method, url, headers=said, timeout=60, trust_env=False).raise_for_status()
