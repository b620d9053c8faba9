"""What a lab has to itself: an empty virtual host, the tap before it, and its own nodes if it asked for some."""

from __future__ import annotations

from contextlib import ExitStack, suppress

import pika
from pika.exceptions import AMQPError

from rpclab.broker import node, tls
from rpclab.broker.address import Broker
from rpclab.broker.connect import connect
from rpclab.broker.environment import named
from rpclab.broker.find import find
from rpclab.broker.management import Management
from rpclab.broker.vhosts import LabVhost
from rpclab.lab.own_nodes import OwnNodes
from rpclab.wire.tap import Tap


class Place:
    """A virtual host on the broker of all labs or on the lab's own nodes, a tap, and connections through it.

    Parameters
    ----------
    lab : str
        The lab's name.
    own_node : bool
        Whether to start a private node, if RabbitMQ is installed.
    nodes : int or None
        The number of nodes of a private cluster.

    Attributes
    ----------
    broker : Broker
        The broker that has it.
    api : Management
        The broker's HTTP API.
    vhost : str
        The name of the virtual host.
    tap : Tap
        What clients connect to.
    url : str
        The AMQP URLs of the virtual host through the tap, one for each node, with spaces between them.
    """

    def __init__(self, lab: str, *, own_node: bool, nodes: int | None):
        with ExitStack() as undo:
            self._own_nodes: OwnNodes | None = None
            if nodes or (own_node and node.script_folder()):
                self._own_nodes = OwnNodes(lab, nodes or 1)
                undo.callback(self._own_nodes.release)
            self.broker: Broker = self._own_nodes.broker if self._own_nodes else find()
            # Later, a client would only see the tap close its connection.
            tls.check([(each.host, each.port) for each in self.broker.all if each.secure])
            self.api = Management(self.broker)
            undo.callback(self.api.close)
            self._vhost = LabVhost(self.api, self.broker.username, lab)
            self.vhost = self._vhost.name
            undo.callback(self._vhost.release)
            self.tap = Tap(self.broker)
            undo.pop_all()
        # What a client connects to: the tap's ports with the broker's users and virtual hosts behind them.
        tapped = [
            Broker(f"amqp://{self.broker.credentials_url}@127.0.0.1:{port}", self.broker.management_url, "tap")
            for port in self.tap.ports
        ]
        self.url = " ".join(each.vhost_url(self.vhost, lab=lab) for each in tapped)
        self._connections: list[pika.BlockingConnection] = []

    @property
    def parameters(self) -> list[pika.URLParameters]:
        """Connection parameters for pika, through the tap, for each node."""
        return [named(pika.URLParameters(url)) for url in self.url.split()]

    def connect(self, name: str | None) -> pika.BlockingConnection:
        """Open a connection through the tap, to be closed with the rest."""
        connection = connect(self.parameters, name)
        self._connections.append(connection)
        return connection

    def close(self) -> None:
        """Close connections and tap, and delete or empty the virtual host, or end the nodes that have it."""
        if self.tap.is_open:
            # On a frozen connection no answer would come, and closing it would wait forever.
            self.tap.thaw()
        for connection in self._connections:
            # One that was lost earlier, or whose broker stopped, is as closed as it can be.
            with suppress(AMQPError):
                if connection.is_open:
                    connection.close()
        self.tap.close()
        # A cluster that has lost its majority does not answer, and this one's data ends with it.
        if not self._own_nodes:
            self._vhost.clear()
        self.api.close()
        if self._own_nodes:
            self._own_nodes.stop()
        self._vhost.release()
