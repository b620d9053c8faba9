"""Opening a connection, with the ways in which a broker can refuse one told apart."""

from __future__ import annotations

import pika
from pika import exceptions

from rpclab.errors import BrokerRefused, BrokerUnavailable, LabError


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
    BrokerRefused
        If the broker knows no such user, password or virtual host.
    """
    if name:
        parameters.client_properties = {**(parameters.client_properties or {}), "connection_name": name}
    try:
        return pika.BlockingConnection(parameters)
    except (exceptions.AMQPError, OSError) as error:
        raise explained(error, parameters) from error


def explained(error: BaseException, parameters: pika.connection.Parameters) -> LabError:
    """Return the lab's own error for one that pika raised while connecting."""
    where = f"{parameters.host}:{parameters.port}"
    user = getattr(parameters.credentials, "username", "?")
    if isinstance(error, exceptions.AuthenticationError | exceptions.ProbableAuthenticationError):
        return BrokerRefused(f"The broker at {where} does not accept the password of user {user!r}. Check the URL.")
    if isinstance(error, exceptions.ProbableAccessDeniedError) or getattr(error, "reply_code", None) in (403, 530):
        return BrokerRefused(
            f"User {user!r} may not use virtual host {parameters.virtual_host!r} at {where}: "
            f"{getattr(error, 'reply_text', '') or error}. Create a lab of that name first: rpclab.Lab(...)."
        )
    return BrokerUnavailable(
        f"No RabbitMQ answers at {where} ({type(error).__name__}). `python -m rpclab up` starts the lab's own."
    )
