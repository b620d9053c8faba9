"""A virtual host's queues, asked for again and again."""

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
    """What `inventory.queues` returns, over one connection that stays open; a context manager.

    The broker's log tells of each connection that comes and goes, and several a second would be all that it tells.
    It belongs to one thread.

    Parameters
    ----------
    broker : Broker
        Whom to ask.
    vhost : str
        The virtual host whose queues are meant.
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
            If nobody answers; the next time, the connection is opened again.
        VhostNotFound
            If there is no such virtual host any more.
        """
        try:
            if self._connection is None:
                self._connection = connect(self._broker.all_parameters(self._vhost), "rpclab monitor")
            found = inventory.queues(self._broker, self._api, self._vhost, connection=self._connection)
        except AMQPError as error:
            self._hang_up()
            raise BrokerUnavailable(f"The broker ended the connection ({type(error).__name__}).") from error
        if found is None:
            raise VhostNotFound(f"The virtual host {self._vhost!r} is gone: the lab was closed, or the broker reset.")
        return found

    def close(self) -> None:
        """Close the connection; a second time does nothing."""
        self._hang_up()
        self._api.close()

    def __enter__(self) -> LiveQueues:
        return self

    def __exit__(self, *exc_info) -> None:
        self.close()

    def _hang_up(self) -> None:
        if self._connection is not None:
            # One that broke is as closed as it can be.
            with suppress(AMQPError):
                self._connection.close()
        self._connection = None
