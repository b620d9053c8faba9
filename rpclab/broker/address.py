"""A RabbitMQ's address: where it listens, as whom to log in, and how it was found."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from urllib.parse import quote, unquote, urlencode, urlsplit

import pika

from rpclab.broker import tls

PROTOCOL_HEADER = b"AMQP\x00\x00\x09\x01"
METHOD_FRAME = b"\x01"
# What a connection reports besides its name: the lab that it belongs to.
LAB_PROPERTY = "lab"
# And the port of that lab's tap, which is closed with the lab.
TAP_PROPERTY = "tap"
TAP = "tap"


@dataclass(frozen=True)
class Broker:
    """The address of a running RabbitMQ.

    Attributes
    ----------
    url : str
        ``amqp://user:password@host:port``, without a virtual host.
    management_url : str
        Root of the HTTP API and of the management UI, for example ``http://127.0.0.1:15672``.
    origin : str
        How the broker was found: ``"RPCLAB_BROKER"``, ``"private node"``, ``"private cluster"`` or
        ``"Docker Compose"``; ``"URL"`` if a command was given one; or ``"tap"``, if it is a lab's tap in front of one.
    node : str
        The private node's or cluster's name, if it is one.
    others : tuple of Broker
        The addresses of the other nodes, if it is a cluster.
    """

    url: str
    management_url: str
    origin: str
    node: str = ""
    others: tuple[Broker, ...] = ()

    @property
    def all(self) -> tuple[Broker, ...]:
        """The address of each node, this one first."""
        return (self, *self.others)

    @property
    def host(self) -> str:
        return urlsplit(self.url).hostname or "localhost"

    @property
    def port(self) -> int:
        parts = urlsplit(self.url)
        return parts.port or (5671 if parts.scheme == "amqps" else 5672)

    @property
    def secure(self) -> bool:
        """Whether it is reached over TLS."""
        return urlsplit(self.url).scheme == "amqps"

    @property
    def username(self) -> str:
        return unquote(urlsplit(self.url).username or "guest")

    @property
    def password(self) -> str:
        return unquote(urlsplit(self.url).password or "guest")

    @property
    def credentials_url(self) -> str:
        """User and password as the URL has them."""
        return urlsplit(self.url).netloc.rpartition("@")[0] or "guest:guest"

    def vhost_url(self, vhost: str, *, heartbeat: int = 0, lab: str = "") -> str:
        """Return the AMQP URL of one virtual host.

        Parameters
        ----------
        vhost : str
            Which one.
        heartbeat : int
            Seconds; 0 means none.
        lab : str
            The lab that connections with this URL report to the broker, so that a teacher sees it.
        """
        said = {LAB_PROPERTY: lab} | ({TAP_PROPERTY: self.port} if self.origin == TAP else {})
        properties = {"client_properties": repr(said)} if lab else {}
        return f"{self.url}/{quote(vhost, safe='')}?{urlencode({'heartbeat': heartbeat} | properties)}"

    def parameters(self, vhost: str = "/", *, lab: str = "") -> pika.URLParameters:
        """Return pika's connection parameters for one virtual host; see `vhost_url`."""
        return tls.parameters(self.vhost_url(vhost, lab=lab))

    def all_parameters(self, vhost: str = "/", *, lab: str = "") -> list[pika.URLParameters]:
        """Return pika's connection parameters for one virtual host on each node; see `vhost_url`."""
        return [each.parameters(vhost, lab=lab) for each in self.all]

    def __repr__(self) -> str:
        nodes = ", ".join(f"{each.host}:{each.port}" for each in self.all)
        return f"Broker({nodes}, {self.origin})"


def answers_amqp(host: str, port: int, timeout: float = 5.0) -> bool:
    """Return whether a program at this address speaks AMQP 0-9-1: it answers a greeting with a method frame."""
    try:
        with socket.create_connection((host, port), timeout=timeout) as link:
            link.sendall(PROTOCOL_HEADER)
            return link.recv(1) == METHOD_FRAME
    except OSError:
        return False
