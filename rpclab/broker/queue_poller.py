"""A virtual host's queues, read repeatedly."""

from __future__ import annotations

from contextlib import suppress

import pika
from pika.exceptions import AMQPError

from rpclab.broker import inventory
from rpclab.broker.address import Broker
from rpclab.broker.connect import connect
from rpclab.broker.management import Management
from rpclab.errors import BrokerUnavailable, VhostNotFound


class LiveQueues:
    """Reads `inventory.queues` over one connection that stays open; a context manager.

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
            found = inventory.queues(self._broker, self._api, self._vhost, connection=self._connection)
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
