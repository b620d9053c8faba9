"""A board of worker processes: what each is doing, and buttons to add, stop, kill and pause them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress

import ipywidgets as widgets

from rpclab.errors import InvalidName, InvalidOption
from rpclab.lab import Lab, current_lab
from rpclab.rpc.worker import Worker
from rpclab.rpc.workers import MOST, Workers
from rpclab.table import Table
from rpclab.widgets import look
from rpclab.widgets.commands import Command, Commands
from rpclab.widgets.refresh import Refresher
from rpclab.widgets.worker_card import WorkerCard, doing
from rpclab.wire.work import Work

# What only the operating system knows, and how long a request takes, is looked at so often.
TICK_SECONDS = 0.25
WAIT_SECONDS = 30.0
# Of all cards together; the notebook's server drops what a kernel sends above 1,000 messages a second.
CARDS_PER_SECOND = 200
ENDED_SHOWN = 6


class WorkerBoard(widgets.VBox):
    """A card for each process of some `Workers`: its state, what it works on, what it has done, and what it printed.

    What a process works on is read off the lab's connections, so it is true of any class that `Workers` runs. ``done``
    counts the deliveries that it acknowledged, ``redelivered`` those that another one had before. Closing the board
    leaves the processes alone.

    Parameters
    ----------
    *workers : Workers
        The processes to show, one `Workers` or more.
    lab : Lab, optional
        The lab whose queues they serve; the one opened last if not given.
    """

    _work = None

    def __init__(self, *workers: Workers, lab: Lab | None = None):
        if not workers or not all(isinstance(each, Workers) for each in workers) or len(set(workers)) < len(workers):
            raise InvalidOption(
                f"WorkerBoard({', '.join(map(repr, workers))}): it takes one or more Workers, each of them once, as in "
                "rpclab.WorkerBoard(workers)."
            )
        self._lab = lab or current_lab()
        self._lab.exchanges()  # one that was closed says so here, before there is anything to close again
        self._workers = workers
        self._closing = threading.Event()
        self._refresher = Refresher(self._render)
        self._commands = Commands(self._refresher.touch)
        self._groups = [_Group(each, self, index) for index, each in enumerate(workers)]
        self._line = widgets.HTML()
        super().__init__([*self._groups, self._line])
        self.add_class("rpclab-card")
        self._work = Work(self._lab.story, self._lab.tap, self._refresher.touch)
        self._ticker = threading.Thread(target=self._tick, name="rpclab board", daemon=True)
        self._ticker.start()

    def stop(self, name: str) -> Command:
        """Ask a process to end, as a click on its Stop does, and return at once; `wait` waits until it has.

        Raises
        ------
        InvalidName
            If no process on the board has this name, or several that run have it.
        """
        return self._tell("stop", self._named(name))

    def kill(self, name: str) -> Command:
        """End a process at once with SIGKILL; see `stop` for the rest."""
        return self._tell("kill", self._named(name))

    def pause(self, name: str) -> Command:
        """Put a process on hold with SIGSTOP; see `stop` for the rest."""
        return self._tell("pause", self._named(name))

    def resume(self, name: str) -> Command:
        """Have a paused process go on; see `stop` for the rest."""
        return self._tell("resume", self._named(name))

    def add(self, index: int = 0) -> Command:
        """Start one more process of the board's first `Workers`, or of another one; see `stop` for the rest."""
        workers = self._group(index)
        return self._commands.give(f"add a process to {workers.name}", workers.start_one)

    def scale(self, count: int, index: int = 0) -> Command:
        """Start or stop processes until so many run; see `stop` for the rest."""
        workers = self._group(index)
        return self._commands.give(f"scale {workers.name} to {count}", lambda: workers.scale(count))

    def wait(self, timeout: float = WAIT_SECONDS) -> WorkerBoard:
        """Return when all that the board was told to do has been done, or has failed.

        Raises
        ------
        LabError
            If something has not after so many seconds.
        """
        self._commands.wait(timeout)
        return self

    def table(self) -> Table:
        """Return name, state, and the counts of deliveries done and redelivered of each process."""
        # Of a lab that was closed there is nothing more to come.
        with suppress(RuntimeError):
            self._lab.tap.catch_up()
        records = [(worker, self._work.of(worker.pid)) for workers in self._workers for worker in workers]
        rows = [
            {
                "name": worker.name,
                "state": doing(worker, record),
                "done": record.done,
                "redelivered": record.redelivered,
            }
            for worker, record in records
        ]
        return Table(("name", "state", "done", "redelivered"), rows, empty="(no processes)")

    def close(self) -> None:
        """Remove the board and end its threads; the processes go on. A second time does nothing."""
        # A board that could not be made is closed as well, by its finalizer.
        if self._work:
            self._closing.set()
            self._work.close()
            self._ticker.join()
            self._commands.close()
            self._refresher.close()
        super().close()

    def __str__(self) -> str:
        return repr(self.table())

    def __repr__(self) -> str:
        return f"WorkerBoard({', '.join(workers.name for workers in self._workers)})"

    def _group(self, index: int) -> Workers:
        if isinstance(index, bool) or not isinstance(index, int) or not 0 <= index < len(self._workers):
            raise InvalidOption(f"index={index!r}: the board shows {len(self._workers)} Workers, counted from 0.")
        return self._workers[index]

    def _named(self, name: str) -> Worker:
        found = [worker for workers in self._workers for worker in workers if worker.name == name]
        running = [worker for worker in found if worker.alive]
        if len(running) > 1:
            raise InvalidName(f"{len(running)} processes are called {name!r}. Use Workers(..., name=...).")
        if not found:
            names = ", ".join(worker.name for workers in self._workers for worker in workers) or "none"
            raise InvalidName(f"No process on the board is called {name!r}. Its processes: {names}.")
        return (running or found)[0]

    def _tell(self, what: str, worker: Worker) -> Command:
        return self._commands.give(f"{what} {worker.name}", _DEEDS[what](worker))

    def _tick(self) -> None:
        while not self._closing.wait(TICK_SECONDS):
            self._refresher.touch()

    def _render(self) -> None:
        if self._work is None:
            return
        changed = sum(group.show(self._work) for group in self._groups)
        line = self._commands.line
        self._line.value = look.note(line) if line else ""
        self._closing.wait(changed / CARDS_PER_SECOND)


