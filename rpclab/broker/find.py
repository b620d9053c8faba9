"""Finds the RabbitMQ that the lab uses: the one named, a running one, or the first that can be started."""

from __future__ import annotations

import os
import platform
import re
from dataclasses import replace
from urllib.parse import SplitResult, unquote, urlsplit

from rpclab.broker import compose, node
from rpclab.broker.address import Broker
from rpclab.errors import BrokerUnavailable, InvalidOption

MANAGEMENT_PORTS = {"amqp": ("http", 15672), "amqps": ("https", 15671)}
LONE_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
ADVICE = (
    "It looks like amqp://user:password@host:5672, or amqps:// for TLS; special characters in the password are written "
    "as %XX, a comma, a space and % itself among them. Those of a cluster's nodes have commas between them."
)


def find(*, start: bool = True) -> Broker:
    """Return the broker to use.

    In this order: the one that ``RPCLAB_BROKER`` names; the lab's own broker if it is running (private node, then
    Docker Compose); a private node, started now; ``docker compose up``.

    Parameters
    ----------
    start : bool
        Whether one may be started. Otherwise only a running one is found.

    Raises
    ------
    BrokerUnavailable
        If there is none. The message says how to get one on this system.
    InvalidOption
        If ``RPCLAB_BROKER`` is no AMQP URL, nor several with commas or spaces between them, or ``RPCLAB_MANAGEMENT``
        no HTTP URL.
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
    raise BrokerUnavailable(f"No RabbitMQ runs for this lab{tried}.\n{advice()}")


def at(url: str) -> Broker:
    """Return the broker at an AMQP URL; its virtual host and options are left out.

    Its HTTP API is at the usual port, or where ``RPCLAB_MANAGEMENT`` says.

    Raises
    ------
    InvalidOption
        If it is no AMQP URL.
    """
    api = next(iter(_listed(os.environ.get("RPCLAB_MANAGEMENT", ""))), None)
    return replace(_address(url, api, "The address", url), origin="URL")


def advice() -> str:
    """Return how to get a broker on this system."""
    if node.script_folder():
        first = "Start the private node: python -m rpclab up"
    else:
        first = {
            "Linux": "Install RabbitMQ: sudo apt-get install --no-install-recommends rabbitmq-server",
            "Darwin": "Install RabbitMQ: brew install rabbitmq",
        }.get(platform.system(), "Install Docker Desktop: https://docs.docker.com/get-started/get-docker/")
    here = "" if compose.compose_file().is_file() else ", in a clone of the repository"
    return "\n".join([
        f"- {first}",
        f"- With Docker: docker compose up -d{here}",
        "- With any broker you may use: set RPCLAB_BROKER=amqp://user:password@host:5672",
        "- Nothing installed: open the repository in a hosted container (docker/README.md)",
    ])


def _from_environment(urls: str) -> Broker:
    """Return the broker that RPCLAB_BROKER names; it may have several nodes."""
    each = _listed(urls)
    apis: list[str | None] = [*_listed(os.environ.get("RPCLAB_MANAGEMENT", ""))]
    if not each:
        raise InvalidOption(f"RPCLAB_BROKER is set and names no broker. {ADVICE}")
    if len(apis) not in (0, 1, len(each)):
        raise InvalidOption(
            f"RPCLAB_BROKER names {len(each)} and RPCLAB_MANAGEMENT {len(apis)} addresses: give one for each node, in "
            "the same order, or one that answers for all."
        )
    apis = apis if len(apis) == len(each) else [*apis, None][:1] * len(each)
    first, *others = [
        _address(url, api, f"URL {number} of {len(each)} in RPCLAB_BROKER" if len(each) > 1 else "RPCLAB_BROKER", urls)
        for number, (url, api) in enumerate(zip(each, apis, strict=True), 1)
    ]
    return replace(first, others=tuple(others))


def _listed(addresses: str) -> list[str]:
    return addresses.replace(",", " ").split()


def _address(url: str, api: str | None, what: str, urls: str) -> Broker:
    """Return the address of one node; ``what`` names the URL in an error, ``urls`` are those of all nodes."""
    parts = _parts(url, tuple(MANAGEMENT_PORTS))
    if parts is None:
        raise InvalidOption(f"{what} is {_without_password(url, urls)!r}, which is no AMQP URL. {ADVICE}")
    if "@" in parts.netloc and not (parts.username and parts.password):
        raise InvalidOption(
            f"{what} is {_without_password(url, urls)!r}, which lacks the user or the password: give both, or leave "
            f"out the '@' as well to be `guest`. {ADVICE}"
        )
    scheme, port = MANAGEMENT_PORTS[parts.scheme]
    host = f"[{parts.hostname}]" if ":" in str(parts.hostname) else parts.hostname
    if api and not _parts(api, ("http", "https")):
        raise InvalidOption(
            f"RPCLAB_MANAGEMENT names {_without_password(api, api)!r}, which is no HTTP URL. It looks like "
            "http://host:15672, or https:// for TLS; leave it unset if the management API has its usual port."
        )
    return Broker(
        url=f"{parts.scheme}://{parts.netloc}",
        management_url=_without_user(api or f"{scheme}://{host}:{port}").rstrip("/"),
        origin="RPCLAB_BROKER",
    )


def _parts(url: str, schemes: tuple[str, ...]) -> SplitResult | None:
    """Return a URL taken apart, or None if it has no such scheme, no host, or something that has no meaning there."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in schemes and parts.hostname and parts.port != 0 and url.isprintable()
        unquote(parts.netloc, errors="strict")
    except ValueError:  # the port is no number, an IPv6 address lacks its bracket, or what is escaped is no UTF-8
        return None
    # An unescaped '/' or '#' in the password ends the address there, and leaves an '@' to what follows.
    misplaced = "@" in parts.path + parts.query + parts.fragment or LONE_PERCENT.search(parts.netloc)
    return parts if usable and not misplaced else None


def _without_user(url: str) -> str:
    """Return an HTTP URL without user and password, since messages show it; the broker's own are used."""
    scheme, between, rest = url.partition("://")
    return scheme + between + rest.rpartition("@")[2]


def _without_password(url: str, urls: str) -> str:
    """Return a text that should be a URL, with *** for all that could belong to a password.

    An unescaped comma or space in the password splits one URL into several, each with a part of the password.
    """
    scheme, between, rest = url.partition("://") if "://" in url else ("", "", url)
    if "@" in rest:
        return f"{scheme}{between}***@{rest.rpartition('@')[2]}"
    harmless = not rest or ("@" not in urls and re.fullmatch(r"[^:]*(:\d+)?", rest))
    return f"{scheme}{between}{rest if harmless else '***'}"
