"""The lab's own RabbitMQ: a private node, started once, shared by all notebooks, gone without a trace after ``stop``.

It shares nothing with a RabbitMQ that the system runs: data, ports, Erlang cookie and password are its own, and each
listener is bound to loopback. The environment it needs is documented at https://www.rabbitmq.com/docs/configure.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil
from filelock import FileLock

from rpclab.broker.address import Broker, answers_amqp
from rpclab.broker.state import state_folder, write_privately
from rpclab.errors import BrokerUnavailable

NODE_NAME = "rpclab@localhost"
USER = "rpclab"
SHARED = "node"
NODE_PROCESS = "beam.smp"
PORT_MAPPER = "epmd"
BOOT_SECONDS = 60
STOP_SECONDS = 15
ATTEMPTS = 3
PORT_WAS_TAKEN = ("dist_port_already_used", "eaddrinuse", "address already in use")

# Debian's /usr/sbin/rabbitmq* is a wrapper for root and the user rabbitmq; the scripts behind it work for anybody.
SCRIPT_FOLDERS = ("/usr/lib/rabbitmq/bin", "/opt/homebrew/opt/rabbitmq/sbin", "/usr/local/opt/rabbitmq/sbin")

_children: list[subprocess.Popen] = []


@dataclass(frozen=True)
class Node:
    """A private node that was started; what it takes to reach it and to stop it."""

    name: str
    pid: int
    started: float
    scripts: str
    password: str
    amqp_port: int
    management_port: int
    distribution_port: int
    epmd_port: int

    @property
    def broker(self) -> Broker:
        return Broker(
            url=f"amqp://{USER}:{self.password}@127.0.0.1:{self.amqp_port}",
            management_url=f"http://127.0.0.1:{self.management_port}",
            origin="private node",
            node=self.name,
        )

    def process(self) -> psutil.Process | None:
        """Return the node's process, or None if it has ended (a later process may have its pid)."""
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.started) < 2 and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return None
        return process if same else None


def script_folder() -> Path | None:
    """Return the folder of RabbitMQ's own scripts that this user may run, or None if RabbitMQ is not installed."""
    server = shutil.which("rabbitmq-server")
    candidates = [*SCRIPT_FOLDERS, *([str(Path(server).parent)] if server else [])]
    for candidate in map(Path, candidates):
        if os.access(candidate / "rabbitmq-server", os.X_OK):
            return candidate
    return None


def node_folder(name: str = SHARED) -> Path:
    """Return the folder that holds all there is of a private node, existing or not."""
    return state_folder() / name


def recorded(name: str = SHARED) -> Node | None:
    """Return a private node as it was recorded when it was started, or None; it may have ended since."""
    try:
        return Node(**json.loads((node_folder(name) / "node.json").read_text()))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def running(name: str = SHARED) -> Node | None:
    """Return a private node if it is up and answers, else None."""
    node = recorded(name)
    return node if node and node.process() and answers_amqp("127.0.0.1", node.amqp_port) else None


def start(name: str = SHARED) -> Node:
    """Return a running private node, starting it first if need be; of two callers at once, one starts it.

    Parameters
    ----------
    name : str
        All labs share one node; one that shall be broken without disturbing the others gets a name of its own.

    Raises
    ------
    BrokerUnavailable
        If RabbitMQ is not installed or does not come up.
    """
    with _lock():
        node = running(name)
        if node:
            return node
        scripts = script_folder()
        if scripts is None:
            raise BrokerUnavailable("RabbitMQ is not installed here, so no private node can be started.")
        _stop_leftovers(name)
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return _boot(name, scripts)
            except _PortTaken as error:
                if attempt == ATTEMPTS:
                    raise BrokerUnavailable(f"Three times a port was taken while RabbitMQ started: {error}") from None
        raise AssertionError("unreachable: each attempt returns or raises")


def stop(name: str | None = None) -> bool:
    """End a private node and its epmd, or all of them, and remove the data; tell whether there was one."""
    with _lock():
        return _stop_leftovers(name)


def environment(name: str, ports: Mapping[str, int]) -> dict[str, str]:
    """Return the environment in which a node, and each rabbitmqctl that shall reach it, has to run."""
    folder = node_folder(name)
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("RABBITMQ_", "ERL_", "RPCLAB_"))}
    return inherited | {
        "HOME": str(folder),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "ERL_EPMD_PORT": str(ports["epmd_port"]),
        "ERL_CRASH_DUMP": str(folder / "erl_crash.dump"),
        "RABBITMQ_NODENAME": NODE_NAME,
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


class _PortTaken(Exception):
    pass


def _lock() -> FileLock:
    return FileLock(state_folder() / "node.lock", timeout=2 * BOOT_SECONDS)


def _boot(name: str, scripts: Path) -> Node:
    """Start a fresh node on free ports and wait until it answers."""
    names = ("amqp_port", "management_port", "distribution_port", "epmd_port")
    ports = dict(zip(names, _free_ports(len(names)), strict=True))
    password = secrets.token_urlsafe(24)
    folder = _write_configuration(name, ports, password)
    with (folder / "log" / "console.log").open("wb") as log:
        process = subprocess.Popen(
            [str(scripts / "rabbitmq-server")],
            cwd=folder, env=environment(name, ports), start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        )
    _children.append(process)
    node = Node(name, process.pid, psutil.Process(process.pid).create_time(), str(scripts), password, **ports)
    write_privately(folder / "node.json", json.dumps(asdict(node)))
    _wait_until_up(node, process, folder)
    return node


def _wait_until_up(node: Node, process: subprocess.Popen, folder: Path) -> None:
    deadline = time.monotonic() + BOOT_SECONDS
    while not answers_amqp("127.0.0.1", node.amqp_port):
        ended = process.poll() is not None
        if ended or time.monotonic() > deadline:
            said = _last_lines(folder / "log" / "console.log")
            _stop_leftovers(node.name)
            if any(sign in said.lower() for sign in PORT_WAS_TAKEN):
                raise _PortTaken(said)
            what = f"ended with status {process.returncode}" if ended else f"did not answer within {BOOT_SECONDS} s"
            raise BrokerUnavailable(f"The private RabbitMQ node {what}. Its last words:\n{said}")
        time.sleep(0.05)


def processes(name: str | None = None) -> list[psutil.Process]:
    """Return the processes of a private node, or of all, port mapper included, also if no record tells of them."""

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
    for child in list(_children):
        if child.poll() is not None:
            _children.remove(child)
    for folder in [node_folder(name)] if name else state_folder().glob(f"{SHARED}*/"):
        shutil.rmtree(folder, ignore_errors=True)
    return bool(present)


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


def _write_configuration(name: str, ports: dict[str, int], password: str) -> Path:
    folder = node_folder(name)
    for each in (folder, folder / "data", folder / "log", folder / "plugins"):
        each.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_privately(folder / "rabbitmq-env.conf", "")
    write_privately(folder / "advanced.config", "[].\n")
    write_privately(folder / "enabled_plugins", "[rabbitmq_management].\n")
    write_privately(folder / "rabbitmq.conf", f"""\
listeners.tcp.default = 127.0.0.1:{ports["amqp_port"]}
management.tcp.ip = 127.0.0.1
management.tcp.port = {ports["management_port"]}
default_user = {USER}
default_pass = {password}
""")
    return folder


def _last_lines(path: Path, count: int = 12) -> str:
    return "\n".join(path.read_text(errors="replace").splitlines()[-count:])
