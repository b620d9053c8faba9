"""A real JupyterLab in a real browser, for what only a person's eyes and clicks can check."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import nbformat
import pytest
from playwright.sync_api import Browser, Page, sync_playwright
from waiting import until

ROOT = Path(__file__).resolve().parents[2]
SCREENSHOTS = Path(__file__).parent / "screenshots"
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
# Without it, JupyterLab asks which kernel to use.
METADATA = {"kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}}


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    executable = chromium()
    if executable is None:
        if os.environ.get("CI"):
            pytest.fail("CI needs Chromium: apt-get install chromium")
        pytest.skip("no Chromium or Chrome on this machine: install one to run the browser tests")
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=executable, args=FLAGS)
        yield launched
        launched.close()


@pytest.fixture(scope="session")
def jupyterlab(tmp_path_factory) -> Iterator[str]:
    with serving(tmp_path_factory.mktemp("jupyterlab")) as address:
        yield address


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


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    with browser.new_page(viewport={"width": 1280, "height": 900}) as opened:
        yield opened


@pytest.fixture(params=["light", "dark"])
def theme(page: Page, request) -> str:
    """JupyterLab's theme, set in what the server answers to the page, so that nobody's settings change."""

    def chosen(route) -> None:
        answer = route.fetch()
        said = answer.json()
        for one in said.get("settings", [said]):
            if one.get("id") == "@jupyterlab/apputils-extension:themes":
                one["raw"] = json.dumps({"theme": f"JupyterLab {request.param.title()}"})
        route.fulfill(response=answer, json=said)

    page.route(re.compile("/lab/api/settings"), chosen)
    return request.param


@pytest.fixture
def open_cells(open_notebook, request) -> Iterator:
    """Return a function that opens a notebook of these cells, and runs them; the notebook is removed at the end."""
    SCRATCH.mkdir(exist_ok=True)
    path = SCRATCH / f"{re.sub(r'[^a-z0-9_]+', '_', request.node.name.lower())[:80]}.ipynb"

    def opened(*sources: str) -> Page:
        cells = [nbformat.v4.new_code_cell(source) for source in sources]
        nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=METADATA), path)
        return open_notebook(path.name, folder="tests/browser/scratch")

    yield opened
    path.unlink(missing_ok=True)


@pytest.fixture
def open_notebook(page: Page, jupyterlab: str):
    """Return a function that opens a notebook and runs all its cells, or none."""

    def opened(name: str, *, folder: str = "notebooks", run: bool = True) -> Page:
        open_in(page, f"{jupyterlab}/lab/tree/{folder}/{name}", run=run)
        return page

    return opened


def open_in(page: Page, address: str, *, run: bool) -> None:
    """Open a notebook, and run all its cells if that is wanted."""
    page.goto(f"{address}?token={TOKEN}&reset")
    page.locator(".jp-Notebook .jp-CodeCell").first.wait_for(timeout=60_000)
    # Before that, running a cell asks which kernel to use.
    page.get_by_text("Python 3 (ipykernel) | Idle").wait_for(timeout=60_000)
    if run:
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.get_by_text("Run All Cells", exact=True).click()


@pytest.fixture
def screenshot(page: Page):
    """Return a function that keeps a picture for somebody to look at."""
    SCREENSHOTS.mkdir(exist_ok=True)
    return lambda name: page.screenshot(path=SCREENSHOTS / f"{name}.png")


def chromium() -> str | None:
    """Return where Chromium is on this machine, if it is."""
    return next(filter(None, map(shutil.which, CHROMIUM)), None)


def _answers(address: str) -> bool:
    try:
        return httpx.get(f"{address}/api", trust_env=False).is_success
    except httpx.HTTPError:
        return False
