"""One notebook's part of the broker: its own virtual host, emptied when the notebook starts."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

import pika
from pika.exceptions import AMQPError, ChannelClosedByBroker

from rpclab.broker import broker_errors, ctl, inventory, node, tls
from rpclab.broker.address import Broker
from rpclab.broker.cluster import Cluster
from rpclab.broker.connect import connect
from rpclab.broker.ctl import CommandOutput
from rpclab.broker.environment import URL_VARIABLE, named
from rpclab.broker.find import find
from rpclab.broker.management import Management
from rpclab.broker.node_files import MOST_NODES
from rpclab.broker.vhosts import LabVhost, free_name
from rpclab.errors import (
    BrokerUnavailable,
    InvalidName,
    InvalidOption,
    LabError,
    QueueNotFound,
)
from rpclab.findings import Diagnosis, diagnose
from rpclab.story.diagram import Picture
from rpclab.story.story import Story
from rpclab.story.topology import topology
from rpclab.table import Table
from rpclab.wire.tap import Tap

VALID_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,59}")
WAIT_SECONDS = 10.0
POLL_SECONDS = 0.02

_open: dict[str, Lab] = {}


class Lab:
    """A virtual host of the lab's broker, to inspect and to administer.

    It is empty when the lab opens: what an earlier run left is deleted. The notebook's environment points to it
    (``RPCLAB_URL``), so that classes without arguments, worker processes and scripts started from a cell all use the
    same virtual host. If you open a lab of the same name again, the first one is closed. Two notebooks that open the
    same lab at the same time each get their own.

    Parameters
    ----------
    name : str
        1 to 60 letters, digits, ``_``, ``.`` and ``-``.
    own_node : bool
        Start a private node for this lab alone, which you may stop and break; it ends with the lab. Takes about
        six seconds. Where RabbitMQ is not installed, the lab uses the broker that all labs use.
    nodes : int, optional
        Start a private cluster of this many nodes, 2 to 7, for this lab alone; it ends with the lab, which takes a
        quarter of a minute to open with three. `cluster` kills and starts its nodes.

    Raises
    ------
    InvalidName
        If the name is not of that form.
    BrokerUnavailable
        If there is no broker; the message says how to get one. A cluster needs an installed RabbitMQ.
    VhostNotOurs
        If a virtual host of that name exists that rpclab did not make.
    AccessRefused
        If the user may not make virtual hosts, and no teacher has made any for it.

    Notes
    -----
    Virtual hosts: https://www.rabbitmq.com/docs/vhosts.
    """

    def __init__(self, name: str, *, own_node: bool = False, nodes: int | None = None):
        if not isinstance(name, str) or not VALID_NAME.fullmatch(name):
            raise InvalidName(
                f"{name!r} cannot name a lab: use 1 to 60 letters, digits, '_', '.' and '-', and begin with a letter "
                "or a digit, as in rpclab.Lab('publishing')."
            )
        if nodes is not None and (not isinstance(nodes, int) or not 2 <= nodes <= MOST_NODES):
            raise InvalidOption(f"nodes={nodes!r}: it is the number of a cluster's nodes, 2 to {MOST_NODES}.")
        if name in _open:
            _open[name].close()
        self.name = name
        with ExitStack() as undo:
            self._own_node: str | None = None
            if nodes or (own_node and node.script_folder()):
                self._own_node, self._own_lock = free_name(name, f"{node.SHARED}-")
                undo.callback(self._own_lock.release)
            self.broker: Broker = _own_broker(self._own_node, nodes or 1) if self._own_node else find()
            self._connections: list[pika.BlockingConnection] = []
            self._story: Story | None = None
            # Later, a client would only see the tap close its connection.
            tls.check([(each.host, each.port) for each in self.broker.all if each.secure])
            self._api = Management(self.broker)
            undo.callback(self._api.close)
            self._place = LabVhost(self._api, self.broker.username, name)
            self.vhost = self._place.name
            undo.callback(self._place.release)
            self.tap = Tap(self.broker)
            undo.pop_all()
        # What a client connects to: the tap's ports with the broker's users and virtual hosts behind them.
        tapped = [
            Broker(f"amqp://{self.broker.credentials_url}@127.0.0.1:{port}", self.broker.management_url, "tap")
            for port in self.tap.ports
        ]
        self.url = " ".join(each.vhost_url(self.vhost, lab=name) for each in tapped)
        os.environ[URL_VARIABLE] = self.url
        _open[name] = self

    @property
    def parameters(self) -> pika.URLParameters:
        """Connection parameters for pika, through the tap, so that the lab sees what crosses the connection.

        Heartbeats are off: a notebook reads no frames between two cells, and the broker would close the connection. In
        a cluster, the parameters lead to its first node.
        """
        return self.all_parameters[0]

    @property
    def all_parameters(self) -> list[pika.URLParameters]:
        """Such parameters for each node: ``pika.BlockingConnection`` takes the list and the first that answers."""
        self.check_open()
        return [named(pika.URLParameters(url)) for url in self.url.split()]

    @property
    def direct_parameters(self) -> pika.URLParameters:
        """Connection parameters for pika, directly to the broker: the lab does not see that traffic."""
        self.check_open()
        return named(self.broker.parameters(self.vhost, lab=self.name))

    @property
    def cluster(self) -> Cluster:
        """The nodes of the private cluster behind this lab.

        Raises
        ------
        LabError
            If there is none.
        """
        self.check_open()
        return Cluster(
            self.broker, self.name, self.vhost, lambda: [(link.name, link.port) for link in self.tap.links()]
        )

    @property
    def management_url(self) -> str:
        """Root of the HTTP API and of the management UI."""
        return self.broker.management_url

    def connect(self, name: str | None = None) -> pika.BlockingConnection:
        """Open a connection; the lab closes it if you do not.

        Parameters
        ----------
        name : str, optional
            The connection's name in the management UI; the process's name if not given.
        """
        connection = connect(self.all_parameters, name)
        self._connections.append(connection)
        return connection

    def queues(self) -> Table:
        """Return each queue with its counts of ready and unacked messages and of consumers, as they are now.

        A queue that the broker named is shown as ``callback queue of`` its owner; ``row["queue"]`` is its real name.
        To the broker, asking for a queue's counts is a use of the queue: it delays the queue's expiry.
        """
        self.check_open()
        found = inventory.queues(self.broker, self._api, self.vhost)
        if found is None:
            raise self._gone()
        return self.queue_table(found)

    def queue_table(self, found: list[dict]) -> Table:
        """Return queues as `queues` does, from what the broker returned.

        Parameters
        ----------
        found : list of dict
            What `rpclab.broker.inventory.queues` returned.
        """
        registry = self.tap.registry
        rows = [
            {
                "name": registry.shown(queue["name"]),
                "queue": queue["name"],
                "ready": queue.get("messages_ready"),
                "unacked": queue.get("messages_unacknowledged"),
                # The broker reports an exclusive queue to its owner alone; what passed the tap says the same.
                "consumers": registry.consumers(queue["name"]) if queue["exclusive"] else queue["consumers"],
                "type": queue["type"],
                "state": queue.get("state"),
                "durable": queue["durable"],
                "exclusive": queue["exclusive"],
                "arguments": queue["arguments"],
            }
            for queue in found
        ]
        rows.sort(key=lambda row: row["name"])
        columns = ["name", "ready", "unacked", "consumers"]
        # Its node, or the majority of its nodes, is down; a single node that answers is running.
        if self.broker.others and any(row["state"] == "down" for row in rows):
            columns.append("state")
        return Table(columns, rows, empty="(no queues)")

    def wait_for(self, queue: str, *, timeout: float = WAIT_SECONDS, **counts: int | None) -> Table:
        """Wait until a queue's counts are as given, and return all queues.

        What is published or acknowledged is in flight for a moment; a count that is read then is correct, but old.

        Parameters
        ----------
        queue : str
            The queue to look at.
        timeout : float
            Seconds to wait at most.
        **counts : int or None
            One or more of ``ready``, ``unacked`` and ``consumers``; None for a count that is unknown because the
            queue is down.

        Raises
        ------
        LabError
            If it does not happen in time; the message gives the counts.
        """
        if not counts or not counts.keys() <= {"ready", "unacked", "consumers"}:
            raise InvalidOption('Say what to wait for, for example lab.wait_for("addition", ready=1, unacked=0).')
        deadline = time.monotonic() + timeout
        while True:
            queues = self.queues()
            row = next((row for row in queues if queue in (row["name"], row["queue"])), None)
            found = row and {name: row[name] for name in counts}
            if found == counts:
                return queues
            if time.monotonic() > deadline:
                raise LabError(f"After {timeout:g} s queue {queue!r} has {found or 'not been declared'}, not {counts}.")
            time.sleep(POLL_SECONDS)

    def exchanges(self) -> Table:
        """Return each exchange with its type; the one without a name is the default exchange."""
        rows = [row | {"name": row["name"] or "(default)"} for row in self._listing("exchanges")]
        return Table(("name", "type", "durable"), rows, empty="(no exchanges)")

    def bindings(self) -> Table:
        """Return each binding: messages with this routing key go from this exchange to this queue."""
        rows = [
            {
                "exchange": row["source"] or "(default)",
                "routing key": self.tap.registry.shown(row["routing_key"]),
                "destination": self.tap.registry.shown(row["destination"]),
                "destination name": row["destination"],
                "kind": row["destination_type"],
                "arguments": row["arguments"] or None,
            }
            for row in self._listing("bindings")
        ]
        rows.sort(key=lambda row: (row["exchange"], row["destination"], row["routing key"], str(row["arguments"])))
        columns = ["exchange", "routing key", "destination"]
        if any(row["arguments"] for row in rows):
            columns.append("arguments")
        return Table(columns, rows, empty="(no bindings)")

    @property
    def story(self) -> Story:
        """The lab's messages as they come, the source of all widgets. It has all that the tap remembers."""
        if self._story is None:
            self.check_open()
            self._story = Story(self.tap.registry.shown, journal=self.tap.registry.journal)
            self.tap.replay(self._story.take)
        return self._story

    @contextmanager
    def record(self) -> Iterator[Story]:
        """Record what happens in a ``with`` block: ``with lab.record() as story: client.call(5)``.

        It ends when all that was sent in the block has been delivered, acknowledged and answered, or half a second
        after the last thing that happened.
        """
        self.check_open()
        self.tap.catch_up()
        journal = self.tap.registry.journal
        recorded = Story(self.tap.registry.shown, journal=journal, begun=time.monotonic())
        with self.tap.subscription(recorded.take):
            yield recorded
            self.tap.catch_up()
            recorded.settle()
        recorded.end = time.monotonic()

    def last(self, count: int = 1) -> Story:
        """Return the story of the last ``count`` messages, with the requests and replies that belong to them."""
        if isinstance(count, bool) or not isinstance(count, int) or count < 1:
            raise InvalidOption(f"lab.last({count!r}): it is a number of messages, 1 or more.")
        self.check_open()
        self.tap.catch_up()
        return self.story.settle(count).last(count)

    def diagnose(self) -> Diagnosis:
        """Return what is wrong, by what crossed the lab's connections: each finding with what shows it, and its fix.

        It waits until nothing more is on its way, half a second at most.
        """
        self.check_open()
        self.tap.catch_up()
        return diagnose(self.story.settle().whole())

    def topology(self) -> Picture:
        """Return a graph of the exchanges, bindings, queues and consumers that exist now."""
        queues = self.queues()
        consumers = {queue["queue"]: self.tap.registry.consuming(queue["queue"]) for queue in queues}
        return topology(queues, self.bindings(), self.exchanges(), consumers)

    def purge(self, queue: str) -> int:
        """Delete a queue's ready messages and return how many there were; unacked ones stay.

        Raises
        ------
        QueueNotFound
            If there is no such queue.
        QueueInUse
            If it is exclusive to another connection.
        """
        return self._on_queue(queue, "queue_purge")

    def delete(self, queue: str) -> int:
        """Delete a queue with its messages, and return how many were ready.

        Raises
        ------
        QueueNotFound
            If there is no such queue.
        QueueInUse
            If it is exclusive to another connection.
        """
        return self._on_queue(queue, "queue_delete")

    def ctl(self, *arguments: str) -> CommandOutput:
        """Run ``rabbitmqctl`` on this lab's virtual host and return what it prints.

        The rows of tables are sorted, because the tool prints them in any order.

        Parameters
        ----------
        *arguments : str
            As you type them: ``lab.ctl("list_queues", "name", "messages")``. ``-q`` (no progress messages) is added,
            and so is ``-p`` with this virtual host for the commands that act on one, unless you name another.

        Raises
        ------
        CommandFailed
            If the command was rejected.
        """
        self.check_open()
        return ctl.run_on_vhost(self.broker, self.vhost, self.name, *arguments)

    def check_open(self) -> None:
        """Raise an error if the lab was closed.

        Raises
        ------
        LabError
            If it was; the message says how to open it again.
        """
        if self._closed:
            raise LabError(
                f"The lab {self.name!r} was closed. Open it again: lab = rpclab.Lab({self.name!r}), and run the cells "
                "after it again."
            )

    def close(self) -> None:
        """Close the lab's connections and delete or empty its virtual host; calling it again has no effect."""
        if self._closed:
            return
        del _open[self.name]
        if os.environ.get(URL_VARIABLE) == self.url:
            del os.environ[URL_VARIABLE]
            if _open:
                os.environ[URL_VARIABLE] = current_lab().url
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
        if not self._own_node:
            self._place.clear()
        self._api.close()
        if self._own_node:
            node.stop(self._own_node)
            self._own_lock.release()
        self._place.release()

    def __enter__(self) -> Lab:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Lab({self.name!r})"

    @property
    def _closed(self) -> bool:
        return _open.get(self.name) is not self

    def _listing(self, kind: str) -> list[dict]:
        self.check_open()
        found = self._api.get(kind, self.vhost)
        if found is None:
            raise self._gone()
        return sorted(found, key=lambda row: row.get("name", ""))

    def _gone(self) -> LabError:
        return BrokerUnavailable(
            f"The virtual host {self.vhost!r} does not exist any more: the broker was restarted, or another program "
            f"deleted it. Run lab = rpclab.Lab({self.name!r}) again, and the cells after it."
        )

    def _on_queue(self, queue: str, operation: str) -> int:
        rows = self.queues()
        real = next((row["queue"] for row in rows if queue in (row["name"], row["queue"])), None)
        if real is None:
            names = ", ".join(rows.column("name")) or "none"
            raise QueueNotFound(f"There is no queue {queue!r} in lab {self.name!r}. Its queues: {names}.")
        # Through the tap, so that pictures of the queue show what happens to its messages.
        with connect(self.all_parameters, "rpclab administration") as connection:
            try:
                return getattr(connection.channel(), operation)(real).method.message_count
            except ChannelClosedByBroker as refusal:
                raise broker_errors.explained(refusal, f"Queue {queue!r}") from refusal


def current_lab() -> Lab:
    """Return the lab that this process opened last.

    Raises
    ------
    LabError
        If none is open.
    """
    if not _open:
        raise LabError('No lab is open. Open one first: lab = rpclab.Lab("my-lab").')
    return list(_open.values())[-1]


def _own_broker(name: str, count: int) -> Broker:
    """Start a node or a cluster for one lab; one with another number of nodes, from an earlier run, is ended first."""
    if len(node.recorded(name)) not in (0, count):
        node.stop(name)
    return node.start(name, count).broker
