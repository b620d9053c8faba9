"""What one can break in the control room, how, and what to look for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rpclab.lab import Lab
from rpclab.rpc.arithmetic import AddClient, FibonacciClient
from rpclab.rpc.case_study import CaseStudy
from rpclab.rpc.client import RpcClient
from rpclab.rpc.server import BaseServer
from rpclab.rpc.workers import Workers
from rpclab.widgets.broken_servers import ConfusedServer, ForgetfulServer, RepetitiveServer
from rpclab.widgets.request_panel import RequestPanel
from rpclab.wire.messages import HELD

# An index that keeps a worker busy for a second or so, long enough to be caught at it.
LONG_WORK = 33
CAUGHT_SECONDS = 10.0


@dataclass(frozen=True)
class Fault:
    """One way to break the system.

    Attributes
    ----------
    name : str
        What code calls it.
    button : str
        What its button says.
    look_for : str
        What to watch, in one line.
    cause : callable
        Breaks it; takes a `Breaking`.
    """

    name: str
    button: str
    look_for: str
    cause: Callable[[Breaking], None]


class Breaking:
    """Breaks a running case study, and mends it.

    Parameters
    ----------
    lab : Lab
        Whose connections are broken.
    system : CaseStudy
        Whose processes are.
    addition, fibonacci : RequestPanel
        They fire the requests that meet the fault.
    """

    def __init__(self, lab: Lab, system: CaseStudy, addition: RequestPanel, fibonacci: RequestPanel):
        self._lab = lab
        self._system = system
        self._addition = addition
        self._fibonacci = fibonacci
        self.broken = [
            Workers(server, count=0) for server in (ForgetfulServer, RepetitiveServer, ConfusedServer)
        ]

    def kill(self) -> None:
        """Have a long request worked on, and kill the process that does."""
        holder, pool = self._long_work_begun(), self._system.fibonacci
        pool.kill(next(index for index, worker in enumerate(pool) if worker.alive and worker.name == holder))

    def cut(self) -> None:
        """Cut the client's connection while its request is worked on."""
        self._long_work_begun()
        for name in self._connections(FibonacciClient):
            self._lab.tap.cut(name)

    def freeze(self) -> None:
        """Let nothing of what the broker sends reach the client, and ask."""
        for name in self._connections(AddClient):
            self._lab.tap.freeze(name, answers_only=True)
        self._addition.fire(3, 5)

    def replace(self, server: type[BaseServer]) -> None:
        """Have a broken server take the place of the good ones, and ask it."""
        self._system.addition.scale(0)
        for pool in self.broken:
            pool.scale(int(pool.name == server.__name__))
        self._addition.fire(3, 5)

    def mend(self, count: int) -> None:
        """Undo everything: thaw what is frozen, stop what is broken, and have the good servers run again."""
        self._lab.tap.thaw()
        self.stop()
        self._system.start(count)

    def stop(self) -> None:
        """End the broken servers; a second time does nothing."""
        for pool in self.broken:
            pool.stop()

    def _long_work_begun(self) -> str:
        """Fire a request for long work and return the name of the process that works on it, once one does."""
        request = self._fibonacci.fire(LONG_WORK)

        def holder() -> str | None:
            deliveries = request.message.deliveries if request.message else ()
            return next((delivery.to for delivery in deliveries if delivery.outcome == HELD), None)

        return self._lab.story.wait_for(holder, CAUGHT_SECONDS, "a Fibonacci server to take the request")

    def _connections(self, client: type[RpcClient]) -> list[str]:
        """Return the names of a kind of client's connections: ``AddClient``, ``AddClient 2``, ..."""
        return [link.name for link in self._lab.tap.links() if link.name.partition(" ")[0] == client.__name__]


FAULTS = (
    Fault(
        "kill", "Kill a worker at work",
        "The request goes back to its queue and to another process, marked redelivered. The client only waits longer.",
        Breaking.kill,
    ),
    Fault(
        "cut", "Cut the client's connection",
        "The call ends with ConnectionLost at once, and nobody is there for its answer. The next request works again.",
        Breaking.cut,
    ),
    Fault(
        "freeze", "Freeze the answers",
        "The answer is sent and does not arrive: the call times out. After Mend it comes, too late, and is dropped.",
        Breaking.freeze,
    ),
    Fault(
        "forget", "Forget to acknowledge",
        "The answer is there, and the request stays unacked: this server gets no other. After Mend it is done again.",
        lambda breaking: breaking.replace(ForgetfulServer),
    ),
    Fault(
        "twice", "Answer twice",
        "Two replies with one correlation id: the client takes the first and drops the second.",
        lambda breaking: breaking.replace(RepetitiveServer),
    ),
    Fault(
        "wrong id", "Wrong correlation id",
        "A reply arrives that belongs to no request: the client drops it, and its call times out.",
        lambda breaking: breaking.replace(ConfusedServer),
    ),
)
