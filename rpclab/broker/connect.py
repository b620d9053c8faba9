"""Opening a connection, with the ways in which that can fail told apart."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import pika
from pika import exceptions

from rpclab.broker import refusals, tls
from rpclab.errors import BrokerUnavailable, LabError, WrongCredentials

# Where to connect and as whom: one address, or one for each node of a cluster.
Where = pika.connection.Parameters | Sequence[pika.connection.Parameters]


def connect(parameters: Where, name: str | None = None) -> pika.BlockingConnection:
    """Open a blocking connection.

    Parameters
    ----------
    parameters : pika.connection.Parameters or sequence of them
        Where to and as whom; of several, the first that answers is taken.
    name : str, optional
        The connection's name, as the management UI shows it.

    Raises
    ------
    BrokerUnavailable
        If nobody answers.
    WrongCredentials, VhostNotFound, AccessRefused
        If the broker says no.
    """
    nodes = copies(parameters)
    if name:
        for node in nodes:
            node.client_properties = {**(node.client_properties or {}), "connection_name": name}
    try:
        return pika.BlockingConnection(nodes)
    except (exceptions.AMQPError, OSError, ValueError) as error:
        # A ValueError is how pika puts it that the other end hung up while it was still connecting.
        raise explained(error, nodes) from error


def copies(parameters: Where) -> list[pika.connection.Parameters]:
    """Return a list of parameters, given one or several, that can be changed without changing those given."""
    nodes = [parameters] if isinstance(parameters, pika.connection.Parameters) else parameters
    return [copy.copy(node) for node in nodes]


def explained(error: BaseException, parameters: Where) -> LabError:
    """Return the lab's own error for one that pika raised while connecting."""
    nodes = copies(parameters)
    where = ", ".join(f"{node.host}:{node.port}" for node in nodes)
    parameters = nodes[0]
    user = getattr(parameters.credentials, "username", "?")
    if isinstance(error, exceptions.AuthenticationError | exceptions.ProbableAuthenticationError):
        return WrongCredentials(f"The broker at {where} knows no user {user!r} with this password. Check the URL.")
    if isinstance(error, exceptions.ProbableAccessDeniedError):
        # pika keeps of the broker's refusal only its text.
        error = exceptions.ConnectionClosedByBroker(530, str(error))
    if isinstance(error, exceptions.ConnectionClosedByBroker):
        return refusals.explained(error, f"User {user!r}, virtual host {parameters.virtual_host!r} at {where}")
    return tls.explained(error, parameters.host, parameters.port) or BrokerUnavailable(
        f"No RabbitMQ answers at {where} ({type(error).__name__}). `python -m rpclab up` starts the lab's own."
    )
