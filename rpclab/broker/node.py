"""The lab's own RabbitMQ: a private node or cluster, started once, shared by all notebooks, deleted by ``stop``.

It shares nothing with a RabbitMQ that the system runs: data, ports, Erlang cookie and password are its own, and each
listener is bound to loopback. The nodes of a cluster share one port mapper and one folder, which holds one for each.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

import psutil
from filelock import FileLock

from rpclab.broker.management import Management
from rpclab.broker.node_files import (
    MOST_NODES,
    SHARED,
    delete,
    environment,
    erlang_name,
    last_words,
    mark,
    node_folder,
    prepare,
    title,
)
from rpclab.broker.node_record import STOP_SECONDS, Node, recorded
from rpclab.broker.paths import state_folder, write_privately
from rpclab.errors import BrokerUnavailable, LabError

NODE_PROCESS = "beam.smp"
PORT_MAPPER = "epmd"
ATTEMPTS = 3
BOOT_SECONDS = 60
PORT_WAS_TAKEN = ("dist_port_already_used", "eaddrinuse", "address already in use")
# A node of RabbitMQ 3.10 may end with this when it asks another node that is still starting; the next try succeeds.
ASKED_TOO_EARLY = "incompatible_feature_flags"

# Debian's /usr/sbin/rabbitmq* is a wrapper for root and the user rabbitmq; the scripts behind it work for any user.
SCRIPT_FOLDERS = ("/usr/lib/rabbitmq/bin", "/opt/homebrew/opt/rabbitmq/sbin", "/usr/local/opt/rabbitmq/sbin")

_children: list[subprocess.Popen] = []


class PortTaken(Exception):
    """Another program listens on a port that was free a moment ago."""


def script_folder() -> Path | None:
    """Return the folder of RabbitMQ's own scripts that this user may run, or None if RabbitMQ is not installed."""
    server = shutil.which("rabbitmq-server")
    candidates = [*SCRIPT_FOLDERS, *([str(Path(server).parent)] if server else [])]
    for candidate in map(Path, candidates):
        if os.access(candidate / "rabbitmq-server", os.X_OK):
            return candidate
    return None


def running(name: str = SHARED) -> Node | None:
    """Return a private node if it is running and answers, else None; of a cluster, the first such node."""
    return next((node for node in recorded(name) if node.answers()), None)


def start(name: str = SHARED, count: int | None = None) -> Node:
    """Return a running private node, and start it first if needed; of two callers at once, one starts it.

    Parameters
    ----------
    name : str
        All labs share one broker; one that a lesson breaks gets its own name.
    count : int, optional
        More than 1 for a cluster of this many nodes; those that are down are started. By default, what is running is
        used as it is, or one node is started.

    Raises
    ------
    BrokerUnavailable
        If RabbitMQ is not installed or does not start.
    LabError
        If another number of nodes is running.
    """
    with _lock():
        first = running(name)
        if first and count is not None:
            _revive(name, count)
        if first:
            return running(name) or first
        scripts = script_folder()
        if scripts is None:
            raise BrokerUnavailable("RabbitMQ is not installed here, so no private node can be started.")
        _stop_leftovers(name)
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return _boot(name, scripts, count or 1)
            except PortTaken as error:
                _stop_leftovers(name)
                if attempt == ATTEMPTS:
                    raise BrokerUnavailable(f"Three times a port was taken while RabbitMQ started: {error}") from None
            except BaseException:
                _stop_leftovers(name)
                raise
        raise AssertionError("unreachable: each attempt returns or raises")


def start_again(*nodes: Node) -> None:
    """Start nodes of a cluster that have ended, each with its data, and return when they have joined the cluster.

    They start at the same time: one may wait for another that ended with it.

    Raises
    ------
    BrokerUnavailable
        If one does not start; with its message.
    """
    down = [node for node in nodes if node.process() is None]
    fresh = [_spawn(node.name, node.number, node.scripts, node.password, node.ports) for node in down]
    try:
        _wait_until_up(fresh)
    except PortTaken as error:
        raise BrokerUnavailable(f"Another program has taken a port of {title(nodes[0].number)}:\n{error}") from None


def stop(name: str | None = None) -> bool:
    """End a private node or cluster and its epmd, or all, and delete the data; return whether there was one."""
    with _lock():
        return _stop_leftovers(name)


def _lock() -> FileLock:
    return FileLock(state_folder() / "node.lock", timeout=2 * BOOT_SECONDS)


