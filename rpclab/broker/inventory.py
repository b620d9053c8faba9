"""What a virtual host holds: its queues as they are now, once or repeatedly."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

import pika
from pika.exceptions import AMQPError, ChannelClosedByBroker

from rpclab.broker.address import Broker
from rpclab.broker.connect import connect
from rpclab.broker.management import LIVE, Management
from rpclab.errors import BrokerUnavailable, VhostNotFound

DECLARED = {"columns": "name,type,durable,exclusive,arguments"}


def queues(
    broker: Broker, api: Management, vhost: str, *, connection: pika.BlockingConnection | None = None
) -> list[dict] | None:
    """Return the virtual host's queues as the HTTP API describes them, with live counts, sorted by name.

    ``consumers`` is added to each: the API reports it seconds late, a passive declare at once. It is None for a queue
    that is exclusive to another connection, for which a passive declare is refused. Ready messages are counted in the
    same way, because the API's count for a quorum queue is late too. A cluster's queue without a leader, for the moment
    or without a majority, has the state ``down`` and no counts.

    Parameters
    ----------
    connection : pika.BlockingConnection, optional
        The connection to use; by default a new one.
    """
    declared = api.get("queues", vhost, **DECLARED) if broker.others else ()
    found = api.get("queues", vhost, **LIVE)
    if found is None or declared is None:
        return None
    leaderless = _leaderless(api, vhost, declared, {queue["name"] for queue in found})
    names = [queue["name"] for queue in found if not queue["exclusive"]]
    if not names:
        counts = {}
    elif connection:
        counts = _counts(connection, names)
    else:
        with connect(broker.all_parameters(vhost), "rpclab inventory") as opened:
            counts = _counts(opened, names)
    none_known = {"consumers": None}
    everything = sorted(found + leaderless, key=lambda queue: queue["name"])
    return [queue | counts.get(queue["name"], none_known) for queue in everything]


class LiveQueues:
    """Reads `queues` over one connection that stays open; a context manager.

    The broker logs each connection, and several a second would fill its log. It belongs to one thread.

    Parameters
    ----------
    broker : Broker
        The broker to ask.
    vhost : str
        The virtual host with the queues.
    """

    def __init__(self, broker: Broker, vhost: str):
        self._broker = broker
        self._vhost = vhost
        self._api = Management(broker)
        self._connection: pika.BlockingConnection | None = None

    def ask(self) -> list[dict]:
        """Return the queues as they are now, sorted by name.

        Raises
        ------
        BrokerUnavailable
            If no broker answers; the next call opens the connection again.
        VhostNotFound
            If the virtual host does not exist any more.
        """
        try:
            if self._connection is None:
                self._connection = connect(self._broker.all_parameters(self._vhost), "rpclab monitor")
            found = queues(self._broker, self._api, self._vhost, connection=self._connection)
        except AMQPError as error:
            self._hang_up()
            raise BrokerUnavailable(f"The broker ended the connection ({type(error).__name__}).") from error
        if found is None:
            raise VhostNotFound(
                f"The virtual host {self._vhost!r} does not exist any more: the lab was closed, or the broker reset."
            )
        return found

    def close(self) -> None:
        """Close the connection; calling it again has no effect."""
        self._hang_up()
        self._api.close()

    def __enter__(self) -> LiveQueues:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def _hang_up(self) -> None:
        if self._connection is not None:
            # One that was lost is as closed as it can be.
            with suppress(AMQPError):
                self._connection.close()
        self._connection = None


def _leaderless(api: Management, vhost: str, declared: Iterable[dict], listed: set[str]) -> list[dict]:
    """Return the queues that the list of live counts omits, unless they have been deleted since."""
    missing = [queue for queue in declared if queue["name"] not in listed]
    # The page of a queue whose node is down does not exist: only the whole list has it.
    still = {queue["name"] for queue in api.get("queues", vhost, **DECLARED) or ()} if missing else ()
    return [queue | {"state": "down"} for queue in missing if queue["name"] in still]


def _counts(connection: pika.BlockingConnection, names: Iterable[str]) -> dict[str, dict[str, int]]:
    counts = {}
    channel = connection.channel()
    for name in names:
        try:
            declared = channel.queue_declare(name, passive=True).method
        except ChannelClosedByBroker:  # deleted since it was listed; the refusal closed the channel
            channel = connection.channel()
        else:
            counts[name] = {"consumers": declared.consumer_count, "messages_ready": declared.message_count}
    channel.close()
    return counts
