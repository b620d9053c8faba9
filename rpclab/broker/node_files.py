"""What a private node finds when it starts: its folder, its configuration and its environment.

The environment it needs is documented at https://www.rabbitmq.com/docs/configure.
"""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path

from rpclab.broker.state import state_folder, write_privately

USER = "rpclab"
SHARED = "node"
MOST_NODES = 7
PORTS = ("amqp_port", "management_port", "distribution_port")


def node_folder(name: str = SHARED, number: int = 0) -> Path:
    """Return the folder that holds all there is of a private node or cluster, existing or not.

    Parameters
    ----------
    name : str
        Which private broker.
    number : int
        Of a cluster's nodes, counted from 1, each has a folder of its own in the cluster's.
    """
    folder = state_folder() / name
    return folder / title(number) if number else folder


def title(number: int = 0) -> str:
    """Return what a node is called: ``rpclab`` if it is alone, else ``rpclab-1`` and so on."""
    return f"rpclab-{number}" if number else "rpclab"


def erlang_name(number: int = 0) -> str:
    """Return what a node is called by Erlang, and by ``rabbitmqctl -n``."""
    return f"{title(number)}@localhost"


def environment(name: str, number: int, ports: Mapping[str, int]) -> dict[str, str]:
    """Return the environment in which a node, and each rabbitmqctl that shall reach it, has to run."""
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
        # The start script then replaces itself by Erlang, so that the child's pid is the node's.
        "RUNNING_UNDER_SYSTEMD": "true",
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
    }


def prepare(name: str, numbers: Sequence[int], password: str) -> dict[int, dict[str, int]]:
    """Write all that the nodes of a private broker need to start, and return the ports of each.

    Parameters
    ----------
    name : str
        Which private broker.
    numbers : sequence of int
        ``[0]`` for one node, ``[1, 2, 3]`` for a cluster of three.
    password : str
        Of the user `USER`.
    """
    epmd, *free = _free_ports(1 + len(numbers) * len(PORTS))
    _make_folder(node_folder(name))
    # Nodes that start at the same time would each make a cookie of their own.
    write_privately(node_folder(name) / ".erlang.cookie", secrets.token_hex(20), mode=0o400)
    ports = {}
    for number in numbers:
        own, free = free[: len(PORTS)], free[len(PORTS) :]
        ports[number] = dict(zip(PORTS, own, strict=True)) | {"epmd_port": epmd}
        # The first looks for nobody: since 3.13, one that looks does not boot before another is there.
        peers = sorted({numbers[0], number})
        _write_configuration(node_folder(name, number), ports[number], password, peers)
    return ports


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
""" + (_formation(peers) if len(peers) > 1 else ""))


def _formation(numbers: Sequence[int]) -> str:
    """Return the lines by which nodes find each other: https://www.rabbitmq.com/docs/cluster-formation."""
    peers = [f"cluster_formation.classic_config.nodes.{number} = {erlang_name(number)}\n" for number in numbers]
    return "cluster_formation.peer_discovery_backend = classic_config\n" + "".join(peers)


def _make_folder(path: Path) -> None:
    path.mkdir(mode=0o700, parents=True, exist_ok=True)


def _free_ports(count: int) -> list[int]:
    """Return ports that nobody listens on; all are held until the last is found, so that they differ."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()
