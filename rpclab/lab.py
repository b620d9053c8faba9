"""One notebook's corner of the broker: a virtual host of its own, emptied when the notebook starts."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pika
from pika.exceptions import AMQPError, ChannelClosedByBroker

from rpclab.broker import ctl, inventory, node, refusals, tls
from rpclab.broker.address import Broker
from rpclab.broker.cluster import Cluster
from rpclab.broker.connect import connect
from rpclab.broker.ctl import CommandOutput
from rpclab.broker.find import find
from rpclab.broker.management import Management
from rpclab.broker.node_files import MOST_NODES
from rpclab.broker.vhosts import LabVhost
from rpclab.environment import URL_VARIABLE, named
from rpclab.errors import (
    BrokerUnavailable,
    InvalidName,
    InvalidOption,
    LabError,
    QueueNotFound,
)
from rpclab.table import Table
from rpclab.wire.diagram import Picture
from rpclab.wire.story import Story
from rpclab.wire.tap import Tap
from rpclab.wire.topology import topology

VALID_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,59}")
WAIT_SECONDS = 10.0
POLL_SECONDS = 0.02
PER_VHOST_COMMANDS = re.compile(r"list_(queues|exchanges|bindings|consumers|policies|permissions)|(purge|delete)_queue")

_open: dict[str, Lab] = {}


class Lab:
    """A virtual host of the lab's broker, and what one may want to know and do there.

    It is empty when the lab opens: whatever an earlier run left is gone. The notebook's environment points to it
    (``RPCLAB_URL``), so that classes without arguments, worker processes and scripts started from a cell all end up in
    the same place. Opening a lab of the same name again closes the first one. Two notebooks that open the same lab at
    the same time each get their own.

    Parameters
    ----------
    name : str
        1 to 60 letters, digits, ``_``, ``.`` and ``-``.
    own_node : bool
        Start a private node for this lab alone, to be stopped and broken at will; it ends with the lab. Takes about
        six seconds. Where RabbitMQ is not installed, the lab uses the broker that all labs use.
    nodes : int, optional
        Start a private cluster of so many nodes, 2 to 7, for this lab alone; it ends with the lab, which takes a
        quarter of a minute to open with three. `cluster` kills and starts its nodes.

    Raises
    ------
    InvalidName
        If the name is not of that form.
    BrokerUnavailable
        If there is no broker; the message says how to get one. For a cluster, RabbitMQ has to be installed.
    VhostNotOurs
        If a virtual host of that name exists which no lab has made.
    AccessRefused
        If the user may make no virtual hosts, and no teacher has made any for it.

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
        own = nodes or (own_node and node.script_folder())
        self._own_node = f"{node.SHARED}-{name}" if own else None
        self.broker: Broker = _own_broker(self._own_node, nodes or 1) if own else find()
        self._connections: list[pika.BlockingConnection] = []
        self._story: Story | None = None
        # Later on, a client would only see the tap hang up.
        tls.check([(each.host, each.port) for each in self.broker.all if each.secure])
        self._api = Management(self.broker)
        try:
            self._place = LabVhost(self._api, self.broker.username, name)
        except BaseException:
            self._api.close()
            raise
        self.vhost = self._place.name
        try:
            self.tap = Tap(self.broker)
        except BaseException:
            self._place.release()
            self._api.close()
            raise
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

        Heartbeats are off: a notebook reads no frames while its reader reads, and the broker would hang up. Those of a
        cluster lead to its first node.
        """
        return self.all_parameters[0]

    @property
    def all_parameters(self) -> list[pika.URLParameters]:
        """Such parameters for each node: ``pika.BlockingConnection`` takes the list and the first that answers."""
        return [named(pika.URLParameters(url)) for url in self.url.split()]

    @property
    def direct_parameters(self) -> pika.URLParameters:
        """Connection parameters for pika, straight to the broker: the lab sees nothing of it."""
        return named(self.broker.parameters(self.vhost, lab=self.name))

    @property
    def cluster(self) -> Cluster:
        """The nodes of the private cluster behind this lab.

        Raises
        ------
        LabError
            If there is none.
        """
        return Cluster(self)

    @property
    def management_url(self) -> str:
        """Root of the HTTP API and of the management UI."""
        return self.broker.management_url

    def connect(self, name: str | None = None) -> pika.BlockingConnection:
        """Open a connection; the lab closes it if nobody else does.

        Parameters
        ----------
        name : str, optional
            What the connection is called in the management UI; the process's name if not given.
        """
        connection = connect(self.all_parameters, name)
        self._connections.append(connection)
        return connection

    def queues(self) -> Table:
        """Return each queue with its messages ready, unacked, and its consumers: true now.

        A queue that the broker named is shown as ``callback queue of`` its owner; ``row["queue"]`` is its real name.
        To the broker, being asked for a queue's counts is a use of the queue: it puts off a queue's expiry.
        """
        found = None if self._closed else inventory.queues(self.broker, self._api, self.vhost)
        if found is None:
            raise self._gone()
        return self.queue_table(found)

    def queue_table(self, found: list[dict]) -> Table:
        """Return queues as `queues` does, from what the broker said of them.

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
                # Of an exclusive queue the broker tells its owner alone; what passed the tap says the same.
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
        # Its node, or the majority of its nodes, is; a single node that is asked at all is there.
        if self.broker.others and any(row["state"] == "down" for row in rows):
            columns.append("state")
        return Table(columns, rows, empty="(no queues)")

    def wait_for(self, queue: str, *, timeout: float = WAIT_SECONDS, **counts: int | None) -> Table:
        """Wait until a queue's counts are what one expects, and return all queues.

        What is published or acknowledged is on its way for a moment; a count that is read meanwhile is true and old.

        Parameters
        ----------
        queue : str
            The queue to look at.
        timeout : float
            Seconds to wait at most.
        **counts : int or None
            One or more of ``ready``, ``unacked`` and ``consumers``; None for a count that nobody can tell, because the
            queue is down.

        Raises
        ------
        LabError
            If it does not come about in time; the message says what the counts are instead.
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
        """The lab's messages as they come: all widgets draw from it. It goes back as far as the tap remembers."""
        if self._story is None:
            self._story = Story(self.tap.registry.shown)
            self.tap.replay(self._story.take)
        return self._story

    @contextmanager
    def record(self) -> Iterator[Story]:
        """Tell what happens in a ``with`` block: ``with lab.record() as story: client.call(5)``.

        It ends when all that was sent in the block has been delivered, acknowledged and answered, or half a second
        after the last thing that happened.
        """
        recorded = Story(self.tap.registry.shown)
        self.tap.catch_up()
        with self.tap.subscription(recorded.take):
            yield recorded
            self.tap.catch_up()
            recorded.settle()
        recorded.end = time.monotonic()

    def last(self, count: int = 1) -> Story:
        """Return the story of the last so many messages, together with what they answer and what answers them."""
        if isinstance(count, bool) or not isinstance(count, int) or count < 1:
            raise InvalidOption(f"lab.last({count!r}): it is a number of messages, 1 or more.")
        self.tap.catch_up()
        return self.story.settle(count).last(count)

    def topology(self) -> Picture:
        """Return a graph of what there is now: exchanges, bindings, queues, and who consumes from them."""
        queues = self.queues()
        consumers = {queue["name"]: self.tap.registry.consuming(queue["queue"]) for queue in queues}
        return topology(queues, self.bindings(), self.exchanges(), consumers)

    def purge(self, queue: str) -> int:
        """Delete the messages that are ready in a queue and return how many they were; unacked ones stay.

        Raises
        ------
        QueueNotFound
            If there is no such queue.
        QueueInUse
            If it is exclusive to another connection.
        """
        return self._on_queue(queue, "queue_purge")

    def delete(self, queue: str) -> int:
        """Delete a queue, messages and all, and return how many of them were ready.

        Raises
        ------
        QueueNotFound
            If there is no such queue.
        QueueInUse
            If it is exclusive to another connection.
        """
        return self._on_queue(queue, "queue_delete")

    def ctl(self, *arguments: str) -> CommandOutput:
        """Run ``rabbitmqctl`` on this lab's virtual host and return what it prints, the rows of a list sorted.

        Parameters
        ----------
        *arguments : str
            As one types them: ``lab.ctl("list_queues", "name", "messages")``. ``-q`` (no progress messages) and, for
            the commands that act on one, ``-p`` with this virtual host are added.

        Raises
        ------
        CommandFailed
            If the command was turned down.
        """
        if not arguments:
            raise LabError('Say what to run, for example lab.ctl("list_queues", "name", "messages").')
        here = ["-p", self.vhost] if PER_VHOST_COMMANDS.fullmatch(arguments[0]) else []
        done = ctl.run(self.broker, "-q", *here, *map(str, arguments))
        text = done.text
        if arguments[0].startswith("list_"):
            header, *rows = text.splitlines() or [""]
            text = "\n".join([header, *sorted(rows)])
        return CommandOutput(done.command.replace(f"-p {self.vhost} ", f"-p {self.name} "), text)

    def close(self) -> None:
        """Close the lab's connections and delete or empty its virtual host; a second time does nothing."""
        if self._closed:
            return
        del _open[self.name]
        if os.environ.get(URL_VARIABLE) == self.url:
            del os.environ[URL_VARIABLE]
            if _open:
                os.environ[URL_VARIABLE] = current_lab().url
        for connection in self._connections:
            # One that broke earlier, or whose broker went away, is as closed as it can be.
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
        self._place.release()

    def __enter__(self) -> Lab:
        return self

    def __exit__(self, *exc_info) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Lab({self.name!r})"

    @property
    def _closed(self) -> bool:
        return _open.get(self.name) is not self

    def _listing(self, kind: str) -> list[dict]:
        found = None if self._closed else self._api.get(kind, self.vhost)
        if found is None:
            raise self._gone()
        return sorted(found, key=lambda row: row.get("name", ""))

    def _gone(self) -> LabError:
        return BrokerUnavailable(
            f"The virtual host {self.vhost!r} is gone: the lab was closed, or the broker was restarted. "
            f"Run lab = rpclab.Lab({self.name!r}) again, and the cells after it."
        )

    def _on_queue(self, queue: str, operation: str) -> int:
        rows = self.queues()
        real = next((row["queue"] for row in rows if queue in (row["name"], row["queue"])), None)
        if real is None:
            names = ", ".join(rows.column("name")) or "none"
            raise QueueNotFound(f"There is no queue {queue!r} in lab {self.name!r}. Its queues: {names}.")
        # Through the tap, so that whoever draws the queue sees what becomes of its messages.
        with connect(self.all_parameters, "rpclab administration") as connection:
            try:
                return getattr(connection.channel(), operation)(real).method.message_count
            except ChannelClosedByBroker as refusal:
                raise refusals.explained(refusal, f"Queue {queue!r}") from refusal


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
    """Start a node or a cluster for one lab; what an earlier run left with another number of nodes is ended first."""
    if len(node.recorded(name)) not in (0, count):
        node.stop(name)
    return node.start(name, count).broker
