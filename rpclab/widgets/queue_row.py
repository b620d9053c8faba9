"""One queue on a `QueueMonitor`: its figures, and a button that purges it after having asked."""

from __future__ import annotations

import time
from collections.abc import Callable

import ipywidgets as widgets

from rpclab.widgets import look
from rpclab.widgets.queue_history import History, bar


class QueueRow(widgets.HBox):
    """A row for one queue; taken for another one when the queue is gone.

    Parameters
    ----------
    purge : callable
        Takes a queue's name as it is shown, and its real one; called when somebody has said yes.
    """

    def __init__(self, purge: Callable[[str, str], object]):
        self.queue = ""
        self._row: dict = {}
        self._asked: tuple[str, str] = ("", "")
        self._history = History()
        self._text = widgets.HTML(layout=widgets.Layout(flex="1 1 430px", min_width="0"))
        self.purge_button = look.button("Purge \u2026", "Delete the messages that are ready in this queue")
        self.yes_button = look.button("Yes", "Delete them", style="danger")
        self.no_button = look.button("No", "Leave them there")
        self._question = widgets.HTML()
        self._asking = widgets.HBox(
            [self._question, self.yes_button, self.no_button], layout=widgets.Layout(align_items="center"),
        )
        self.purge_button.on_click(lambda _: self._ask(True))
        self.no_button.on_click(lambda _: self._ask(False))
        self.yes_button.on_click(lambda _: (self._ask(False), purge(*self._asked)))
        super().__init__([self._text, self.purge_button, self._asking])
        self.add_class("rpclab-queue")
        self._ask(False)

    def take(self, row: dict, now: float) -> None:
        """Take note of the queue's figures; the row becomes that queue's if it was another one's."""
        if row["queue"] != self.queue:
            self.queue, self._history = row["queue"], History()
            self._ask(False)
        self._row = row
        self._history.add(now, _total(row))

    @property
    def most(self) -> int:
        """The most messages that the queue has held in the last half minute."""
        return self._history.most

    def show(self, full: int, place: int) -> None:
        """Bring the row up to date.

        Parameters
        ----------
        full : int
            How many messages fill the bar.
        place : int
            Which row it is from above.
        """
        row, name = self._row, look.text(self._row["name"], 80)
        consumers = "consumer" if row["consumers"] == 1 else "consumers"
        figures = "".join(
            f"<span><b>{'-' if row[column] is None else row[column]}</b> {said}</span>"
            for column, said in (("ready", "ready"), ("unacked", "unacked"), ("consumers", consumers))
        )
        self._text.value = (
            f"<div class='rpclab-queue-text'><code title='{name}'>{name}</code>"
            f"{bar(row['ready'] or 0, row['unacked'] or 0, full)}{figures}{self._history.svg(time.monotonic())}</div>"
        )
        count = row["ready"] or 0
        self._question.value = look.note(f"Really purge {count} message{'' if count == 1 else 's'}?")
        # Rows keep their places among the widgets, and stand where their names belong.
        self.layout.order = str(place)
        self.layout.display = None

    def hide(self) -> None:
        """Show nothing, since the queue is gone."""
        self.queue = ""
        self._ask(False)
        self.layout.display = "none"

    def _ask(self, asking: bool) -> None:
        if asking:
            # A yes that is on its way while the row becomes another queue's is meant for this one.
            self._asked = self._row["name"], self._row["queue"]
        self._asking.layout.display = None if asking else "none"
        self.purge_button.layout.display = "none" if asking else None


def _total(row: dict) -> int:
    return (row["ready"] or 0) + (row["unacked"] or 0)
