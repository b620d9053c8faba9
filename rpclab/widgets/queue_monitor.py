"""The queues of a lab, live: how many messages are ready and unacked in each, and how many consumers it has."""

from __future__ import annotations

import time

import ipywidgets as widgets

from rpclab.broker.live import LiveQueues
from rpclab.lab import Lab, current_lab
from rpclab.table import Table
from rpclab.widgets import look
from rpclab.widgets.commands import Command, Commands
from rpclab.widgets.poller import Poller
from rpclab.widgets.queue_row import QueueRow
from rpclab.widgets.refresh import Refresher

POLL_SECONDS = 0.22
RETRY_SECONDS = 0.5
WAIT_SECONDS = 30.0
ROWS_SHOWN = 30
LEGEND = "<div class='rpclab-note rpclab-legend'><i class='ready'></i> ready <i class='unacked'></i> unacked</div>"


class QueueMonitor(widgets.VBox):
    """A row for each queue of a lab, with a bar, its figures, the last half minute, and a button to purge it.

    The broker is asked about four times a second as long as the monitor is open. To the broker, being asked for a
    queue's counts is a use of the queue: a queue that expires when it is not used does not do so under a monitor.

    Parameters
    ----------
    lab : Lab, optional
        Whose queues; those of the lab opened last if not given.

    Notes
    -----
    https://www.rabbitmq.com/docs/ttl#queue-ttl
    """

    _poller = None

    def __init__(self, lab: Lab | None = None):
        self._lab = lab or current_lab()
        self._widgets: list[QueueRow] = []
        self._space = widgets.VBox()
        self._line = widgets.HTML()
        super().__init__([widgets.HTML(look.title("Queues of lab", self._lab.name) + LEGEND), self._space, self._line])
        self.add_class("rpclab-card")
        self._refresher = Refresher(self._render)
        self._commands = Commands(self._refresher.touch)
        queues = LiveQueues(self._lab.broker, self._lab.vhost)
        self._poller = Poller(
            "rpclab monitor", lambda: list(self._lab.queue_table(queues.ask())), [], self._refresher.touch,
            seconds=POLL_SECONDS, seconds_in_trouble=RETRY_SECONDS, opened=queues,
        )
        self._poller.start()

    def purge(self, queue: str) -> Command:
        """Delete the messages that are ready in a queue, as a click on Purge and Yes does, and return at once.

        Parameters
        ----------
        queue : str
            Its name as the monitor shows it, or its real one.

        Returns
        -------
        Command
            Its ``result`` is how many messages there were, once `wait` has returned; or why it did not work.
        """
        return self._give(queue, queue)

    def wait(self, timeout: float = WAIT_SECONDS) -> QueueMonitor:
        """Return when all that the monitor was told to do has been done, or has failed.

        Raises
        ------
        LabError
            If something has not after so many seconds.
        """
        self._commands.wait(timeout)
        return self

    def table(self) -> Table:
        """Return the queues as `Lab.queues` does: true now, or if the broker does not answer, as they were last."""
        rows, _ = self._poller.ask_now()
        return Table(("name", "ready", "unacked", "consumers"), rows, empty="(no queues)")

    @property
    def trouble(self) -> str:
        """Why the broker did not answer the last time; empty if it did."""
        return _told(self._poller.last[1])

    def close(self) -> None:
        """Remove the monitor and end its threads and connections; a second time does nothing."""
        # A monitor that could not be made is closed as well, by its finalizer.
        if self._poller:
            self._commands.close()
            self._poller.close()
            self._refresher.close()
        super().close()

    def __str__(self) -> str:
        table = self.table()
        return f"{self.trouble}\n{table!r}" if self.trouble else repr(table)

    def __repr__(self) -> str:
        return f"QueueMonitor({self._lab!r})"

    def _give(self, shown: str, queue: str) -> Command:
        return self._commands.give(f"purge {shown}", lambda: self._purge(queue))

    def _purge(self, queue: str) -> int:
        count = self._lab.purge(queue)
        self._poller.wake()
        return count

    # The refresher's thread calls what follows.

    def _render(self) -> None:
        rows, trouble = self._poller.last
        trouble = _told(trouble)
        shown = self._assigned(rows[:ROWS_SHOWN])
        full = max([10, *(row.most for row in shown)])
        for place, row in enumerate(shown):
            row.show(full, place)
        said = [trouble, self._commands.line]
        if len(rows) > ROWS_SHOWN:
            said.append(f"{len(rows)} queues; the first {ROWS_SHOWN} are shown.")
        if not rows and not trouble:
            said.append("No queues yet.")
        self._line.value = "".join(look.note(each) for each in said if each)

    def _assigned(self, rows: list[dict]) -> list[QueueRow]:
        """Return a widget for each row, the one that it had if it had one, and hide those that are left over.

        None is ever taken out, because a browser would build those after it anew, under somebody's mouse.
        """
        now = time.monotonic()
        known = {row.queue: row for row in self._widgets if row.queue}
        free = [row for row in self._widgets if row.queue not in {each["queue"] for each in rows}]
        shown, fresh = [], []
        for each in rows:
            row = known.get(each["queue"]) or (free.pop() if free else None)
            if row is None:
                row = QueueRow(self._give)
                fresh.append(row)
            row.take(each, now)
            shown.append(row)
        for row in free:
            row.hide()
        if fresh:
            self._widgets += fresh
            self._space.children = tuple(self._widgets)
        return shown


def _told(trouble: str) -> str:
    return f"The broker does not answer: {trouble}" if trouble else ""
