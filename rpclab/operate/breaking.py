"""The faults of the control room: how to inject them, and what to look for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rpclab.case_study import CaseStudy
from rpclab.errors import InvalidOption
from rpclab.lab import Lab
from rpclab.operate.broken_servers import ConfusedServer, ForgetfulServer, RepetitiveServer
from rpclab.operate.desk import Desk
from rpclab.rpc.arithmetic import AddClient, FibonacciClient
from rpclab.rpc.server import BaseServer
from rpclab.rpc.workers import Workers
from rpclab.wire.messages import HELD

# Keeps a worker busy for a second or so, long enough to kill it during the work.
LONG_WORK = 33
CAUGHT_SECONDS = 10.0


@dataclass(frozen=True)
class Fault:
    """One way to break the system, together with the request that meets the fault.

    Attributes
    ----------
    name : str
        Its name in code.
    button : str
        The label of its button.
    servers : str
        The name of the servers that have the button; empty if a button of the clients does the same.
    look_for : str
        What to watch, in one line.
    cause : callable
        Injects it; takes a `Breaking`.
    """

    name: str
    button: str
    servers: str
    look_for: str
    cause: Callable[[Breaking], None]


class Breaking:
    """Breaks a running case study, and repairs it.

    Parameters
    ----------
    lab : Lab
        The lab whose connections break.
    system : CaseStudy
        The system whose processes break.
    addition, fibonacci : Desk
        They fire the requests that meet the fault.
    """

    def __init__(self, lab: Lab, system: CaseStudy, addition: Desk, fibonacci: Desk):
        self._lab = lab
        self._system = system
        self._addition = addition
        self._fibonacci = fibonacci
        self.broken = [
            Workers(server, count=0) for server in (ForgetfulServer, RepetitiveServer, ConfusedServer)
        ]

    def kill(self) -> None:
        """Fire a long request, and kill the worker that processes it."""
        holder, pool = self._long_work_begun(), self._system.fibonacci
        pool.kill(next(index for index, worker in enumerate(pool) if worker.alive and worker.name == holder))

    def cut_at_work(self) -> None:
        """Cut the client's connection while a worker processes its request."""
        self._long_work_begun()
        self.cut(FibonacciClient.__name__)

    def cut(self, client: str) -> None:
        """Cut all connections of a client."""
        for name in self._connections(client):
            self._lab.tap.cut(name)

    def freeze_and_ask(self) -> None:
        """Freeze a client's replies, and fire a request."""
        self.freeze(AddClient.__name__)
        self._addition.fire(3, 5)

    def freeze(self, client: str) -> None:
        """Hold back everything that the broker sends to a client."""
        for name in self._connections(client):
            self._lab.tap.freeze(name, answers_only=True)

    def replace(self, server: type[BaseServer]) -> None:
        """Replace the good servers by a broken one, and fire a request."""
        self._system.addition.scale(0)
        for pool in self.broken:
            pool.scale(int(pool.name == server.__name__))
        self._addition.fire(3, 5)

    def repair(self, count: int) -> None:
        """Undo everything: thaw the connections, stop the broken servers, and start the good ones again."""
        self._lab.tap.thaw()
        self.stop()
        self._system.start(count)

    def stop(self) -> None:
        """Stop the broken servers; calling it again has no effect."""
        for pool in self.broken:
            pool.stop()

    def _long_work_begun(self) -> str:
        """Fire a request for long work and return the name of the worker that processes it, once one does."""
        request = self._fibonacci.fire(LONG_WORK)

        def holder() -> str | None:
            deliveries = request.message.deliveries if request.message else ()
            return next((delivery.to for delivery in deliveries if delivery.outcome == HELD), None)

        return self._lab.story.wait_for(holder, CAUGHT_SECONDS, "a Fibonacci server to take the request")

    def _connections(self, client: str) -> list[str]:
        """Return the names of the connections of one kind of client: ``AddClient``, ``AddClient 2``, ..."""
        return [link.name for link in self._lab.tap.links() if link.name.partition(" ")[0] == client]


# The texts of direct actions; the faults below combine such actions.
CUT = "its calls fail with ConnectionLost at once, and their replies reach no client. The next request works again."
FREEZE = "replies are sent and do not arrive: calls time out. After Repair they come late, and are dropped."

FAULTS = (
    Fault(
        "kill", "Kill a busy worker", "FibonacciServer",
        "the broker redelivers the request to another process. The client only waits longer.",
        Breaking.kill,
    ),
    Fault("cut", "Cut a busy client's connection", "", CUT, Breaking.cut_at_work),
    Fault("freeze", "Freeze the replies", "", FREEZE, Breaking.freeze_and_ask),
    Fault(
        "forget", "Skip the ack", "AdditionServer",
        "the reply comes, and the request stays unacked: this server gets no other. Repair, and its work is repeated.",
        lambda breaking: breaking.replace(ForgetfulServer),
    ),
    Fault(
        "twice", "Reply twice", "AdditionServer",
        "two replies with one correlation id: the client takes the first and drops the second.",
        lambda breaking: breaking.replace(RepetitiveServer),
    ),
    Fault(
        "wrong id", "Use a wrong id", "AdditionServer",
        "a reply arrives that matches no request: the client drops it, and its call times out.",
        lambda breaking: breaking.replace(ConfusedServer),
    ),
)


def fault_named(name: str) -> Fault:
    """Return the fault of this name.

    Raises
    ------
    InvalidOption
        If there is none.
    """
    fault = next((fault for fault in FAULTS if fault.name == name), None)
    if fault is None:
        raise InvalidOption(f"break_it({name!r}): it is one of {', '.join(fault.name for fault in FAULTS)}.")
    return fault
