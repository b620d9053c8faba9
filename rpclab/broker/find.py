"""Which RabbitMQ the lab uses: the one asked for, the one that runs, or the first that can be started."""

from __future__ import annotations

import os
import platform
from dataclasses import replace
from urllib.parse import urlsplit

from rpclab.broker import compose, node
from rpclab.broker.address import Broker
from rpclab.errors import BrokerUnavailable, InvalidOption

MANAGEMENT_PORTS = {"amqp": ("http", 15672), "amqps": ("https", 15671)}
ADVICE = (
    "It looks like amqp://user:password@host:5672, or amqps:// for TLS; special characters in the password are written "
    "as %XX, a comma or a space among them. Those of a cluster's nodes have commas between them."
)


def find(*, start: bool = True) -> Broker:
    """Return the broker to use.

    In this order: what ``RPCLAB_BROKER`` names; the lab's own broker if it runs (private node, then Docker Compose);
    a private node, started now; ``docker compose up``.

    Parameters
    ----------
    start : bool
        Whether one may be started. Without it, only what runs is found.

    Raises
    ------
    BrokerUnavailable
        If there is none. The message says how to get one on this system.
    InvalidOption
        If ``RPCLAB_BROKER`` is no AMQP URL, nor several with commas or spaces between them.
    """
    if os.environ.get("RPCLAB_BROKER"):
        return _from_environment(os.environ["RPCLAB_BROKER"])
    private = node.running()
    if private:
        return private.broker
    container = compose.running()
    if container:
        return container
    if start and node.script_folder():
        return node.start().broker
    if start and compose.available():
        return compose.start()
    tried = " and none could be started" if start else ""
    raise BrokerUnavailable(f"No RabbitMQ runs for this lab{tried}.\n{remedy()}")


def remedy() -> str:
    """Say how to get a broker on this system."""
    if node.script_folder():
        first = "Start the private node: python -m rpclab up"
    else:
        first = {
            "Linux": "Install RabbitMQ: sudo apt-get install --no-install-recommends rabbitmq-server",
            "Darwin": "Install RabbitMQ: brew install rabbitmq",
        }.get(platform.system(), "Install Docker Desktop: https://docs.docker.com/get-started/get-docker/")
    return "\n".join([
        f"- {first}",
        "- With Docker: docker compose up -d",
        "- With any broker you may use: set RPCLAB_BROKER=amqp://user:password@host:5672",
        "- Nothing installed: open the repository in a hosted container (README, Troubleshooting)",
    ])


def _from_environment(urls: str) -> Broker:
    """Return the broker that a person names; of a cluster, several nodes."""
    each = _listed(urls)
    apis = _listed(os.environ.get("RPCLAB_MANAGEMENT", ""))
    if not each:
        raise InvalidOption(f"RPCLAB_BROKER is {urls!r}, which names no broker. {ADVICE}")
    if len(apis) not in (0, 1, len(each)):
        raise InvalidOption(
            f"RPCLAB_BROKER names {len(each)} and RPCLAB_MANAGEMENT {len(apis)} addresses: give one for each node, in "
            "the same order, or one that answers for all."
        )
    apis = apis if len(apis) == len(each) else [*apis, None][:1] * len(each)
    first, *others = [
        _address(url, api, f"URL {number} of {len(each)} in RPCLAB_BROKER" if len(each) > 1 else "RPCLAB_BROKER")
        for number, (url, api) in enumerate(zip(each, apis, strict=True), 1)
    ]
    return replace(first, others=tuple(others))


def _listed(addresses: str) -> list[str]:
    return addresses.replace(",", " ").split()


def _address(url: str, api: str | None, what: str) -> Broker:
    """Return the address of one node; ``what`` is what the URL is called in an error."""
    try:
        parts = urlsplit(url)
        well_formed = parts.scheme in MANAGEMENT_PORTS and parts.hostname and parts.port != 0
    except ValueError:  # the port is no number, or an IPv6 address lacks its bracket
        well_formed = False
    # An unescaped '/' or '#' in the password ends the address there, and leaves an '@' to what follows.
    if not well_formed or "@" in parts.path + parts.query + parts.fragment:
        raise InvalidOption(f"{what} is {url!r}, which is no AMQP URL. {ADVICE}")
    scheme, port = MANAGEMENT_PORTS[parts.scheme]
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return Broker(
        url=f"{parts.scheme}://{parts.netloc}",
        management_url=(api or f"{scheme}://{host}:{port}").rstrip("/"),
        origin="RPCLAB_BROKER",
    )
