"""The errors of rpclab. Each message says what happened, to what, and what to do next."""

from __future__ import annotations


class LabError(Exception):
    """Base class of every error that rpclab raises."""


class BrokerUnavailable(LabError):
    """No RabbitMQ could be found, started or reached."""


class LabClosed(BrokerUnavailable):
    """The lab that these connection parameters belong to was closed."""


class BrokerRefused(LabError):
    """The broker refused something; the subclasses say what."""


class WrongCredentials(BrokerRefused):
    """The broker knows no such user, or not with this password."""


class VhostNotFound(BrokerRefused):
    """The broker has no virtual host of this name."""


class AccessRefused(BrokerRefused):
    """The user lacks a permission: to use the virtual host, or to configure, write or read in it."""


class InvalidName(LabError):
    """A lab, queue or worker was given a name that cannot be used."""


class InvalidOption(LabError):
    """An argument has a value that cannot be used."""


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
    """``rabbitmqctl`` or the management API rejected a command."""


class WorkerFailed(LabError):
    """A worker process ended before it began to consume."""


class RpcError(LabError):
    """Base class of the errors that end a remote call."""


class RpcTimeout(RpcError):
    """No reply came before the call's deadline."""


class UnroutableError(RpcError):
    """No queue took the request: the server that declares it was never started, or the name is misspelled."""


class RequestRejected(RpcError):
    """The broker did not take the request: the queue is full and rejects, or the request is too large."""


class MisplacedCall(RpcError):
    """The call was made where no reply can reach it: in the client's own thread, or in a forked child process."""


class ConnectionLost(RpcError):
    """The connection ended while the call waited for its reply."""


class Blocked(RpcError):
    """The broker takes no messages at present, because it is short of memory or disk space."""


class ClientClosed(RpcError):
    """The client was closed before or during the call."""


class ReplyLost(RpcError):
    """One of several replies to a request has not come, although a later one has."""


class UnreadableBody(RpcError):
    """The body cannot be read by the codec: it is no JSON, or its content type or version is another one."""


class RemoteError(RpcError):
    """The server received the request and replied with an error.

    Attributes
    ----------
    type : str
        The error's name on the server, for example ``"ValueError"``.
    message : str
        The error's message on the server.
    """

    def __init__(self, type: str, message: str):
        super().__init__(f"{type}: {message}")
        self.type = type
        self.message = message

    def __reduce__(self) -> tuple[type[RemoteError], tuple[str, str]]:
        return RemoteError, (self.type, self.message)
