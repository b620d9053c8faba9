"""Everything that can go wrong in a lab, as one family: each error says what happened, to what, and what to do next."""

from __future__ import annotations


class LabError(Exception):
    """Root of every error that rpclab raises."""


class BrokerUnavailable(LabError):
    """No RabbitMQ could be found, started or reached."""


class BrokerRefused(LabError):
    """The broker answered and said no. Its kinds say to what."""


class WrongCredentials(BrokerRefused):
    """The broker knows no such user, or not with this password."""


class VhostNotFound(BrokerRefused):
    """The broker has no virtual host of this name."""


class AccessRefused(BrokerRefused):
    """The user is known and may not do this: use the virtual host, or configure, write or read something in it."""


class InvalidName(LabError):
    """A lab, queue or worker was given a name that cannot be used."""


class InvalidOption(LabError):
    """An argument has a value that makes no sense there."""


class VhostNotOurs(LabError):
    """A virtual host of this name exists and was not made by rpclab, so it is not emptied."""


class QueueNotFound(LabError):
    """There is no queue of this name in the lab's virtual host."""


class QueueUnavailable(LabError):
    """The queue exists, and the node of the cluster that holds it is down."""


class QueueInUse(LabError):
    """The queue belongs exclusively to another connection."""


class QueueArgumentsDiffer(LabError):
    """The queue exists already, declared with other arguments."""


class CommandFailed(LabError):
    """``rabbitmqctl`` or the management API turned a command down."""


class WorkerFailed(LabError):
    """A worker process ended before it began to consume."""


class RpcError(LabError):
    """Root of what a remote call can end in, other than its answer."""


class RpcTimeout(RpcError):
    """No reply came before the call's deadline."""


class UnroutableError(RpcError):
    """No queue took the request: the server that declares it was never started, or the name is misspelled."""


class ConnectionLost(RpcError):
    """The connection ended while the call was waiting for its reply."""


class Blocked(RpcError):
    """The broker takes no messages at present, because it is short of memory or disk space."""


class ClientClosed(RpcError):
    """The client was closed, so the call can neither be made nor answered."""


class RemoteError(RpcError):
    """The server received the request and answered that it could not be done.

    Attributes
    ----------
    type : str
        Name of the error on the server, for example ``"ValueError"``.
    message : str
        What the server said about it.
    """

    def __init__(self, type: str, message: str):
        super().__init__(f"{type}: {message}")
        self.type = type
        self.message = message

    def __reduce__(self):
        return RemoteError, (self.type, self.message)
