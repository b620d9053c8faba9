"""Installs RabbitMQ from the system's own packages."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess

from rpclab.broker import compose, node
from rpclab.broker.find import advice, find
from rpclab.errors import BrokerUnavailable

APT_PACKAGES = ("rabbitmq-server",)


def ensure_installed() -> None:
    """Install RabbitMQ unless a broker is running or can be started; print first what it will do.

    Raises
    ------
    BrokerUnavailable
        If no way is known for this system; the message names other ways to get a broker.
    """
    if _not_needed():
        return
    command = install_command()
    if command is None:
        raise BrokerUnavailable(f"RabbitMQ is not installed, and rpclab cannot install it on this system.\n{advice()}")
    for step in command:
        print(f"RabbitMQ is missing. Running: {' '.join(step)}", flush=True)
        if subprocess.run(step, check=False, env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"}).returncode:
            raise BrokerUnavailable(f"`{' '.join(step)}` failed; see its output above.\n{advice()}")
    if shutil.which("systemctl") and platform.system() == "Linux":
        print(
            "Note: the package may also have started a RabbitMQ service of the system. The lab does not use it; "
            "to stop it: sudo systemctl disable --now rabbitmq-server"
        )


def install_command() -> list[list[str]] | None:
    """Return the command lines that install RabbitMQ on this system, or None if none is known."""
    if shutil.which("apt-get"):
        sudo = [] if os.geteuid() == 0 else ["sudo"] if shutil.which("sudo") else None
        if sudo is None:
            return None
        install = [*sudo, "apt-get", "install", "--yes", "--no-install-recommends", *APT_PACKAGES]
        return [[*sudo, "apt-get", "update"], install]
    if platform.system() == "Darwin" and shutil.which("brew"):
        return [["brew", "install", "rabbitmq"]]
    return None


def _not_needed() -> bool:
    if node.script_folder():
        return True
    try:
        find(start=False)
    except BrokerUnavailable:
        return compose.available()
    return True
