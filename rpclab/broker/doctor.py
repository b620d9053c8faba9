"""``python -m rpclab doctor``: checks what the course needs, and says how to get what is missing."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

import psutil
from packaging.requirements import Requirement

from rpclab.broker import node, tls
from rpclab.broker.address import answers_amqp
from rpclab.broker.environment import URL_VARIABLE
from rpclab.broker.find import advice, find
from rpclab.broker.management import Management
from rpclab.broker.paths import state_folder
from rpclab.errors import LabError

OLDEST_PYTHON = (3, 10)


@dataclass(frozen=True)
class Finding:
    """One thing that was checked, and the result."""

    what: str
    ok: bool
    detail: str

    def __str__(self) -> str:
        return f"[{'ok' if self.ok else '!!'}] {self.what}: {self.detail}"


def examine() -> list[Finding]:
    """Check everything and return the findings; start and change nothing."""
    return [check() for check in CHECKS]


def python() -> Finding:
    """Check the interpreter's version."""
    found = ".".join(map(str, sys.version_info[:3]))
    ok = sys.version_info >= OLDEST_PYTHON
    needed = ".".join(map(str, OLDEST_PYTHON))
    return Finding("Python", ok, found if ok else f"{found}; the course needs {needed} or later: install it, make lab")


def packages() -> Finding:
    """Check that the packages of the course are installed, in tested versions."""
    missing = []
    for needed in map(Requirement, requires("rpclab") or ()):
        try:
            found = version(needed.name)
        except PackageNotFoundError:
            missing.append(f"{needed.name} is missing")
        else:
            if found not in needed.specifier:
                missing.append(f"{needed.name} {found} is not {needed.specifier}")
    detail = f"{'; '.join(missing)}. Install rpclab again: make lab, or pip install" if missing else "all installed"
    return Finding("Packages", not missing, detail)


def rabbitmq() -> Finding:
    """Check that a RabbitMQ is installed or running."""
    scripts = node.script_folder()
    if scripts:
        return Finding("RabbitMQ", True, f"installed in {scripts}")
    try:
        broker = find(start=False)
    except LabError:
        return Finding("RabbitMQ", False, f"not installed, and no broker of the lab is running.\n{advice()}")
    return Finding("RabbitMQ", True, f"not installed; used from {broker.origin}")


def loopback() -> Finding:
    """Listen on a free port and connect to it, as the lab's tap and its private node do."""
    try:
        with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname(), 2):
            return Finding("Ports", True, "free ones on 127.0.0.1 can be opened and reached")
    except OSError as error:
        return Finding("Ports", False, f"127.0.0.1 cannot be used ({error}); allow local connections in the firewall")


def state() -> Finding:
    """Check that no other user may read the lab's folder, which holds the broker's password."""
    folder = state_folder()
    mode = folder.stat().st_mode & 0o077
    if mode and sys.platform != "win32":
        return Finding("State folder", False, f"other users may read {folder}. Run: chmod 700 '{folder}'")
    return Finding("State folder", True, str(folder))


def broker() -> Finding:
    """Check the running broker; none is fine as long as a notebook can start one."""
    try:
        found = find(start=False)
        with Management(found) as api:
            overview = api.fetch("overview")
    except LabError as error:
        if node.script_folder() and not os.environ.get("RPCLAB_BROKER"):
            return Finding("Broker", True, "not running; the first lab starts it (or: python -m rpclab up)")
        return Finding("Broker", False, str(error))
    if found.secure:
        try:
            tls.check([(found.host, found.port)])
        except LabError as error:
            return Finding("Broker", False, str(error))
    elif not answers_amqp(found.host, found.port):
        return Finding("Broker", False, f"{found.host}:{found.port} does not answer AMQP. Check RPCLAB_BROKER.")
    return Finding("Broker", True, f"RabbitMQ {overview['rabbitmq_version']} at {found.host}:{found.port}")


def leftovers() -> Finding:
    """Look for nodes and port mappers without a record, and for workers whose notebook has ended."""
    strays = [process for folder in _homeless() for process in node.processes(folder)]
    if strays:
        pids = ", ".join(str(process.pid) for process in strays)
        return Finding("Processes", False, f"a node without a record (pid {pids}). Run: python -m rpclab down")
    orphans = list(_orphaned_workers())
    if orphans:
        pids = " ".join(map(str, orphans))
        return Finding("Processes", False, f"workers without a notebook (pid {pids}). Run: kill {pids}")
    return Finding("Processes", True, "none left over")


def _homeless() -> list[str]:
    """Return the names of nodes that do not run as recorded."""
    names = {Path(process.environ()["HOME"]).name for process in node.processes()}
    return sorted(name for name in names if not node.running(name))


def _orphaned_workers() -> Iterator[int]:
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.ppid() == 1 and URL_VARIABLE in process.environ():
                yield process.pid


CHECKS: tuple[Callable[[], Finding], ...] = (python, packages, rabbitmq, loopback, state, broker, leftovers)