def _revive(name: str, count: int) -> None:
    """Start a cluster's nodes that are down; the caller holds the lock."""
    found = recorded(name)
    if len(found) != count:
        there = f"a cluster of {len(found)} nodes" if len(found) > 1 else "a single node"
        raise LabError(f"The lab already runs {there}, not {count}. Stop it first: python -m rpclab down")
    start_again(*found)


def _boot(name: str, scripts: Path, count: int) -> Node:
    """Start a fresh node, or several that form a cluster, on free ports and wait until they answer."""
    numbers = list(range(1, count + 1)) if count > 1 else [0]
    password = secrets.token_urlsafe(24)
    ports = prepare(name, numbers, password)
    # The first forms the cluster before the others look for it: two first nodes would not join each other.
    for batch in filter(None, (numbers[:1], numbers[1:])):
        _wait_until_up([_spawn(name, number, str(scripts), password, ports[number]) for number in batch])
    return recorded(name)[0]


def _spawn(name: str, number: int, scripts: str, password: str, ports: Mapping[str, int]) -> Node:
    """Start the process of one node, and record and return its address without waiting."""
    folder = node_folder(name, number)
    with (folder / "log" / "console.log").open("wb") as log:
        process = subprocess.Popen(
            [str(Path(scripts) / "rabbitmq-server")],
            cwd=folder, env=environment(name, number, ports), start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        )
    _children.append(process)
    started = psutil.Process(process.pid).create_time()
    node = Node(name, process.pid, started, scripts, password, **ports, number=number)
    write_privately(folder / "node.json", json.dumps(asdict(node)))
    return node


def _wait_until_up(nodes: Sequence[Node]) -> None:
    """Return when all answer and, if they belong to a cluster, are in it."""
    deadline = time.monotonic() + BOOT_SECONDS
    for node in nodes:
        again = False
        while not (node.answers() and _is_managed(node)):
            ended = node.process() is None
            if ended or time.monotonic() > deadline:
                said = last_words(node.name, node.number)
                if any(sign in said.lower() for sign in PORT_WAS_TAKEN):
                    raise PortTaken(said)
                if ended and ASKED_TOO_EARLY in said and not again:
                    again, node = True, _spawn(node.name, node.number, node.scripts, node.password, node.ports)
                    continue
                what = "ended" if ended else f"did not answer within {BOOT_SECONDS} s"
                raise BrokerUnavailable(f"The private RabbitMQ node {node.title} {what}. Its last lines:\n{said}")
            time.sleep(0.05)


def _is_managed(node: Node) -> bool:
    """Return whether its HTTP API works; in a cluster, whether all started nodes know that this one is running."""
    names = {erlang_name(other.number) for other in recorded(node.name) if other.process()} if node.number else set()
    # Until it has read its users, it refuses all of them, and RabbitMQ 4.3 opens its ports before it has an overview.
    with Management(node.own_address()) as api, suppress(LabError):
        api.fetch("overview")
        return names <= {known["name"] for known in api.fetch("nodes") if known["running"]}
    return False


def processes(name: str | None = None) -> list[psutil.Process]:
    """Return the processes of a private broker, or of all, port mapper included, even without a record."""
    found = []
    for process in psutil.process_iter(["name"]):
        # The environment of other users' processes cannot be read; they are not ours either.
        with suppress(psutil.Error):
            if process.info["name"] in (NODE_PROCESS, PORT_MAPPER) and _is_ours(process.environ(), name):
                found.append(process)
    return found


def _is_ours(environ: Mapping[str, str], name: str | None) -> bool:
    """Return whether this is the environment of a process of a private broker, or of the given one."""
    home = Path(environ.get("HOME", ""))
    named = home == node_folder(name) if name else home.parent == state_folder() and home.name.startswith(SHARED)
    return named and environ.get("RABBITMQ_NODENAME", "") in map(erlang_name, range(MOST_NODES + 1))


def _stop_leftovers(name: str | None) -> bool:
    """End what a node left, or all nodes, running or not; the caller holds the lock."""
    present = processes(name)
    # A node whose folder was deleted while it ran has created it again, without the mark.
    for process in present:
        with suppress(psutil.Error):
            mark(Path(process.environ()["HOME"]))
    # With SIGKILL: a clean shutdown takes Erlang several seconds, to save what is deleted next.
    for process in present:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(present, timeout=STOP_SECONDS)
    _reap()
    for folder in [node_folder(name)] if name else state_folder().glob(f"{SHARED}*/"):
        delete(folder)
    return bool(present)


def _reap() -> None:
    """Reap this process's own children that have ended."""
    for child in list(_children):
        if child.poll() is not None:
            _children.remove(child)
