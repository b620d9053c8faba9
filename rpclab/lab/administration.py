"""Purging and deleting a lab's queues, through its tap, so that pictures of them show what happens to the messages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pika.exceptions import ChannelClosedByBroker

from rpclab.broker import broker_errors
from rpclab.broker.connect import connect
from rpclab.errors import QueueNotFound
from rpclab.lab.inventory import find

if TYPE_CHECKING:
    from rpclab.lab.lab import Lab


def purge(lab: Lab, queue: str) -> int:
    """Delete a queue's ready messages and return their number; see `Lab.purge`."""
    return _on_queue(lab, queue, "queue_purge")


def delete(lab: Lab, queue: str) -> int:
    """Delete a queue and return the number of its ready messages; see `Lab.delete`."""
    return _on_queue(lab, queue, "queue_delete")


def _on_queue(lab: Lab, queue: str, operation: str) -> int:
    queues = lab.queues()
    row = find(queues, queue)
    if row is None:
        names = ", ".join(queues.column("name")) or "none"
        raise QueueNotFound(f"There is no queue {queue!r} in lab {lab.name!r}. Its queues: {names}.")
    with connect(lab.all_parameters, "rpclab administration") as connection:
        try:
            return getattr(connection.channel(), operation)(row["queue"]).method.message_count
        except ChannelClosedByBroker as refusal:
            raise broker_errors.explained(refusal, f"Queue {queue!r}") from refusal
