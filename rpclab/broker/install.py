"""Getting RabbitMQ onto a machine that has none, from the system's own packages."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess

from rpclab.broker import compose, node
from rpclab.broker.find import find, remedy
from rpclab.errors import BrokerUnavailable

APT_PACKAGES = ("rabbitmq-server",)


def ensure_installed() -> None:
    """Install RabbitMQ unless a broker runs already or can be started; says first what it is going to do.

    Raises
    ------
    BrokerUnavailable
        If this system offers no way that we know; the message names the others.
    """
    if _not_needed():
        return
    command = install_command()
    if command is None:
        raise BrokerUnavailable(f"RabbitMQ is not installed, and we know of no way to do that here.\n{remedy()}")
    for step in command:
        print(f"RabbitMQ is missing. Running: {' '.join(step)}", flush=True)
        if subprocess.run(step, check=False, env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"}).returncode:
            raise BrokerUnavailable(f"`{' '.join(step)}` failed; what it printed stands above.\n{remedy()}")
    if shutil.which("systemctl") and platform.system() == "Linux":
        print(
            "Note: the package may also have started a RabbitMQ service of the system. The lab does not use it; "
            "to turn it off: sudo systemctl disable --now rabbitmq-server"
        )


def install_command() -> list[list[str]] | None:
    """Return the command lines that install RabbitMQ here, or None where we know of none."""
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
