"""Everything at once: the case study's system running, watched, asked and broken in one place."""

from __future__ import annotations

from collections.abc import Callable

import ipywidgets as widgets

from rpclab.errors import InvalidOption, LabError
from rpclab.lab import Lab, current_lab
from rpclab.rpc.arithmetic import AddClient, FibonacciClient
from rpclab.rpc.case_study import PROCESSES, CaseStudy
from rpclab.rpc.queues import ADDITION_CALLBACK_QUEUE, FIBONACCI_CALLBACK_QUEUE
from rpclab.widgets import look
from rpclab.widgets.breaking import FAULTS, Breaking, Fault
from rpclab.widgets.callback_feed import CallbackFeed
from rpclab.widgets.commands import Command, Commands
from rpclab.widgets.message_flow import MessageFlow
from rpclab.widgets.queue_monitor import QueueMonitor
from rpclab.widgets.refresh import Refresher
from rpclab.widgets.request_panel import RequestPanel
from rpclab.widgets.worker_board import WorkerBoard

CALL_SECONDS = 5.0
WAIT_SECONDS = 60.0
STARTED, STOPPED = "Everything runs. Fire a request, or break something.", "Nothing runs yet. Press Start everything."


class ControlRoom(widgets.VBox):
    """The case study's whole system: two services, callback workers, a panel for each client, and what one can break.

    Whatever a button does, a method does as well, and both return at once; `wait` waits for the end.

    Parameters
    ----------
    lab : Lab, optional
        Where; the lab opened last if not given.
    count : int
        How many processes of each of the four kinds.

    Attributes
    ----------
    system : CaseStudy
        The processes.
    clients : list of RpcClient
        An `AddClient` and a `FibonacciClient`.
    addition, fibonacci : RequestPanel
        They fire requests to the two services.
    flow : MessageFlow
        The messages on their way.
    board : WorkerBoard
        The processes.
    queues : QueueMonitor
        The queues.
    addition_answers, fibonacci_answers : CallbackFeed
        What arrives on the two named callback queues.
    """

    _refresher = None

    def __init__(self, lab: Lab | None = None, *, count: int = PROCESSES):
        if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= 8:
            raise InvalidOption(f"count={count!r}: it is the number of processes of each kind, 1 to 8.")
        self._lab = lab or current_lab()
        self._count = count
        self.system = CaseStudy()
        self.clients = [
            client(parameters=self._lab.parameters, timeout=CALL_SECONDS) for client in (AddClient, FibonacciClient)
        ]
        self.addition, self.fibonacci = (RequestPanel(client, lab=self._lab) for client in self.clients)
        self._breaking = Breaking(self._lab, self.system, self.addition, self.fibonacci)
        self.flow = MessageFlow(self._lab)
        self.board = WorkerBoard(*self.system.pools, *self._breaking.broken, lab=self._lab)
        self.queues = QueueMonitor(self._lab)
        self.addition_answers, self.fibonacci_answers = (
            CallbackFeed(queue, lab=self._lab) for queue in (ADDITION_CALLBACK_QUEUE, FIBONACCI_CALLBACK_QUEUE)
        )
        self._said = STOPPED
        self._last: Command | None = None
        self._status = widgets.HTML()
        super().__init__(self._layout())
        self.add_class("rpclab-room")
        self._refresher = Refresher(self._render)
        self._commands = Commands(self._refresher.touch)
        self._render()

    def start(self) -> Command:
        """Start all processes, as a click on Start everything does."""
        return self._tell("start everything", lambda: self.system.start(self._count), STARTED)

    def stop(self) -> Command:
        """End all processes, as a click on Stop everything does."""

        def stop() -> None:
            self._breaking.stop()
            self.system.stop()

        return self._tell("stop everything", stop, STOPPED)

    def break_it(self, name: str) -> Command:
        """Break something, as a click on one of the buttons does.

        Parameters
        ----------
        name : str
            ``kill``, ``cut``, ``freeze``, ``forget``, ``twice`` or ``wrong id``.

        Raises
        ------
        InvalidOption
            If there is no such fault.
        """
        fault = next((fault for fault in FAULTS if fault.name == name), None)
        if fault is None:
            raise InvalidOption(f"break_it({name!r}): it is one of {', '.join(fault.name for fault in FAULTS)}.")
        return self._tell(fault.button.lower(), lambda: fault.cause(self._breaking), f"Look: {fault.look_for}")

    def mend(self) -> Command:
        """Undo what was broken, as a click on Mend everything does."""
        return self._tell("mend everything", lambda: self._breaking.mend(self._count), STARTED)

    def wait(self, timeout: float = WAIT_SECONDS) -> ControlRoom:
        """Return when all that the room was told to do is done, and no request is pending.

        Raises
        ------
        LabError
            If that takes more than so many seconds, or if the last thing failed.
        """
        self._commands.wait(timeout)
        if self._last and self._last.state == "failed":
            raise LabError(f"The control room could not {self._last.text}: {self._last.result}")
        for panel in (self.addition, self.fibonacci):
            panel.wait(timeout)
        return self

    def close(self) -> None:
        """Stop everything and remove the room; a second time does nothing."""
        # A room that could not be made is closed as well, by its finalizer.
        if self._refresher:
            refresher, self._refresher = self._refresher, None
            self._commands.close()
            self._breaking.stop()
            self.system.stop()
            refresher.close()
            for part in self._parts:
                part.close()
            for client in self.clients:
                client.close()
        super().close()

    def __str__(self) -> str:
        return "\n\n".join(f"{name}\n{part}" for name, part in (
            ("Requests to the addition service", self.addition),
            ("Requests to the Fibonacci service", self.fibonacci),
            ("Processes", self.board),
            ("Queues", self.queues),
        ))

    def __repr__(self) -> str:
        return f"ControlRoom({self._lab!r})"

    @property
    def _parts(self) -> list[widgets.Widget]:
        return [
            self.addition, self.fibonacci, self.flow, self.board, self.queues, self.addition_answers,
            self.fibonacci_answers,
        ]

    def _tell(self, text: str, action: Callable[[], None], said: str) -> Command:
        self._said = said
        self._last = self._commands.give(text, action)
        return self._last

    def _layout(self) -> list[widgets.Widget]:
        start = _button("Start everything", "primary", "Start the servers and the callback workers", self.start)
        stop = _button("Stop everything", "", "End all processes", self.stop)
        mend = _button("Mend everything", "success", "Undo what was broken", self.mend)
        faults = [self._fault_button(fault) for fault in FAULTS]
        ask = widgets.Tab([self.addition, self.fibonacci], titles=["Addition", "Fibonacci"])
        answers = widgets.Tab(
            [self.addition_answers, self.fibonacci_answers], titles=["addition_callback", "fibonacci_callback"]
        )
        return [
            _row(start, stop, self._status),
            _row(widgets.HTML("<b>Break it:</b>"), *faults, mend),
            _columns((self.flow, 3, 640), (widgets.VBox([ask, self.queues]), 2, 520)),
            _columns((self.board, 3, 640), (answers, 2, 520)),
        ]

    def _fault_button(self, fault: Fault) -> widgets.Button:
        return _button(fault.button, "warning", fault.look_for, lambda: self.break_it(fault.name))

    def _render(self) -> None:
        self._status.value = look.note(self._commands.line or self._said)


def _button(text: str, style: str, tooltip: str, action: Callable[[], object]) -> widgets.Button:
    button = widgets.Button(
        description=text, button_style=style, tooltip=tooltip, layout=widgets.Layout(width="auto")
    )
    button.on_click(lambda _: action())
    return button


def _row(*children: widgets.Widget) -> widgets.Box:
    return widgets.Box(children, layout=widgets.Layout(flex_flow="row wrap", align_items="center"))


def _columns(*parts: tuple[widgets.Widget, int, int]) -> widgets.Box:
    """Lay parts out side by side, as wide as told in proportion, or below one another where there is no room."""
    for part, share, least in parts:
        part.layout.flex = f"{share} 1 {least}px"
        part.layout.min_width = "0"
    return widgets.Box(
        [part for part, _, _ in parts], layout=widgets.Layout(flex_flow="row wrap", align_items="flex-start")
    )
