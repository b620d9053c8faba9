"""A drill: the case study runs with one hidden fault, which the learner names and repairs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from rpclab.broker import node
from rpclab.course import catalogue, evidence, record
from rpclab.course.text import Markdown
from rpclab.course.verdict import NOT_ATTEMPTED, RIGHT, WRONG, Verdict
from rpclab.errors import BrokerUnavailable, InvalidOption, LabError
from rpclab.lab import Lab
from rpclab.rpc.arithmetic import AddClient, AdditionServer, FibonacciServer
from rpclab.rpc.callback_worker import CallbackWorker
from rpclab.rpc.client import RpcClient
from rpclab.rpc.protocol import ADDITION_CALLBACK_QUEUE, ADDITION_QUEUE, FIBONACCI_QUEUE, declare
from rpclab.rpc.server import BaseServer
from rpclab.rpc.workers import Workers

CALL_SECONDS = 2.0
# What a drill asks to leave evidence waits as long as anybody looks at it.
EVIDENCE_SECONDS = 3600.0
SETTLE_SECONDS = 5.0

_open: list[Drill] = []


@dataclass(frozen=True)
class Fault:
    """One fault, and the drill that hides it.

    Attributes
    ----------
    id, title : str
        The drill's id, and what users complain about; neither gives the fault away.
    says, because : str
        The fault in one sentence, an option to choose; what shows it in its own drill, and what could repair it.
    would, instead : str
        What the fault would show, and what other drills show instead, as parts of a sentence.
    cause : callable
        Sends the requests that leave evidence; takes the `Drill`.
    server, servers : type, int
        The addition server, and how many processes of it run.
    client : dict
        Options of the addition client.
    own_node : bool
        Whether the fault would disturb other users of the broker.
    calls : tuple
        What the check adds, one pair after the other.
    unreadable : str
        A request that the check sends before its calls and that the server cannot read.
    example : bool
        Whether the lesson works it through, so that it is not recorded.
    """

    id: str
    title: str
    says: str
    because: str
    would: str
    instead: str
    cause: Callable[[Drill], None]
    server: type[BaseServer] = AdditionServer
    servers: int = 1
    client: Mapping[str, Any] = field(default_factory=dict)
    own_node: bool = False
    calls: tuple[tuple[int, int], ...] = ((3, 5), (20, 22), (7, 6), (4, 4))
    unreadable: str = ""
    example: bool = False


class Drill:
    """One running drill; `rpclab.drill` starts it. A context manager.

    Attributes
    ----------
    lab : Lab
        The drill's own lab.
    client : RpcClient
        The addition service's client, which `check` calls; it can be replaced.
    workers : dict of str to Workers
        The processes, by name.
    """

    def __init__(self, fault: Fault):
        self.id = fault.id
        self._fault = fault
        self._named = ""
        if fault.own_node and not node.script_folder():
            raise BrokerUnavailable(
                f"Drill {fault.id} breaks a broker of its own, and RabbitMQ is not installed on this machine. Choose "
                "another drill, or install it: python -m rpclab up --install"
            )
        with ExitStack() as opened:
            self.lab = opened.enter_context(Lab(fault.id.partition("-")[2], own_node=fault.own_node))
            with self.lab.connect("set-up") as connection:
                for queue in (ADDITION_QUEUE, FIBONACCI_QUEUE, ADDITION_CALLBACK_QUEUE):
                    declare(connection.channel(), queue)
            options = {"timeout": CALL_SECONDS, "parameters": self.lab.parameters, **fault.client}
            self.client: RpcClient = opened.enter_context(AddClient(**options))
            pools = (
                Workers(fault.server, count=0, name="AdditionServer"),
                Workers(FibonacciServer, count=0),
                Workers(CallbackWorker, ADDITION_CALLBACK_QUEUE, count=0, name="AdditionCallbackWorker"),
            )
            self.workers = {pool.name: opened.enter_context(pool) for pool in pools}
            with ThreadPoolExecutor(len(pools)) as threads:
                list(threads.map(Workers.scale, pools, (fault.servers, 1, 1)))
            fault.cause(self)
            self._opened = opened.pop_all()

    @property
    def question(self) -> Markdown:
        """What users complain about, how to go on, and which faults there are to choose from."""
        how = catalogue.read(self.id[:2]).intro
        options = "\n".join(f"{number}. {fault.says}" for number, fault in enumerate(self._choices, 1))
        return Markdown(f"**Drill {self.id}:** *{self._fault.title}*\n\n{how}\n\n**Which fault is it?**\n\n{options}")

    def name_fault(self, choice: int | str) -> Verdict:
        """Name the fault.

        Parameters
        ----------
        choice : int or str
            Its number among those that `question` shows, or its words.

        Returns
        -------
        Verdict
            Whether it fits the evidence; if not, why.

        Raises
        ------
        InvalidOption
            If there is no such choice.
        """
        faults = self._choices
        known: dict[object, Fault] = {**dict(enumerate(faults, 1)), **{fault.says: fault for fault in faults}}
        if isinstance(choice, bool) or not isinstance(choice, int | str) or choice not in known:
            raise InvalidOption(f"{choice!r} is no fault to choose: give a number from 1 to {len(faults)}.")
        named = known[choice]
        self._named = named.says
        if named is self._fault:
            return Verdict(self.id, RIGHT, f"{named.says}\n{named.because}\nNow repair it, and have it checked.")
        self._record(WRONG)
        return Verdict(
            self.id, WRONG,
            f"{named.says}\nThis does not fit: then {named.would}. When this drill began, {named.instead}.",
        )

    def check(self) -> Verdict:
        """Call the addition service with `client`, watch the wire, and judge both the name and the repair."""
        if not self._named:
            return Verdict(self.id, NOT_ATTEMPTED, "Name the fault first: `drill.name_fault(number)`.")
        names: list[str] = []
        try:
            trouble = self._trouble(names)
        except LabError as error:
            trouble = f"The check could not send its requests: {error}"
        state, text = WRONG, trouble
        if trouble and self._named == self._fault.says:
            text = f"You named the fault, and it is not repaired yet. {trouble}"
        elif not trouble and self._named != self._fault.says:
            text = f"Your repair works, but you named another fault: {self._named} Name the one that you repaired."
        elif not trouble:
            state, text = RIGHT, "Named and repaired: all calls were answered, and nothing is left in `addition`."
        self._record(state)
        return Verdict(self.id, state, text, evidence.table(self.lab.story.of(*names)))

    def fire(self, *calls: tuple[int, int]) -> None:
        """Send requests whose replies are not waited for."""
        for call in calls:
            self.client.submit(*call, timeout=EVIDENCE_SECONDS)

    def send_unreadable(self, body: str) -> None:
        """Send a request to the addition service that is not two numbers."""
        with RpcClient(ADDITION_QUEUE, parameters=self.lab.parameters) as client:
            client.send(body, reply_to=ADDITION_CALLBACK_QUEUE, timeout=CALL_SECONDS)

    def close(self) -> None:
        """End the processes and close the lab; calling it again has no effect."""
        for pool in self.workers.values():  # those that were added, too
            pool.stop()
        self._opened.close()

    def __enter__(self) -> Drill:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Drill({self.id!r})"

    @property
    def _choices(self) -> list[Fault]:
        """All faults of the lesson, in an order that has nothing to do with the drills'."""
        return sorted(catalogue.read(self.id[:2]).drills, key=lambda fault: fault.says)

    def _record(self, state: str) -> None:
        if not self._fault.example:
            record.note(record.EXERCISES, self.id, state)

    def _trouble(self, names: list[str]) -> str:
        """Call, and return what is wrong; the requests' names are added to the list."""
        if not isinstance(self.client, AddClient):
            return f"`drill.client` should be an `AddClient`, and is of type `{type(self.client).__name__}`."
        if self._fault.unreadable:
            self.send_unreadable(self._fault.unreadable)
        for x, y in self._fault.calls:
            future = self.client.submit(x, y)
            error = future.exception(future.timeout + SETTLE_SECONDS)
            self.lab.tap.catch_up()
            request = self.lab.story.request(future.correlation_id)
            names += [request.name] if request else []
            if error:
                return f"The call {x} + {y} failed with `{type(error).__name__}`."
            if future.result() != x + y:
                return f"The call {x} + {y} returned `{future.result()!r}`."
            if request is None or not request.replies:
                return f"The request {x} + {y} and its reply were not seen on the lab's connections."
        try:
            self.lab.wait_for(ADDITION_QUEUE, ready=0, unacked=0, timeout=SETTLE_SECONDS)
        except LabError:
            left = self.lab.queues()[ADDITION_QUEUE]
            return f"All calls were answered, but `addition` has {left['ready']} ready and {left['unacked']} unacked."
        return ""


def drill(id: str) -> Drill:
    """Start a drill: the case study with one hidden fault. A drill that is still open is closed first.

    Parameters
    ----------
    id : str
        ``15-drill-a`` and so on.

    Raises
    ------
    InvalidOption
        If there is none; the message lists those there are.
    BrokerUnavailable
        If it needs a broker of its own, and RabbitMQ is not installed.
    """
    fault = catalogue.drill(id)
    while _open:
        _open.pop().close()
    _open.append(Drill(fault))
    return _open[-1]
