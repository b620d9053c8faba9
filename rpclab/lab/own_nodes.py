"""A node of RabbitMQ, or a cluster, that one lab has to itself."""

from __future__ import annotations

from rpclab.broker import node
from rpclab.broker.vhosts import free_name


class OwnNodes:
    """A private node or cluster that is started for one lab and ends with it.

    Parameters
    ----------
    lab : str
        The lab's name.
    count : int
        The number of nodes.

    Attributes
    ----------
    broker : Broker
        How to reach it.
    """

    def __init__(self, lab: str, count: int):
        self._name, self._lock = free_name(lab, f"{node.SHARED}-")
        try:
            # One with another number of nodes, from an earlier run, is ended first.
            if len(node.recorded(self._name)) not in (0, count):
                node.stop(self._name)
            self.broker = node.start(self._name, count).broker
        except BaseException:
            self.release()
            raise

    def stop(self) -> None:
        """Stop the nodes and release their name."""
        node.stop(self._name)
        self.release()

    def release(self) -> None:
        """Release the name for other labs; the next one of this name uses the nodes if they still run."""
        self._lock.release()
