"""The broker in a container, as `docker-compose.yml` describes it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from urllib.parse import quote

from rpclab.broker.address import Broker, answers_amqp
from rpclab.errors import BrokerUnavailable, LabError

# As docker-compose.yml publishes it. Not 5672 and 15672: a RabbitMQ of the system may hold those.
PORT = 5682
MANAGEMENT_PORT = 15682
USER = "rpclab"
PASSWORD = "rpclab"  # the ports are published on 127.0.0.1 only; RPCLAB_PASSWORD sets another
SERVICE = "broker"


def broker() -> Broker:
    """Return the address at which docker-compose.yml publishes the broker, running or not."""
    password = quote(os.environ.get("RPCLAB_PASSWORD", PASSWORD), safe="")
    return Broker(f"amqp://{USER}:{password}@127.0.0.1:{PORT}", f"http://127.0.0.1:{MANAGEMENT_PORT}", "Docker Compose")


def running() -> Broker | None:
    """Return the Compose broker if it is running and answers, else None."""
    return broker() if answers_amqp("127.0.0.1", PORT) else None


def available() -> bool:
    """Return whether `docker compose` works here, a Docker engine runs and the compose file exists."""
    return compose_file().is_file() and shutil.which("docker") is not None and _printed("docker", "info") is not None


def start() -> Broker:
    """Start the broker and wait until it is healthy.

    Raises
    ------
    BrokerUnavailable
        With Compose's message, if it did not start.
    """
    _compose("up", "--detach", "--wait", SERVICE)
    return broker()


def stop() -> bool:
    """Stop the Compose broker if this clone's compose file describes it; return whether it was running.

    Raises
    ------
    LabError
        If another file does, for example another clone's. That broker keeps running.
    """
    if running() is None:
        return False
    folder = started_from()
    if folder != compose_file().parent:
        raise LabError(
            f"The broker at 127.0.0.1:{PORT} was not stopped, because it was started from {folder or 'elsewhere'}. "
            "To stop it, run `docker compose down` there."
        )
    _compose("down")
    return True


def started_from() -> Path | None:
    """Return the folder from which Compose started the running broker, or None if Docker does not report it."""
    # Not found by the project's name, which all clones share: stopping our broker would stop another clone's.
    label = '{{.Label "com.docker.compose.project.working_dir"}}'
    folder = _printed("docker", "ps", "--filter", f"publish={PORT}", "--format", label)
    return Path(folder).resolve() if folder else None


def exec_command(*command: str) -> list[str]:
    """Return the command line that runs a command beside the broker, in its container."""
    return ["docker", "compose", "--file", str(compose_file()), "exec", "-T", SERVICE, *command]


def compose_file() -> Path:
    """Return the path of docker-compose.yml in a clone of the repository; an installed package has none."""
    return Path(__file__).resolve().parents[2] / "docker-compose.yml"


def _compose(*arguments: str) -> None:
    command = ["docker", "compose", "--file", str(compose_file()), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BrokerUnavailable(f"`{' '.join(command)}` failed:\n{done.stderr.strip() or done.stdout.strip()}")


def _printed(*command: str) -> str | None:
    """Return what a command has printed, or None if it failed."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
