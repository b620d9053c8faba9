"""The lab's own RabbitMQ: a private node or cluster, started once, shared by all notebooks, gone after ``stop``.

It shares nothing with a RabbitMQ that the system runs: data, ports, Erlang cookie and password are its own, and each
listener is bound to loopback. The nodes of a cluster share one port mapper and one folder, which holds one for each.
"""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

import psutil
from filelock import FileLock

from rpclab.broker.node_boot import BOOT_SECONDS, PortTaken, boot, reap, spawn, wait_until_up
from rpclab.broker.node_files import SHARED, node_folder, title
from rpclab.broker.node_record import STOP_SECONDS, Node, recorded
from rpclab.broker.state import state_folder
from rpclab.errors import BrokerUnavailable, LabError

NODE_PROCESS = "beam.smp"
PORT_MAPPER = "epmd"
ATTEMPTS = 3

# Debian's /usr/sbin/rabbitmq* is a wrapper for root and the user rabbitmq; the scripts behind it work for anybody.
SCRIPT_FOLDERS = ("/usr/lib/rabbitmq/bin", "/opt/homebrew/opt/rabbitmq/sbin", "/usr/local/opt/rabbitmq/sbin")


def script_folder() -> Path | None:
    """Return the folder of RabbitMQ's own scripts that this user may run, or None if RabbitMQ is not installed."""
    server = shutil.which("rabbitmq-server")
    candidates = [*SCRIPT_FOLDERS, *([str(Path(server).parent)] if server else [])]
    for candidate in map(Path, candidates):
        if os.access(candidate / "rabbitmq-server", os.X_OK):
            return candidate
    return None


def running(name: str = SHARED) -> Node | None:
    """Return a private node if it is up and answers, else None; of a cluster, the first one that does."""
    return next((node for node in recorded(name) if node.answers()), None)


def start(name: str = SHARED, count: int | None = None) -> Node:
    """Return a running private node, starting it first if need be; of two callers at once, one starts it.

    Parameters
    ----------
    name : str
        All labs share one broker; one that shall be broken without disturbing the others gets a name of its own.
    count : int, optional
        More than 1 for a cluster of so many nodes, of which those that are down are started. If not given, what runs
        is taken as it is, and one node started if nothing runs.

    Raises
    ------
    BrokerUnavailable
        If RabbitMQ is not installed or does not come up.
    LabError
        If another number of nodes runs.
    """
    with _lock():
        first = running(name)
        if first and count is not None:
            _revive(name, count)
        if first:
            return running(name)
        scripts = script_folder()
        if scripts is None:
            raise BrokerUnavailable("RabbitMQ is not installed here, so no private node can be started.")
        _stop_leftovers(name)
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return boot(name, scripts, count or 1)
            except PortTaken as error:
                _stop_leftovers(name)
                if attempt == ATTEMPTS:
                    raise BrokerUnavailable(f"Three times a port was taken while RabbitMQ started: {error}") from None
            except BaseException:
                _stop_leftovers(name)
                raise
        raise AssertionError("unreachable: each attempt returns or raises")


def start_again(*nodes: Node) -> None:
    """Start nodes of a cluster that have ended, each with its data, and return when they are back in the cluster.

    All at the same time: of those that ended together, one may wait for another.

    Raises
    ------
    BrokerUnavailable
        If one does not come up, with what it said.
    """
    down = [node for node in nodes if node.process() is None]
    fresh = [spawn(node.name, node.number, node.scripts, node.password, node.ports) for node in down]
    try:
        wait_until_up(fresh)
    except PortTaken as error:
        raise BrokerUnavailable(f"Another program has taken a port of {title(nodes[0].number)}:\n{error}") from None


def stop(name: str | None = None) -> bool:
    """End a private node or cluster and its epmd, or all, and remove the data; tell whether there was one."""
    with _lock():
        return _stop_leftovers(name)


def _lock() -> FileLock:
    return FileLock(state_folder() / "node.lock", timeout=2 * BOOT_SECONDS)


def _revive(name: str, count: int) -> None:
    """Start those of a cluster that are down; the caller holds the lock."""
    found = recorded(name)
    if len(found) != count:
        there = f"a cluster of {len(found)} nodes" if len(found) > 1 else "a single node"
        raise LabError(f"The lab runs {there} already, not {count}. End it first: python -m rpclab down")
    start_again(*found)


def processes(name: str | None = None) -> list[psutil.Process]:
    """Return the processes of a private broker, or of all, port mapper included, also if no record tells of them."""

    def ours(home: Path) -> bool:
        return home == node_folder(name) if name else home.parent == state_folder() and home.name.startswith(SHARED)

    found = []
    for process in psutil.process_iter(["name"]):
        # Processes of other users do not tell their environment; they are not ours either.
        with suppress(psutil.Error):
            if process.info["name"] in (NODE_PROCESS, PORT_MAPPER) and ours(Path(process.environ().get("HOME", ""))):
                found.append(process)
    return found


def _stop_leftovers(name: str | None) -> bool:
    """End what a node left, or all of them, running or not; the caller holds the lock."""
    present = processes(name)
    # Not politely: an orderly shutdown takes Erlang several seconds, to save what is deleted next.
    for process in present:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(present, timeout=STOP_SECONDS)
    reap()
    for folder in [node_folder(name)] if name else state_folder().glob(f"{SHARED}*/"):
        shutil.rmtree(folder, ignore_errors=True)
    return bool(present)


