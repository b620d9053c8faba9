"""The broker that programs are watched at, and the address by which they reach it through the tap."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from urllib.parse import unquote, urlsplit, urlunsplit

from rpclab.broker import tls
from rpclab.broker.address import Broker, answers_amqp
from rpclab.broker.environment import URL_VARIABLE
from rpclab.broker.find import at, find
from rpclab.errors import BrokerUnavailable
from rpclab.story.saved import known_secrets, without_passwords
from rpclab.watch.options import LOOPBACK, VARIABLES

# In a URL, any address of a machine that listens at all of them.
EVERYWHERE = ("0.0.0.0", "::", "")


@dataclass(frozen=True)
class Target:
    """A broker, and the part of its URL that says which virtual host and how.

    Attributes
    ----------
    broker : Broker
        One node, that answers.
    path : str
        Virtual host and options, as in a URL: ``/%2F?heartbeat=30``, or nothing.
    """

    broker: Broker
    path: str

    @property
    def vhost(self) -> str:
        return unquote(urlsplit(self.path).path[1:]) or "/"

    @property
    def url(self) -> str:
        """The broker's own URL."""
        return self.broker.url + self.path

    def tapped_url(self, host: str, port: int) -> str:
        """Return the URL of a tap in front of it, with the same user, password, virtual host and options."""
        host = LOOPBACK if host in EVERYWHERE else f"[{host}]" if ":" in host else host
        return f"amqp://{self.broker.credentials_url}@{host}:{port}{self.path}"


def target(url: str | None) -> Target:
    """Return what to watch: the broker at a URL, or the open lab's, or the lab's own broker.

    Raises
    ------
    InvalidOption
        If it is no AMQP URL.
    BrokerUnavailable
        If no broker answers there.
    """
    if url is None and os.environ.get(URL_VARIABLE):
        # The rest of a lab's URL is what the lab's own connections say of themselves.
        url = os.environ[URL_VARIABLE].split()[0].partition("?")[0] + "?heartbeat=0"
    if url is None:
        found = Target(replace(find(), others=()), "")
    else:
        parts = urlsplit(url if "://" in url else "")
        found = Target(at(url), urlunsplit(("", "", parts.path, parts.query, "")))
    broker = found.broker
    tls.check([(broker.host, broker.port)] if broker.secure else ())
    if not broker.secure and not answers_amqp(broker.host, broker.port):
        raise BrokerUnavailable(
            f"No RabbitMQ answers at {broker.host}:{broker.port}. Check the address, and that the broker runs; "
            "write amqps:// if it speaks TLS there."
        )
    return found


def environment(url: str, names: list[str]) -> dict[str, str]:
    """Return the environment of a program that finds its broker's URL in these variables and the usual ones."""
    return {**os.environ, **dict.fromkeys((*VARIABLES, *names), url)}


def hidden(text: str) -> str:
    """Return a text without the passwords in AMQP addresses, and without those of the broker in use."""
    return without_passwords(text.encode(errors="surrogatepass"), known_secrets()).decode(errors="surrogatepass")


