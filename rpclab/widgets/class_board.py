"""A class on one broker, live, for its teacher: who is connected, to which lesson, and who is stuck or gone."""

from __future__ import annotations

import threading

import ipywidgets as widgets

from rpclab.broker.find import find
from rpclab.classroom.status import COLUMNS, NOW, ClassStatus
from rpclab.errors import LabError
from rpclab.table import Table
from rpclab.widgets import look
from rpclab.widgets.refresh import Refresher

POLL_SECONDS = 2.0
ANSWER_SECONDS = 15.0


class ClassBoard(widgets.VBox):
    """A row for each learner of a class: connections, lesson, queues, messages, and when they were last active.

    It is for the teacher, and asks the broker that ``RPCLAB_BROKER`` names, every two seconds as long as it is open.
    Connections show up to five seconds late.

    Parameters
    ----------
    class_name : str
        The class, as it was named when it was made; the one without a name if not given.
    """

    _poller = None

    def __init__(self, class_name: str = ""):
        self._class = class_name
        self._status = ClassStatus(find(), class_name)
        self._table = Table(COLUMNS, (), empty="(no learners)")
        self._trouble = ""
        self._wanted = self._answered = 0
        self._changed = threading.Condition()
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._rows = widgets.HTML()
        self._line = widgets.HTML()
        super().__init__([widgets.HTML(look.title("Class", class_name or "(without a name)")), self._rows, self._line])
        self.add_class("rpclab-card")
        self._refresher = Refresher(self._render)
        self._poller = threading.Thread(target=self._poll, name="rpclab class", daemon=True)
        self._poller.start()

    def table(self) -> Table:
        """Return the class as it is now, or if the broker does not answer, as it was last."""
        with self._changed:
            self._wanted += 1
            mine = self._wanted
            self._wake.set()
            self._changed.wait_for(lambda: self._answered >= mine or self._closing.is_set(), ANSWER_SECONDS)
            return self._table

    @property
    def trouble(self) -> str:
        """Why there was no answer the last time; empty if there was."""
        with self._changed:
            return self._trouble

    def close(self) -> None:
        """Remove the board and end its threads and connections; a second time does nothing."""
        # A board that could not be made is closed as well, by its finalizer.
        if self._poller:
            self._closing.set()
            self._wake.set()
            self._poller.join()
            self._refresher.close()
        super().close()

    def __str__(self) -> str:
        table = self.table()
        return f"{self.trouble}\n{table!r}" if self.trouble else repr(table)

    def __repr__(self) -> str:
        return f"ClassBoard({self._class!r})" if self._class else "ClassBoard()"

    # The board's own thread calls what follows; the last one, the refresher's.

    def _poll(self) -> None:
        with self._status as status:
            while not self._closing.is_set():
                self._wake.clear()
                wanted = self._wanted
                try:
                    table, trouble = status.ask(), ""
                except LabError as error:
                    table, trouble = None, str(error)
                self._take(table, trouble, wanted)
                self._wake.wait(POLL_SECONDS)
        with self._changed:
            self._changed.notify_all()

    def _take(self, table: Table | None, trouble: str, wanted: int) -> None:
        with self._changed:
            if table is not None:
                self._table = table
            self._trouble, self._answered = trouble, wanted
            self._changed.notify_all()
        self._refresher.touch()

    def _render(self) -> None:
        with self._changed:
            table, trouble = self._table, self._trouble
        self._rows.value = look.table(COLUMNS, ([_cell(column, row[column]) for column in COLUMNS] for row in table))
        connected = sum(1 for row in table if row["connections"])
        self._line.value = look.note(trouble or f"{connected} of {len(table)} learners are connected.")


def _cell(column: str, value: object) -> str:
    if value is None:
        return "-"
    if column == "last activity" and value == NOW:
        return look.label("good", NOW)
    return look.text(value)
