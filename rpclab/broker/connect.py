"""Opening a connection, with the ways in which that can fail told apart."""

from __future__ import annotations

import copy

import pika
from pika import exceptions

from rpclab.broker import refusals, tls
from rpclab.errors import BrokerUnavailable, LabError, WrongCredentials


def connect(parameters: pika.connection.Parameters, name: str | None = None) -> pika.BlockingConnection:
    """Open a blocking connection.

    Parameters
    ----------
    parameters : pika.connection.Parameters
        Where to and as whom.
    name : str, optional
        The connection's name, as the management UI shows it.

    Raises
    ------
    BrokerUnavailable
        If nobody answers.
    WrongCredentials, VhostNotFound, AccessRefused
        If the broker says no.
    """
    if name:
        parameters = copy.copy(parameters)
        parameters.client_properties = {**(parameters.client_properties or {}), "connection_name": name}
    try:
        return pika.BlockingConnection(parameters)
    except (exceptions.AMQPError, OSError, ValueError) as error:
        # A ValueError is how pika puts it that the other end hung up while it was still connecting.
        raise explained(error, parameters) from error


def explained(error: BaseException, parameters: pika.connection.Parameters) -> LabError:
    """Return the lab's own error for one that pika raised while connecting."""
    where = f"{parameters.host}:{parameters.port}"
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
