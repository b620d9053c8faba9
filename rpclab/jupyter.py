"""``make lab``: JupyterLab on the course, with a broker that ends when JupyterLab does."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from rpclab.broker import compose, node
from rpclab.broker.find import find
from rpclab.broker.install import ensure_installed
from rpclab.broker.state import state_folder
from rpclab.errors import BrokerUnavailable, LabError

NOTEBOOKS = Path(__file__).resolve().parents[1] / "notebooks"
SETTINGS = Path(__file__).resolve().parent / "jupyter_settings"
FIRST = NOTEBOOKS / "00_start_here.ipynb"
HIDDEN = ("images", "__pycache__", "*.pyc")


def run(arguments: list[str]) -> int:
    """Start a broker unless one runs, open JupyterLab, wait for its end, and stop the broker if it was ours.

    Parameters
    ----------
    arguments : list of str
        Passed on to JupyterLab.

    Returns
    -------
    int
        JupyterLab's exit status.
    """
    if not FIRST.exists():
        raise LabError(f"The notebooks are not at {NOTEBOOKS}. Run this from a clone of the repository: make lab")
    ensure_installed()
    ran_before = _is_running()
    print("Using the broker that runs." if ran_before else "Starting RabbitMQ (about 5 s) ...", flush=True)
    broker = find()
    print(f"RabbitMQ is ready; its management UI: {broker.management_url}", flush=True)
    print("Opening JupyterLab; end it with Ctrl-C or File > Shut Down ...", flush=True)
    try:
        return _wait(subprocess.Popen(_command(arguments), env=_environment()))
    finally:
        if not ran_before:
            print("Stopping RabbitMQ ...", flush=True)
            stop = node.stop if broker.node else compose.stop
            stop()


def _command(arguments: list[str]) -> list[str]:
    # JupyterLab refuses root unless told; in a container one often is.
    as_root = ["--allow-root"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    return [
        sys.executable, "-m", "jupyterlab", *as_root,
        f"--ServerApp.root_dir={NOTEBOOKS.parent}",
        f"--LabApp.default_url=/lab/tree/notebooks/{FIRST.name}",
        f"--LabApp.app_settings_dir={SETTINGS}",
        "--LabApp.custom_css=True",
        "--ServerApp.kernel_websocket_connection_class=rpclab.jupyter_websocket.PromptConnection",
        *(f"--ContentsManager.hide_globs={name}" for name in HIDDEN),
        *arguments,
    ]


def _environment() -> dict[str, str]:
    """Have terminals and ``!`` cells find this Python first, as if its virtual environment were activated.

    What the reader sets in JupyterLab's menus, and which notebooks were open, is kept with the lab's own state: neither
    does it change the JupyterLab that somebody uses at work, nor is it changed by that.
    """
    settings = state_folder() / "jupyter"
    shutil.copytree(SETTINGS / "custom", settings / "custom", dirs_exist_ok=True)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    return os.environ | {"PATH": path, "JUPYTER_CONFIG_DIR": str(settings)}


def _is_running() -> bool:
    try:
        find(start=False)
    except BrokerUnavailable:
        return False
    return True


def _wait(jupyter: subprocess.Popen) -> int:
    """Wait for JupyterLab's end; Ctrl-C and a polite kill are its to deal with, not ours."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for polite in (signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)):
        signal.signal(polite, lambda *_: jupyter.terminate())
    return jupyter.wait()
