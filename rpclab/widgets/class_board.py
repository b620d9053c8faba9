"""A class on one broker, live, for its teacher: who is connected, to which lesson, and who is stuck or absent."""

from __future__ import annotations

import ipywidgets as widgets

from rpclab import theme
from rpclab.broker.find import find
from rpclab.classroom.status import COLUMNS, NOW, ClassStatus
from rpclab.table import Table
from rpclab.widgets.poller import Poller
from rpclab.widgets.refresh import Refresher

POLL_SECONDS = 2.0


class ClassBoard(widgets.VBox):
    """A row for each learner of a class: connections, lesson, queues, messages, and when they were last active.

    It is for the teacher, and reads the broker that ``RPCLAB_BROKER`` names, every two seconds while it is open.
    Connections show up to five seconds late.

    Parameters
    ----------
    class_name : str
        The class's name; the class without a name if not given.
    """

    _poller: Poller[Table]

    def __init__(self, class_name: str = ""):
        self._class = class_name
        self._status = ClassStatus(find(), class_name)
        self._rows = widgets.HTML()
        self._line = widgets.HTML()
        super().__init__([widgets.HTML(theme.title("Class", class_name or "(without a name)")), self._rows, self._line])
        self.add_class("rpclab-card")
        self._refresher = Refresher(self._render)
        self._poller = Poller(
            "rpclab class", self._status.ask, Table(COLUMNS, (), empty="(no learners)"), self._refresher.touch,
            seconds=POLL_SECONDS, seconds_in_trouble=POLL_SECONDS, opened=self._status,
        )
        self._poller.start()

    def table(self) -> Table:
        """Return the class as it is now, or as it was last if the broker does not answer."""
        return self._poller.ask_now()[0]

    @property
    def trouble(self) -> str:
        """Why the broker did not answer the last time; empty if it did."""
        return self._poller.last[1]

    def close(self) -> None:
        """Remove the board and end its threads and connections; calling it again has no effect."""
        # The finalizer also closes a board whose __init__ failed.
        if "_poller" in vars(self):
            self._poller.close()
            self._refresher.close()
        super().close()

    def __str__(self) -> str:
        table = self.table()
        return f"{self.trouble}\n{table!r}" if self.trouble else repr(table)

    def __repr__(self) -> str:
        return f"ClassBoard({self._class!r})" if self._class else "ClassBoard()"

    # The refresher's thread calls what follows.

    def _render(self) -> None:
        table, trouble = self._poller.last
        self._rows.value = theme.table(COLUMNS, ([_cell(column, row[column]) for column in COLUMNS] for row in table))
        connected = sum(1 for row in table if row["connections"])
        self._line.value = theme.note(trouble or f"{connected} of {len(table)} learners are connected.")


def _cell(column: str, value: object) -> str:
    if value is None:
        return "-"
    if column == "last activity" and value == NOW:
        return theme.label("good", NOW)
    return theme.text(value)
