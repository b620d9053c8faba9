"""Starts the processes of a private node or cluster, and waits until they answer."""

from __future__ import annotations

import json
import secrets
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

import psutil

from rpclab.broker.management import Management
from rpclab.broker.node_files import environment, erlang_name, last_words, node_folder, prepare
from rpclab.broker.node_record import Node, recorded
from rpclab.broker.paths import write_privately
from rpclab.errors import BrokerUnavailable, LabError

BOOT_SECONDS = 60
PORT_WAS_TAKEN = ("dist_port_already_used", "eaddrinuse", "address already in use")
# A node of RabbitMQ 3.10 may end with this when it asks another node that is still starting; the next try succeeds.
ASKED_TOO_EARLY = "incompatible_feature_flags"

_children: list[subprocess.Popen] = []


class PortTaken(Exception):
    """Another program listens on a port that was free a moment ago."""


def boot(name: str, scripts: Path, count: int) -> Node:
    """Start a fresh node, or several that form a cluster, on free ports and wait until they answer."""
    numbers = list(range(1, count + 1)) if count > 1 else [0]
    password = secrets.token_urlsafe(24)
    ports = prepare(name, numbers, password)
    # The first forms the cluster before the others look for it: two first nodes would not join each other.
    for batch in filter(None, (numbers[:1], numbers[1:])):
        wait_until_up([spawn(name, number, str(scripts), password, ports[number]) for number in batch])
    return recorded(name)[0]


def spawn(name: str, number: int, scripts: str, password: str, ports: Mapping[str, int]) -> Node:
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


def wait_until_up(nodes: Sequence[Node]) -> None:
    """Return when all answer and, if they belong to a cluster, are in it."""
    deadline = time.monotonic() + BOOT_SECONDS
    for node in nodes:
        again = False
        while not (node.answers() and _in_cluster(node)):
            ended = node.process() is None
            if ended or time.monotonic() > deadline:
                said = last_words(node.name, node.number)
                if any(sign in said.lower() for sign in PORT_WAS_TAKEN):
                    raise PortTaken(said)
                if ended and ASKED_TOO_EARLY in said and not again:
                    again, node = True, spawn(node.name, node.number, node.scripts, node.password, node.ports)
                    continue
                what = "ended" if ended else f"did not answer within {BOOT_SECONDS} s"
                raise BrokerUnavailable(f"The private RabbitMQ node {node.title} {what}. Its last lines:\n{said}")
            time.sleep(0.05)


def _in_cluster(node: Node) -> bool:
    """Return whether all started nodes of a cluster know that this one is running."""
    if not node.number:
        return True
    names = {erlang_name(other.number) for other in recorded(node.name) if other.process()}
    # Until it has read its users, it refuses all of them.
    with Management(node.own_address()) as api, suppress(LabError):
        return names <= {known["name"] for known in api.get("nodes") or () if known["running"]}
    return False


def reap() -> None:
    """Reap this process's own children that have ended."""
    for child in list(_children):
        if child.poll() is not None:
            _children.remove(child)
