"""Opens connections, and turns failures into the lab's errors."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TypeAlias

import pika
from pika import exceptions
from pika.adapters.utils.connection_workflow import AMQPConnectorException

from rpclab.broker import broker_errors, tls
from rpclab.broker.address import LAB_PROPERTY, TAP_PROPERTY
from rpclab.errors import BrokerUnavailable, InvalidOption, LabClosed, LabError, WrongCredentials

# Where to connect and as which user: one address, or one for each node of a cluster.
Where: TypeAlias = pika.connection.Parameters | Sequence[pika.connection.Parameters]

# The reasons that pika guesses when a connection ends while it is being opened. A broker that refuses it says so;
# otherwise the connection was lost.
GUESSES = (
    exceptions.IncompatibleProtocolError, exceptions.ProbableAuthenticationError, exceptions.ProbableAccessDeniedError,
)
BY_BROKER = exceptions.ConnectionClosedByBroker.__name__


def connect(parameters: Where, name: str | None = None) -> pika.BlockingConnection:
    """Open a blocking connection.

    Parameters
    ----------
    parameters : pika.connection.Parameters or sequence of them
        Where to connect and as which user; of several, the first that answers is used.
    name : str, optional
        The connection's name, as the management UI shows it.

    Raises
    ------
    BrokerUnavailable
        If no broker answers.
    LabClosed
        If they belong to a lab that was closed.
    WrongCredentials, VhostNotFound, AccessRefused
        If the broker refuses it.
    """
    nodes = copies(parameters)
    if name:
        for node in nodes:
            node.client_properties = {**(node.client_properties or {}), "connection_name": name}
    try:
        return pika.BlockingConnection(nodes)
    except (exceptions.AMQPError, AMQPConnectorException, OSError, ValueError) as error:
        # pika raises a ValueError if the other end closes the connection while it is being opened.
        raise explained(error, nodes) from error


def copies(parameters: Where) -> list[pika.connection.Parameters]:
    """Return copies of one or several connection parameters, as a list.

    Raises
    ------
    InvalidOption
        If they are anything else, or none.
    """
    nodes = [parameters] if isinstance(parameters, pika.connection.Parameters) else parameters
    if not isinstance(nodes, Sequence) or not all(isinstance(node, pika.connection.Parameters) for node in nodes):
        raise InvalidOption(
            f"parameters={type(parameters).__name__}: give pika's connection parameters, such as lab.parameters or "
            "pika.URLParameters(url), or a list of them."
        )
    if not nodes:
        raise InvalidOption("parameters=[]: it names no node to connect to.")
    return [copy.copy(node) for node in nodes]


def explained(error: BaseException, parameters: Where) -> LabError:
    """Return the lab's own error for one that pika raised while connecting."""
    error, nodes = _cause(error), copies(parameters)
    where = ", ".join(f"{node.host}:{node.port}" for node in nodes)
    first = nodes[0]
    user = getattr(first.credentials, "username", "?")
    if isinstance(error, GUESSES) and BY_BROKER not in str(error):
        return BrokerUnavailable(f"The connection to {where} was lost while it was being opened ({error}). Try again.")
    if isinstance(error, exceptions.AuthenticationError | exceptions.ProbableAuthenticationError):
        return WrongCredentials(f"The broker at {where} knows no user {user!r} with this password. Check the URL.")
    if isinstance(error, exceptions.ProbableAccessDeniedError):
        # pika keeps only the text of the broker's refusal.
        error = exceptions.ConnectionClosedByBroker(530, str(error))
    if isinstance(error, exceptions.ConnectionClosedByBroker):
        return broker_errors.explained(error, f"User {user!r}, virtual host {first.virtual_host!r} at {where}")
    said = first.client_properties or {}
    if said.get(TAP_PROPERTY) == first.port and next(tls.causes(error, ConnectionRefusedError), None):
        lab = said[LAB_PROPERTY]
        return LabClosed(
            f"The lab {lab!r} was closed, or the program that opened it has ended: no program listens at {where} now. "
            f"Open it again, lab = rpclab.Lab({lab!r}), and then make its clients and workers again."
        )
    return tls.explained(error, first.host, first.port) or BrokerUnavailable(
        f"No RabbitMQ answers at {where} ({type(error).__name__}). `python -m rpclab up` starts the lab's own."
    )


def _cause(error: BaseException) -> BaseException:
    """Return the reason behind pika's list of failed attempts to connect."""
    while beneath := getattr(error, "exceptions", None) or getattr(error, "exception", None):
        error = beneath[-1] if isinstance(beneath, Sequence) else beneath
    return error
