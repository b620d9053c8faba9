"""``python -m rpclab lab``: the lessons in the learner's folder, and JupyterLab there with a broker beside it."""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from rpclab.broker import compose, node
from rpclab.broker.find import find
from rpclab.broker.install import ensure_installed
from rpclab.broker.paths import state_folder
from rpclab.errors import BrokerUnavailable
from rpclab.lessons import hand_out, trust

FOLDER = Path("rpclab-lessons")
SETTINGS = Path(__file__).resolve().parent / "jupyter_settings"
FIRST = "00_start_here.ipynb"
HIDDEN = ("images", "__pycache__", "*.pyc")
# The default reads files in threads. If it is told to end while it does, these are left over, and Python waits for them
# forever (https://github.com/jupyterlab/jupyterlab/issues/10442). This one reads them at once, and lists them faster.
FILES = "jupyter_server.services.contents.largefilemanager.LargeFileManager"


def run(arguments: list[str]) -> int:
    """Hand the lessons out and open JupyterLab there, with a broker that ends with it unless one ran before.

    Parameters
    ----------
    arguments : list of str
        The learner's folder and our options, then those of JupyterLab.

    Returns
    -------
    int
        JupyterLab's exit status.

    Raises
    ------
    LabError
        If the lessons cannot be put into the folder.
    """
    asked, jupyters = _parse(arguments)
    folder = asked.folder.expanduser().resolve()
    done = hand_out(folder, clear=asked.clear)
    trust(folder)
    print(f"Your lessons are in {folder}", *done, sep="\n  ", flush=True)
    return _open(folder, jupyters) if asked.jupyter else 0


def _parse(arguments: list[str]) -> tuple[argparse.Namespace, list[str]]:
    """Return what is for us, and from the first option that is not ours on, what is for JupyterLab."""
    parser = argparse.ArgumentParser(
        prog="python -m rpclab lab", allow_abbrev=False, usage="%(prog)s [FOLDER] [options] [JupyterLab's options]",
        description="Copy the lessons to your folder and open JupyterLab there. What you change is kept: a "
        "later version of a lesson is put beside yours. The broker stops with JupyterLab.",
        epilog="All other options are JupyterLab's, for example --no-browser. It lists them with --help-all.",
    )
    parser.add_argument("folder", metavar="FOLDER", nargs="?", type=Path, default=FOLDER,
                        help="created if it does not exist; %(default)s by default")
    clear = parser.add_argument("--clear", action=argparse.BooleanOptionalAction,
                                help="without the outputs of an earlier run, or with them; by default as last time")
    jupyter = parser.add_argument("--no-jupyter", dest="jupyter", action="store_false", help="only copy the lessons")
    ours = {"-h", "--help", *clear.option_strings, *jupyter.option_strings}
    of_jupyter = (at for at, one in enumerate(arguments) if one.startswith("-") and one not in ours)
    first = next(of_jupyter, len(arguments))
    # Our options may stand among JupyterLab's, which does not know them. A value, such as the folder, may not.
    late = [one for one in arguments[first:] if one in ours]
    passed_on = [one for one in arguments[first:] if one not in ours and one != "--"]
    return parser.parse_args(arguments[:first] + late), passed_on


def _open(folder: Path, arguments: list[str]) -> int:
    """Start a broker unless one runs, open JupyterLab, wait for its end, and stop the broker if it was ours."""
    ensure_installed()
    ran_before = _is_running()
    print("Using the broker that is running." if ran_before else "Starting RabbitMQ (about 5 s) ...", flush=True)
    broker = find()
    print(f"RabbitMQ is ready; its management UI: {broker.management_url}", flush=True)
    print("Opening JupyterLab; stop it with Ctrl-C or File > Shut Down ...", flush=True)
    try:
        return _wait(subprocess.Popen(_command(folder, arguments), env=_environment()))
    finally:
        if not ran_before:
            print("Stopping RabbitMQ ...", flush=True)
            stop = node.stop if broker.node else compose.stop
            stop()


def _command(folder: Path, arguments: list[str]) -> list[str]:
    # JupyterLab refuses root by default; in a container you often are root.
    as_root = ["--allow-root"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    return [
        sys.executable, "-m", "jupyterlab", *as_root,
        f"--ServerApp.root_dir={folder}",
        f"--LabApp.default_url=/lab/tree/{FIRST}",
        f"--LabApp.app_settings_dir={SETTINGS}",
        "--LabApp.custom_css=True",
        "--ServerApp.kernel_websocket_connection_class=rpclab.jupyter_websocket.PromptConnection",
        f"--ServerApp.contents_manager_class={FILES}",
        *(f"--ContentsManager.hide_globs={name}" for name in HIDDEN),
        *arguments,
    ]


def _environment() -> dict[str, str]:
    """Have terminals and ``!`` cells find this Python first, as if its virtual environment were activated.

    The settings made in JupyterLab's menus, and which notebooks were open, are kept with the lab's own state. So the
    learner's other JupyterLab neither changes them nor is changed by them.
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
    """Wait for JupyterLab's end; it handles Ctrl-C and SIGTERM itself."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for polite in (signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)):
        signal.signal(polite, lambda *_: jupyter.terminate())
    return jupyter.wait()
