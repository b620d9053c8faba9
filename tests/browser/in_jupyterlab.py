"""JupyterLab as `make lab` serves it, and a notebook opened there by a browser."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from playwright.sync_api import Page
from waiting import until

from rpclab.broker.node_files import free_ports

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# The last five keep Chromium from looking for its maker's servers.
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]
TOKEN = "browser-tests"
# A TLS context takes longer to build than any of these requests, and is not used for plain HTTP.
NO_TLS = False
# Opens a notebook and returns once that is done. Asking JupyterLab itself costs less than looking for it in a page of
# ten thousand elements again and again.
OPEN = """async ([path, run]) => {
    const panel = await jupyterapp.commands.execute("docmanager:open", {path});
    const context = panel.sessionContext;
    // ipywidgets first asks the kernel for its widgets, over a comm whose subshell is then deleted. A widget that opens
    // its comm meanwhile may share that subshell, and what is clicked in it would be lost on the way to the kernel.
    const asked = new Promise((resolve) => {
        const listen = (kernel) => kernel?.anyMessage.connect((_, {msg}) => {
            if (msg.header.msg_type === "delete_subshell_reply") resolve();
        });
        listen(context.session?.kernel);
        context.kernelChanged.connect((_, {newValue}) => listen(newValue));
    });
    await panel.revealed;
    // Before that, running a cell asks which kernel to use.
    await context.ready;
    await asked;
    if (run) window.ran = jupyterapp.commands.execute("notebook:run-all-cells");
    return true;
}"""
# A first cell: what a test does is no learner's progress.
RECORD = """\
import pathlib, pika, tempfile
import rpclab
from rpclab.course import record
folder = pathlib.Path(tempfile.mkdtemp())
record.state_folder = lambda: folder
"""


@contextmanager
def serving(lessons: Path, settings: Path) -> Iterator[str]:
    """What `make lab` opens, without a window of its own and with settings of its own; its address.

    The lessons are handed out to their folder without outputs.
    """
    environment = os.environ | {
        "JUPYTERLAB_SETTINGS_DIR": str(settings / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(settings / "workspaces"),
    }
    (port,) = free_ports(1)
    address = f"http://127.0.0.1:{port}"
    options = [
        "--clear", "--no-browser", f"--ServerApp.port={port}", f"--IdentityProvider.token={TOKEN}",
        "--LabApp.expose_app_in_browser=True",
    ]
    with subprocess.Popen(
        [sys.executable, "-m", "rpclab", "lab", str(lessons), *options],
        cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    ) as process:
        until(lambda: _answers(address) or process.poll() is not None)
        assert process.poll() is None, "JupyterLab ended instead of starting"
        yield address
        process.send_signal(signal.SIGTERM)


def enter(page: Page, address: str) -> None:
    """Have the page show JupyterLab; one that shows it already stays, because loading it takes seconds."""
    if not page.evaluate("'jupyterapp' in window"):
        page.goto(f"{address}/lab?token={TOKEN}&reset")
        page.wait_for_function("window.jupyterapp?.restored", timeout=60_000)
        page.evaluate("jupyterapp.restored")


def open_in(page: Page, address: str, name: str, *, run: bool) -> None:
    """Open a notebook and begin to run all its cells, which `window.ran` promises; or run none."""
    enter(page, address)
    # A kernel that is being shut down would be taken again.
    until(lambda: name not in [each["path"] for each in _sessions(address)])
    page.wait_for_function(OPEN, arg=[name, run], timeout=60_000)


def leave(page: Page) -> None:
    """Close what is open in JupyterLab, saved or not, and show the files beside it."""
    page.evaluate("""() => {
        for (const one of [...(window.jupyterapp?.shell.widgets("main") ?? [])]) one.dispose();
        window.jupyterapp?.shell.activateById("filebrowser");
    }""")


def end_kernels(address: str, endings: dict[str, threading.Thread]) -> None:
    """Begin to shut down the kernels that run, whose workers and widgets would go on to the end of all tests."""
    for session in {each["id"] for each in _sessions(address)} - endings.keys():
        endings[session] = threading.Thread(target=asked, args=("DELETE", f"{address}/api/sessions/{session}"))
        endings[session].start()


def chromium() -> str | None:
    """Return where Chromium is on this machine, if it is."""
    return next(filter(None, map(shutil.which, CHROMIUM)), None)


def _answers(address: str) -> bool:
    try:
        return httpx.get(f"{address}/api", verify=NO_TLS, trust_env=False).is_success
    except httpx.HTTPError:
        return False


def _sessions(address: str) -> list[dict]:
    return asked("GET", f"{address}/api/sessions").json()


def asked(method: str, url: str) -> httpx.Response:
    said = {"Authorization": f"token {TOKEN}"}
    return httpx.request(method, url, headers=said, timeout=60, verify=NO_TLS, trust_env=False).raise_for_status()
