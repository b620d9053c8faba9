"""The nodes of a private cluster: kill them, start them again, and see who leads and who holds what."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

from rpclab.broker import ctl, node
from rpclab.broker.management import LIVE, Management
from rpclab.broker.node_record import Node
from rpclab.errors import LabError, QueueNotFound
from rpclab.table import Table

if TYPE_CHECKING:
    from rpclab.lab import Lab

WAIT_SECONDS = 20.0
POLL_SECONDS = 0.05
MEMBERS = {"columns": "name,type,node,leader,members,online"}


class Cluster:
    """The private cluster behind a lab, as `Lab.cluster` returns it. Its nodes are called ``rpclab-1`` and so on.

    Parameters
    ----------
    lab : Lab
        Whose broker and whose queues are meant.

    Raises
    ------
    LabError
        If the lab's broker is no private cluster.

    Notes
    -----
    https://www.rabbitmq.com/docs/clustering and https://www.rabbitmq.com/docs/quorum-queues.
    """

    def __init__(self, lab: Lab):
        if lab.broker.origin != "private cluster":
            raise LabError(
                f"The broker of {lab!r} is no private cluster, so there are no nodes to kill. Open the lab with one: "
                f"lab = rpclab.Lab({lab.name!r}, nodes=3)."
            )
        self._lab = lab
        self._name = lab.broker.node

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
        """End nodes at once with SIGKILL, as a power failure does; their data stays. Return when they have ended."""
        for each in self._chosen(names):
            each.kill()

    def start(self, *names: str) -> None:
        """Start nodes with the data they had, all that are down if none is named, and return when they are back.

        Start those together that are down together: the last one that ended may know what the others do not, and
        they wait for it.
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
        # What was the leader before the majority was lost still says that it is.
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
            The one that led before, if another one is to be waited for.
        timeout : float
            Seconds to wait at most.

        Raises
        ------
        LabError
            If there is none in time: a majority of the queue's members has to run.
        """
        deadline = time.monotonic() + timeout
        while (leader := self.leader(queue)) in (None, unlike):
            if time.monotonic() > deadline:
                raise LabError(
                    f"After {timeout:g} s queue {queue!r} has no {'other ' if unlike else ''}leader. A majority of its "
                    f"members has to run; running now: {', '.join(self._running()) or 'none'}."
                )
            time.sleep(POLL_SECONDS)
        return leader

    def connections(self) -> Table:
        """Return each connection that goes through the lab, and the node it goes to."""
        nodes = {each.amqp_port: each.title for each in self._nodes()}
        rows = [{"connection": link.name, "node": nodes.get(link.port)} for link in self._lab.tap.links()]
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
        with Management(self._lab.broker) as api:
            # The first list leaves out what has no leader, the second may tell of what was a few seconds ago. A queue's
            # own page is no help: of a classic queue whose node is down there is none, or the API breaks down over it.
            found = self._listed(api, queue, LIVE) or self._listed(api, queue, MEMBERS)
        if found is None:
            raise QueueNotFound(f"There is no queue {queue!r} in lab {self._lab.name!r}.")
        return found | (self._stream(queue) if found["type"] == "stream" else {})

    def _listed(self, api: Management, queue: str, query: dict[str, str]) -> dict | None:
        listed = api.get("queues", self._lab.vhost, **query) or ()
        return next((each for each in listed if each["name"] == queue), None)

    def _stream(self, queue: str) -> dict:
        """Return what rabbitmqctl alone tells of a stream."""
        done = ctl.run(
            self._lab.broker, "-q", "-p", self._lab.vhost, "list_queues", "name", "leader", "members", "online",
            "--formatter", "json",
        )
        return next((each for each in json.loads(done.text) if each["name"] == queue), {})


def _members(queue: dict) -> list[str]:
    return queue.get("members") or [queue["node"]]


def _title(erlang_name: str) -> str:
    return erlang_name.partition("@")[0]
