"""One notebook's part of the broker: its own virtual host, emptied when the notebook starts."""

from __future__ import annotations

import re
from contextlib import AbstractContextManager

import pika

from rpclab.broker import ctl
from rpclab.broker.cluster import Cluster
from rpclab.broker.ctl import CommandOutput
from rpclab.broker.environment import named
from rpclab.broker.node_files import MOST_NODES
from rpclab.errors import InvalidName, InvalidOption, LabError
from rpclab.findings import Diagnosis
from rpclab.lab import administration, open_labs
from rpclab.lab.inventory import Inventory
from rpclab.lab.place import Place
from rpclab.lab.recordings import Recordings
from rpclab.story.diagram import Picture
from rpclab.story.story import Story
from rpclab.table import Table

VALID_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,59}")
WAIT_SECONDS = 10.0


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
        earlier = open_labs.get(name)
        if earlier:
            earlier.close()
        self.name = name
        self._place = Place(name, own_node=own_node, nodes=nodes)
        self.broker = self._place.broker
        self.vhost = self._place.vhost
        self.tap = self._place.tap
        self.url = self._place.url
        self._api = self._place.api
        self._inventory = Inventory(self, self._api)
        self._recordings = Recordings(self)
        open_labs.add(self)

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
        return self._place.parameters

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
        self.check_open()
        return self._place.connect(name)

    def queues(self) -> Table:
        """Return each queue with its counts of ready and unacked messages and of consumers, as they are now.

        A queue that the broker named is shown as ``callback queue of`` its owner; ``row["queue"]`` is its real name.
        To the broker, asking for a queue's counts is a use of the queue: it delays the queue's expiry.
        """
        return self._inventory.queues()

    def queue_table(self, found: list[dict]) -> Table:
        """Return queues as `queues` does, from what the broker returned.

        Parameters
        ----------
        found : list of dict
            What `rpclab.broker.inventory.queues` returned.
        """
        return self._inventory.queue_table(found)

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
        return self._inventory.wait_for(queue, timeout, counts)

    def exchanges(self) -> Table:
        """Return each exchange with its type; the one without a name is the default exchange."""
        return self._inventory.exchanges()

    def bindings(self) -> Table:
        """Return each binding: messages with this routing key go from this exchange to this queue."""
        return self._inventory.bindings()

    def topology(self) -> Picture:
        """Return a graph of the exchanges, bindings, queues and consumers that exist now."""
        return self._inventory.topology()

    @property
    def story(self) -> Story:
        """The lab's messages as they come, the source of all widgets. It has all that the tap remembers."""
        return self._recordings.story

    def record(self) -> AbstractContextManager[Story]:
        """Record what happens in a ``with`` block: ``with lab.record() as story: client.call(5)``.

        It ends when all that was sent in the block has been delivered, acknowledged and answered, or half a second
        after the last thing that happened.
        """
        return self._recordings.record()

    def last(self, count: int = 1) -> Story:
        """Return the story of the last ``count`` messages, with the requests and replies that belong to them."""
        return self._recordings.last(count)

    def diagnose(self) -> Diagnosis:
        """Return what is wrong, by what crossed the lab's connections: each finding with what shows it, and its fix.

        It waits until nothing more is on its way, half a second at most.
        """
        return self._recordings.diagnose()

    def purge(self, queue: str) -> int:
        """Delete a queue's ready messages and return how many there were; unacked ones stay.

        Raises
        ------
        QueueNotFound
            If there is no such queue.
        QueueInUse
            If it is exclusive to another connection.
        """
        return administration.purge(self, queue)

    def delete(self, queue: str) -> int:
        """Delete a queue with its messages, and return how many were ready.

        Raises
        ------
        QueueNotFound
            If there is no such queue.
        QueueInUse
            If it is exclusive to another connection.
        """
        return administration.delete(self, queue)

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
        open_labs.remove(self)
        self._place.close()

    def __enter__(self) -> Lab:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Lab({self.name!r})"

    @property
    def _closed(self) -> bool:
        return open_labs.get(self.name) is not self
