"""The case study's whole system in one picture: run it, send requests, break it, repair it, wind it back."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import traitlets

from rpclab.case_study import PROCESSES, CaseStudy
from rpclab.errors import InvalidName, InvalidOption, LabError
from rpclab.findings import diagnose
from rpclab.lab import Lab, current_lab
from rpclab.operate import request_view
from rpclab.operate.arrivals import Arrivals
from rpclab.operate.breaking import CUT, FREEZE, Breaking, fault_named
from rpclab.operate.commands import Command
from rpclab.operate.crew import Crew
from rpclab.operate.desk import Desk
from rpclab.operate.request_log import Request
from rpclab.rpc.arithmetic import AddClient, FibonacciClient
from rpclab.rpc.protocol import ADDITION_CALLBACK_QUEUE, FIBONACCI_CALLBACK_QUEUE
from rpclab.story.board import Place
from rpclab.widgets import control_room_boxes as boxes
from rpclab.widgets import control_room_tables as tables
from rpclab.widgets.message_flow import MessageFlow
from rpclab.widgets.refresh import Refresher
from rpclab.widgets.request_panel import Look

CALL_SECONDS = 5.0
WAIT_SECONDS = 60.0
ROWS_SHOWN, LINES_SHOWN, ANSWERS_SHOWN = 40, 3, 2
DIAGNOSED = 200  # messages, the last ones, which takes a few milliseconds
STARTED, STOPPED = "Everything runs. Fire a request, or break something.", "Nothing runs yet. Press Start everything."


class ControlRoom(MessageFlow):
    """The case study's whole system: two services, callback workers, two clients, and faults to inject.

    Each button has a method that does the same, and both return at once; `wait` waits for the end.

    Parameters
    ----------
    lab : Lab, optional
        The lab that it runs in; the one opened last if not given.
    count : int
        Number of processes of each of the four kinds.

    Attributes
    ----------
    system : CaseStudy
        The processes.
    clients : list of RpcClient
        An `AddClient` and a `FibonacciClient`.
    addition, fibonacci : Desk
        Their requests.
    addition_answers, fibonacci_answers : Arrivals
        The messages on the two named callback queues.
    """

    _tabs: Mapping[str, str] = {
        "requests": "Requests", "callbacks": "Callbacks", "printed": "Printed", "findings": "Findings",
        "message": "Message",
    }
    _crew: Crew
    _most = 64

    desk = traitlets.Dict().tag(sync=True)

    def __init__(self, lab: Lab | None = None, *, count: int = PROCESSES):
        if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= 8:
            raise InvalidOption(f"count={count!r}: it is the number of processes of each kind, 1 to 8.")
        lab = lab or current_lab()
        self._count = count
        self.system = CaseStudy()
        self.clients = [kind(parameters=lab.parameters, timeout=CALL_SECONDS) for kind in (AddClient, FibonacciClient)]
        self._desks = {type(client).__name__: Desk(client, None, lab, self._changed_desk) for client in self.clients}
        self.addition, self.fibonacci = self._desks.values()
        self._look = Look(self.addition, self.fibonacci)
        self._breaking = Breaking(lab, self.system, self.addition, self.fibonacci)
        self.addition_answers, self.fibonacci_answers = (
            Arrivals(queue, lab, self._touch) for queue in (ADDITION_CALLBACK_QUEUE, FIBONACCI_CALLBACK_QUEUE)
        )
        self._said = STOPPED
        self._last: Command | None = None
        super().__init__(lab)
        self._crew = Crew(lab, (*self.system.pools, *self._breaking.broken), self._touch)
        self._acts = {
            **self._acts, "start": self.start, "stop": self.stop, "repair": self.repair, "break_it": self.break_it,
            "kill": self.kill, "pause": self.pause, "resume": self.resume, "stop_one": self.stop_one,
            "start_one": self.start_one, "purge": self.purge, "cut": self.cut, "freeze": self.freeze,
            "fire": lambda client, *typed: self.fire(client, *self._desk(client).read(typed)),
            "burst": lambda client, count, *typed: self.burst(client, int(count), *self._desk(client).read(typed)),
            "steady": lambda client, rate, *typed: self._desk(client).toggle(rate, typed),
            "typed": lambda client, *typed: self._desk(client).read(typed),
        }
        self._quick = Refresher(self._render_desk, together=0)
        self._changed_desk()
        self._touch()

    def start(self) -> Command:
        """Start all processes, as a click on Start everything does."""
        return self._give("start everything", lambda: self.system.start(self._count), STARTED)

    def stop(self) -> Command:
        """Stop all processes, as a click on Stop everything does."""

        def stop() -> None:
            self._breaking.stop()
            self.system.stop()

        return self._give("stop everything", stop, STOPPED)

    def break_it(self, name: str) -> Command:
        """Inject a fault, and send a request that meets it.

        Parameters
        ----------
        name : str
            ``kill``, ``cut``, ``freeze``, ``forget``, ``twice`` or ``wrong id``.

        Raises
        ------
        InvalidOption
            If there is no such fault.
        """
        fault = fault_named(name)
        return self._give(fault.button.lower(), lambda: fault.cause(self._breaking), f"Look: {fault.look_for}")

    def repair(self) -> Command:
        """Undo all faults, as a click on Repair everything does."""
        return self._give("repair everything", lambda: self._breaking.repair(self._count), STARTED)

    def kill(self, name: str) -> Command:
        """Kill a process at once with SIGKILL, as a click on its kill -9 does.

        Raises
        ------
        InvalidName
            If there is no such process.
        """
        return self._noted(self._crew.tell("kill", name), f"Look: {name} is dead. Its unacked messages are requeued.")

    def pause(self, name: str) -> Command:
        """Pause a process with SIGSTOP; see `kill` for the rest."""
        return self._noted(self._crew.tell("pause", name), f"Look: {name} does nothing, and keeps its messages.")

    def resume(self, name: str) -> Command:
        """Resume a paused process with SIGCONT; see `kill` for the rest."""
        return self._noted(self._crew.tell("resume", name), STARTED)

    def stop_one(self, name: str) -> Command:
        """Ask a process to stop after the requests in hand; see `kill` for the rest."""
        return self._noted(self._crew.tell("stop", name), f"{name} finishes the requests in hand, and stops.")

    def start_one(self, servers: str) -> Command:
        """Start one more process of a kind, such as ``FibonacciServer``."""
        return self._noted(self._crew.start_one(servers), STARTED)

    def purge(self, queue: str) -> Command:
        """Delete the ready messages of a queue; the command's ``result`` is their number."""
        return self._give(f"purge {self._recorder.shown(queue)}", lambda: self._lab.purge(queue), "Look: purged.")

    def cut(self, client: str) -> Command:
        """Cut the connection of a client, ``AddClient`` or ``FibonacciClient``, with a TCP reset."""
        self._desk(client)
        return self._give(f"cut {client}", lambda: self._breaking.cut(client), f"Look: {CUT}")

    def freeze(self, client: str) -> Command:
        """Hold back all replies to a client until `repair`."""
        self._desk(client)
        return self._give(f"freeze the replies to {client}", lambda: self._breaking.freeze(client), f"Look: {FREEZE}")

    def fire(self, client: str, *arguments: object) -> Request:
        """Send one request: ``room.fire("AddClient", 3, 5)``."""
        return self._desk(client).fire(*arguments)

    def burst(self, client: str, count: int, *arguments: object) -> Desk:
        """Send many requests at once; see `Desk.burst`."""
        return self._desk(client).burst(count, *arguments)

    def steady(
        self, client: str, *arguments: object, per_second: float | None = None, seconds: float | None = None
    ) -> Desk:
        """Send requests at a steady rate, until you call ``stop()`` of the returned desk; see `Desk.steady`."""
        return self._desk(client).steady(*arguments, per_second=per_second, seconds=seconds)

    def wait(self, timeout: float = WAIT_SECONDS, **totals: int) -> ControlRoom:
        """Return when all commands of the room have run, and no request is pending.

        Parameters
        ----------
        timeout : float
            Seconds to wait at most.
        **totals : int
            Totals to wait for, too; see `MessageFlow.wait`.

        Raises
        ------
        LabError
            If that takes too long, or the last command failed.
        """
        deadline = time.monotonic() + timeout
        self._crew.commands.wait(timeout)
        if self._last and self._last.state == "failed":
            raise LabError(f"The control room could not {self._last.text}: {self._last.result}")
        for desk in self._desks.values():
            desk.wait(max(0.0, deadline - time.monotonic()))
        if totals:
            super().wait(timeout=max(0.0, deadline - time.monotonic()), **totals)
        return self

    def close(self) -> None:
        """Stop everything; the picture stays as it is. Calling it again has no effect."""
        # The finalizer also closes a room whose __init__ failed.
        if self._closing or "_crew" not in vars(self):
            return
        self._crew.close()
        self._breaking.stop()
        self.system.stop()
        for desk in self._desks.values():
            desk.shut()
        for answers in (self.addition_answers, self.fibonacci_answers):
            answers.end()
        self._quick.close()
        super().close()
        for client in self.clients:
            client.close()

    def __str__(self) -> str:
        return "\n\n".join(f"{name}\n{part}" for name, part in (
            ("Requests to the addition service", self.addition),
            ("Requests to the Fibonacci service", self.fibonacci),
            ("Processes", self._crew.table()),
            ("Messages", super().__str__()),
        ))

    def _desk(self, client: str) -> Desk:
        if client not in self._desks:
            raise InvalidName(f"The control room has no client {client!r}: use {' or '.join(self._desks)}.")
        return self._desks[client]

    def _give(self, text: str, action: Callable[[], object], said: str) -> Command:
        return self._noted(self._crew.commands.give(text, action), said)

    def _noted(self, command: Command, said: str) -> Command:
        self._last, self._said = command, said
        self._touch()
        return command

    def _changed_desk(self) -> None:
        # The update that waits for a quick answer shows this change, too.
        if not self._look.waiting and "_quick" in vars(self):
            self._quick.touch()

    def _render_desk(self) -> None:
        self._look.wait()
        self.desk = {
            name: {"running": desk.running, "answers": list(map(request_view.line, desk.last(ANSWERS_SHOWN)[::-1]))}
            for name, desk in self._desks.items()
        }
        if self.opened == "requests":
            self._touch()

    # The refresher's thread calls what follows.

    def _more(self) -> Mapping[Place, str]:
        if "_crew" not in vars(self):
            return {}
        with self._changed:
            self._recorder.note_processes(time.monotonic(), self._crew.states())
        return boxes.places(self.system, self._crew, self._desks)

    def _dress(self, scene: dict) -> None:
        """Give the boxes their buttons."""
        if "_crew" not in vars(self):
            return
        scene["room"] = True
        line = self._crew.commands.line
        scene["status"] = scene["status"] or self._trouble or line or self._said
        scene["bad"] = bool(self._trouble) or line.startswith("\u2715")
        scene["acts"] = boxes.acts_on_everything()
        scene["groups"] = boxes.groups(self.system)
        if scene["time"]["live"]:
            for box in scene["boxes"]:
                boxes.add_acts(box, self._desks, self._recorder.world)

    def _drawer(self, tab: str) -> dict:
        if tab == "requests":
            return {"table": request_view.table_of(self._desks, ROWS_SHOWN)}
        if tab == "callbacks":
            return {"table": tables.callbacks((self.addition_answers, self.fibonacci_answers), ROWS_SHOWN)}
        if tab == "printed":
            return {"table": tables.printed(self._crew, LINES_SHOWN)}
        if tab == "findings":
            return {"table": tables.findings(diagnose(self._lab.story, last=DIAGNOSED))}
        return super()._drawer(tab)
