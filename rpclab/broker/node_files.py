"""The folder, configuration and environment of a private node.

The environment it needs is documented at https://www.rabbitmq.com/docs/configure.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from rpclab.broker.paths import state_folder, write_privately
from rpclab.errors import LabError

USER = "rpclab"
SHARED = "node"
MOST_NODES = 7
PORTS = ("amqp_port", "management_port", "distribution_port")
# Outgoing connections get higher ports, so that none of them can take the port of a node that is down.
PORTS_TO_LISTEN_AT = range(20_000, 32_768)
# Only folders that `prepare` has made contain it, and only they are deleted.
MARK = ".rpclab-node"
MARK_TEXT = "rpclab made this folder for a private RabbitMQ node. `python -m rpclab down` deletes it.\n"
# A file whose lines are added to a node's configuration; the tests try RabbitMQ's stricter settings with it.
EXTRA_CONFIGURATION = "RPCLAB_NODE_CONFIG"


def node_folder(name: str = SHARED, number: int = 0) -> Path:
    """Return the folder of a private node or cluster, existing or not.

    Parameters
    ----------
    name : str
        Which private broker.
    number : int
        Each node of a cluster, counted from 1, has its own folder in the cluster's.
    """
    folder = state_folder() / name
    return folder / title(number) if number else folder


def is_ours(folder: Path) -> bool:
    """Return whether a folder was made for a private node, by this version of rpclab or an earlier one."""
    return (folder / MARK).is_file() or any(_is_record(record, folder.name) for record in records(folder))


def records(folder: Path) -> Iterable[Path]:
    """Return the paths of the records of the nodes in a folder; the files need not exist."""
    return [folder / "node.json", *folder.glob("*/node.json")]


def mark(folder: Path) -> None:
    """Mark a folder as made for a private node; has no effect if there is none."""
    if folder.is_dir():
        write_privately(folder / MARK, MARK_TEXT)


def delete(folder: Path) -> None:
    """Delete a folder with its contents, but only if it was made for a private node."""
    if is_ours(folder):
        shutil.rmtree(folder, ignore_errors=True)
        with suppress(OSError):
            mark(folder)  # what could not be deleted now is still ours


def title(number: int = 0) -> str:
    """Return a node's name: ``rpclab`` if it is alone, else ``rpclab-1`` and so on."""
    return f"rpclab-{number}" if number else "rpclab"


def erlang_name(number: int = 0) -> str:
    """Return a node's name for Erlang and ``rabbitmqctl -n``."""
    return f"{title(number)}@localhost"


def environment(name: str, number: int, ports: Mapping[str, int]) -> dict[str, str]:
    """Return the environment that a node needs, and each rabbitmqctl that connects to it."""
    folder = node_folder(name, number)
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("RABBITMQ_", "ERL_", "RPCLAB_"))}
    return inherited | {
        # The Erlang cookie lies there, which the nodes of a cluster share.
        "HOME": str(node_folder(name)),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "ERL_EPMD_PORT": str(ports["epmd_port"]),
        "ERL_CRASH_DUMP": str(folder / "erl_crash.dump"),
        "RABBITMQ_NODENAME": erlang_name(number),
        "RABBITMQ_DIST_PORT": str(ports["distribution_port"]),
        "RABBITMQ_CONF_ENV_FILE": str(folder / "rabbitmq-env.conf"),
        "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
        "RABBITMQ_ADVANCED_CONFIG_FILE": str(folder / "advanced.config"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
        "RABBITMQ_MNESIA_BASE": str(folder / "data"),
        "RABBITMQ_LOG_BASE": str(folder / "log"),
        "RABBITMQ_PLUGINS_EXPAND_DIR": str(folder / "plugins"),
        "RABBITMQ_PID_FILE": str(folder / "node.pid"),
        # The start script then replaces itself with Erlang, so that the child's pid is the node's.
        "RUNNING_UNDER_SYSTEMD": "true",
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
    }


def prepare(name: str, numbers: Sequence[int], password: str) -> dict[int, dict[str, int]]:
    """Write the files that the nodes of a private broker need to start, and return each node's ports.

    Parameters
    ----------
    name : str
        Which private broker.
    numbers : sequence of int
        ``[0]`` for one node, ``[1, 2, 3]`` for a cluster of three.
    password : str
        Of the user `USER`.

    Raises
    ------
    LabError
        If another program's folder is in the way.
    """
    epmd, *free = free_ports(1 + len(numbers) * len(PORTS))
    if node_folder(name).is_dir() and any(node_folder(name).iterdir()):
        raise LabError(
            f"A private node needs the folder {node_folder(name)}, which exists and was not made by rpclab. Move it "
            "away, or set RPCLAB_HOME to another folder."
        )
    _make_folder(node_folder(name))
    mark(node_folder(name))
    # Nodes that start at the same time would each make their own cookie.
    write_privately(node_folder(name) / ".erlang.cookie", secrets.token_hex(20), mode=0o400)
    ports = {}
    for number in numbers:
        own, free = free[: len(PORTS)], free[len(PORTS) :]
        ports[number] = dict(zip(PORTS, own, strict=True)) | {"epmd_port": epmd}
        # The first looks for no other: since 3.13, one that looks does not boot before it finds another.
        peers = sorted({numbers[0], number})
        _write_configuration(node_folder(name, number), ports[number], password, peers)
    return ports


def free_ports(count: int) -> list[int]:
    """Return random free ports to listen at: other labs may look for some at the same time."""
    found: list[int] = []
    for port in secrets.SystemRandom().sample(PORTS_TO_LISTEN_AT, len(PORTS_TO_LISTEN_AT)):
        if len(found) == count:
            break
        with suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            found.append(port)
    return found


def last_words(name: str, number: int = 0, count: int = 12) -> str:
    """Return the last lines that a node wrote to its console."""
    path = node_folder(name, number) / "log" / "console.log"
    return "\n".join(path.read_text(errors="replace").splitlines()[-count:])


def _write_configuration(folder: Path, ports: dict[str, int], password: str, peers: Sequence[int]) -> None:
    for each in (folder, folder / "data", folder / "log", folder / "plugins"):
        _make_folder(each)
    write_privately(folder / "rabbitmq-env.conf", "")
    write_privately(folder / "advanced.config", "[].\n")
    write_privately(folder / "enabled_plugins", "[rabbitmq_management].\n")
    write_privately(folder / "rabbitmq.conf", f"""\
listeners.tcp.default = 127.0.0.1:{ports["amqp_port"]}
management.tcp.ip = 127.0.0.1
management.tcp.port = {ports["management_port"]}
default_user = {USER}
default_pass = {password}
""" + (_formation(peers) if len(peers) > 1 else "") + _extra())


def _formation(numbers: Sequence[int]) -> str:
    """Return the lines by which nodes find each other: https://www.rabbitmq.com/docs/cluster-formation."""
    peers = [f"cluster_formation.classic_config.nodes.{number} = {erlang_name(number)}\n" for number in numbers]
    return "cluster_formation.peer_discovery_backend = classic_config\n" + "".join(peers)


def _extra() -> str:
    path = os.environ.get(EXTRA_CONFIGURATION)
    return Path(path).read_text(encoding="utf-8") if path else ""


def _is_record(path: Path, name: str) -> bool:
    """Return whether a file is the record of a node of this name, as an earlier version wrote it."""
    with suppress(OSError, ValueError):
        record = json.loads(path.read_text(encoding="utf-8"))
        return isinstance(record, dict) and record.get("name") == name and "amqp_port" in record
    return False


def _make_folder(path: Path) -> None:
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
