"""Kills and starts the nodes of a private cluster, and shows which node leads a queue and which hold it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable

from rpclab.broker import ctl, node
from rpclab.broker.address import Broker
from rpclab.broker.management import LIVE, Management
from rpclab.broker.node_record import Node
from rpclab.errors import LabError, QueueNotFound
from rpclab.table import Table

WAIT_SECONDS = 20.0
POLL_SECONDS = 0.05
MEMBERS = {"columns": "name,type,node,leader,members,online"}


class Cluster:
    """The private cluster behind a lab, as `Lab.cluster` returns it. Its nodes are called ``rpclab-1`` and so on.

    Parameters
    ----------
    broker : Broker
        The lab's broker.
    lab, vhost : str
        The lab's name, and its virtual host with the queues.
    connections : callable
        Returns the name and the port at the broker of each connection that goes through the lab.

    Raises
    ------
    LabError
        If the lab's broker is not a private cluster.

    Notes
    -----
    https://www.rabbitmq.com/docs/clustering and https://www.rabbitmq.com/docs/quorum-queues.
    """

    def __init__(self, broker: Broker, lab: str, vhost: str, connections: Callable[[], Iterable[tuple[str, int]]]):
        if broker.origin != "private cluster":
            raise LabError(
                f"The broker of Lab({lab!r}) is no private cluster, so there are no nodes to kill. Open the lab with "
                f"one: lab = rpclab.Lab({lab!r}, nodes=3)."
            )
        self._broker = broker
        self._lab = lab
        self._vhost = vhost
        self._connections = connections
        self._name = broker.node

    @property
    def names(self) -> list[str]:
        """The names of all nodes, running or not."""
        return [each.title for each in self._nodes()]

    def nodes(self) -> Table:
        """Return each node with its pid, whether it is running or down, and the port where it speaks AMQP."""
        rows = [
            {
                "name": each.title,
                "pid": each.pid if each.process() else None,
                "state": "running" if each.answers() else "down",
                "port": each.amqp_port,
            }
            for each in self._nodes()
        ]
        return Table(("name", "pid", "state", "port"), rows)

    def kill(self, *names: str) -> None:
        """Kill nodes at once with SIGKILL, like a power failure; their data stays. Return when they have ended."""
        for each in self._chosen(names):
            each.kill()

    def start(self, *names: str) -> None:
        """Start nodes with their data, by default all that are down, and return when they are running.

        Start nodes together that are down together: they wait for the one that ended last, which may have newer data.
        """
        node.start_again(*(self._chosen(names) if names else self._nodes()))

    def leader(self, queue: str) -> str | None:
        """Return the node that leads a quorum queue or stream, or that holds a classic queue; None if it has none.

        Raises
        ------
        QueueNotFound
            If there is no such queue.
        """
        found = self._queue(queue)
        members, online = _members(found), found.get("online") or []
        leader = _title(found.get("leader") or found.get("node") or "")
        # The leader from before the loss of the majority still says that it leads.
        lost = len(members) > 1 and 2 * len(online) <= len(members)
        return leader if leader in self._running() and not lost else None

    def members(self, queue: str) -> Table:
        """Return each node that holds a replica of a queue, and whether it is online; of a classic queue, its node.

        Raises
        ------
        QueueNotFound
            If there is no such queue.
        """
        found = self._queue(queue)
        running, leader = self._running(), self.leader(queue)
        members = [_title(member) for member in sorted(_members(found))]
        follower = "follower" if len(members) > 1 else "only one"
        rows = [
            {
                "node": member,
                "role": "leader" if member == leader and len(members) > 1 else follower,
                "state": "online" if member in running else "down",
            }
            for member in members
        ]
        return Table(("node", "role", "state"), rows)

    def wait_for_leader(self, queue: str, *, unlike: str | None = None, timeout: float = WAIT_SECONDS) -> str:
        """Wait until a queue has a leader that runs, and return it.

        Parameters
        ----------
        queue : str
            The queue.
        unlike : str, optional
            The node that led before, to wait for another one.
        timeout : float
            Seconds to wait at most.

        Raises
        ------
        LabError
            If there is none in time: a majority of the queue's members must run.
        """
        deadline = time.monotonic() + timeout
        while (leader := self.leader(queue)) in (None, unlike):
            if time.monotonic() > deadline:
                raise LabError(
                    f"After {timeout:g} s queue {queue!r} has no {'other ' if unlike else ''}leader. A majority of its "
                    f"members must run; running now: {', '.join(self._running()) or 'none'}."
                )
            time.sleep(POLL_SECONDS)
        return leader

    def connections(self) -> Table:
        """Return each connection that goes through the lab, and the node it goes to."""
        nodes = {each.amqp_port: each.title for each in self._nodes()}
        rows = [{"connection": name, "node": nodes.get(port)} for name, port in self._connections()]
        return Table(("connection", "node"), sorted(rows, key=lambda row: row["connection"]), empty="(no connections)")

    def __repr__(self) -> str:
        return f"Cluster({', '.join(self.names)})"

    def _nodes(self) -> list[Node]:
        return node.recorded(self._name)

    def _running(self) -> list[str]:
        return [each.title for each in self._nodes() if each.answers()]

    def _chosen(self, names: tuple[str, ...]) -> list[Node]:
        nodes = {each.title: each for each in self._nodes()}
        unknown = [name for name in names if name not in nodes]
        if unknown or not names:
            what = f"There is no node {unknown[0]!r}" if unknown else "Say which node"
            raise LabError(f"{what}. The nodes of this cluster: {', '.join(nodes)}.")
        return [nodes[name] for name in names]

    def _queue(self, queue: str) -> dict:
        with Management(self._broker) as api:
            # The first list omits what has no leader, the second may be a few seconds old. A queue's own page does
            # not help: for a classic queue whose node is down there is none, or the API fails.
            found = self._listed(api, queue, LIVE) or self._listed(api, queue, MEMBERS)
        if found is None:
            raise QueueNotFound(f"There is no queue {queue!r} in lab {self._lab!r}.")
        return found | (self._stream(queue) if found["type"] == "stream" else {})

    def _listed(self, api: Management, queue: str, query: dict[str, str]) -> dict | None:
        listed = api.get("queues", self._vhost, **query) or ()
        return next((each for each in listed if each["name"] == queue), None)

    def _stream(self, queue: str) -> dict:
        """Return what only rabbitmqctl reports of a stream."""
        done = ctl.run(
            self._broker, "-q", "-p", self._vhost, "list_queues", "name", "leader", "members", "online",
            "--formatter", "json",
        )
        return next((each for each in json.loads(done.text) if each["name"] == queue), {})


def _members(queue: dict) -> list[str]:
    return queue.get("members") or [queue["node"]]


def _title(erlang_name: str) -> str:
    return erlang_name.partition("@")[0]
