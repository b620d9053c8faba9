"""Which node a client connects to next, and when it makes sense to try again."""

from __future__ import annotations

from collections.abc import Sequence

import pika

from rpclab.errors import BrokerUnavailable, ConnectionLost, LabClosed, LabError, QueueUnavailable
from rpclab.rpc.reliability.backoff import Backoff

OPEN_SECONDS = 10.0  # for all nodes together
# A node that is down, a queue whose leader is being elected: another attempt may succeed.
PASSING = (BrokerUnavailable, ConnectionLost, QueueUnavailable)
WAIT_SECONDS = (0.0, 0.1, 0.2, 0.5, 1.0)
CALM_SECONDS = 5.0


class Failover:
    """Goes through the nodes of a cluster until one answers, round after round.

    Parameters
    ----------
    nodes : sequence of pika.connection.Parameters
        The nodes to connect to.

    Attributes
    ----------
    seconds : float
        Seconds that one node has to open a connection.
    """

    def __init__(self, nodes: Sequence[pika.connection.Parameters]):
        self.seconds = OPEN_SECONDS / len(nodes)
        self._nodes = nodes
        self._untried: list[pika.connection.Parameters] = []
        self._trying = False
        self._backoff = Backoff(WAIT_SECONDS, CALM_SECONDS)

    def next_node(self) -> pika.connection.Parameters:
        """Return the node to try now."""
        self._untried = self._untried or list(self._nodes)
        self._trying = True
        return self._untried.pop(0)

    def succeeded(self) -> None:
        """Record that the node has answered: a later attempt begins with the first node again.

        No node is left untried then, so `has_another` says no when this connection is lost: only with ``retry`` does
        the session connect again by itself.
        """
        self._untried, self._trying = [], False

    def has_another(self, error: LabError) -> bool:
        """Return whether another node may work where this one failed."""
        return bool(self._untried) and isinstance(error, BrokerUnavailable | ConnectionLost)

    def explained(self, error: LabError) -> LabError:
        """Return the error of the last node as one of all nodes, if none of them answered."""
        if not self._trying or len(self._nodes) == 1 or not isinstance(error, BrokerUnavailable | ConnectionLost):
            return error
        where = ", ".join(f"{node.host}:{node.port}" for node in self._nodes)
        return type(error)(f"No node of the cluster answers, of {where}. The last one: {error}")

    def pause(self) -> float:
        """Return how many seconds to wait before another round: the more, the more rounds there were recently."""
        return self._backoff.next()


def may_pass(error: LabError) -> bool:
    """Return whether another attempt may succeed without anything being changed."""
    return isinstance(error, PASSING) and not isinstance(error, LabClosed)