class _Group(widgets.VBox):
    """The cards of one `Workers`, under its name and the buttons that add processes."""

    def __init__(self, workers: Workers, board: WorkerBoard, index: int):
        self.workers = workers
        self._board = board
        self._cards: dict[Worker, WorkerCard] = {}
        self.add_button = look.button("Add one", "Start one more process", style="primary")
        self.add_button.on_click(lambda _: board.add(index))
        self.count = widgets.BoundedIntText(
            value=len(workers.pids), min=0, max=MOST, layout=widgets.Layout(width="64px"),
            description=f"Processes of {workers.name}",
        )
        self.count.add_class("rpclab-unlabelled")
        self._offered = self.count.value
        self.scale_button = look.button("Scale to", "Start or stop processes until so many run")
        self.scale_button.on_click(lambda _: board.scale(self.count.value, index))
        self._heading = widgets.HTML(look.title("Processes of", workers.name))
        buttons = widgets.HBox([self._heading, self.add_button, self.scale_button, self.count])
        buttons.add_class("rpclab-buttons")
        self._space = widgets.Box()
        self._space.add_class("rpclab-workers")
        self._note = widgets.HTML()
        super().__init__([buttons, self._space, self._note])

    def show(self, work: Work) -> int:
        """Bring the cards up to date; return how many there was anything to change about."""
        workers = list(self.workers)
        fresh = [worker for worker in workers if worker not in self._cards]
        for worker in fresh:
            self._cards[worker] = WorkerCard(worker, self._board._tell)
        changed = sum(card.show(work.of(worker.pid)) for worker, card in self._cards.items())
        hidden = [worker for worker in workers if not worker.alive][:-ENDED_SHOWN]
        for worker in hidden:
            # Hidden and not removed: taking a card out makes a browser build those after it anew, under the mouse.
            self._cards[worker].layout.display = "none"
        if fresh:
            self._space.children = tuple(self._cards.values())
        if self.count.value == self._offered:
            # Unless somebody has typed another number there.
            self.count.value = self._offered = len(self.workers.pids)
        self._note.value = look.note(f"{len(hidden)} that ended before are not shown.") if hidden else ""
        return changed


_DEEDS: dict[str, Callable[[Worker], Callable[[], None]]] = {
    "stop": lambda worker: worker.stop,
    "kill": lambda worker: worker.kill,
    "pause": lambda worker: worker.pause,
    "resume": lambda worker: worker.resume,
}
