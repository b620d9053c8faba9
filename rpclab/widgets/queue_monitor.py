"""The queues of a lab, live: how many messages are ready and unacked in each, and how many consumers it has."""

from __future__ import annotations

from rpclab.broker.inventory import LiveQueues
from rpclab.lab import Lab, current_lab
from rpclab.operate.commands import Command, Commands
from rpclab.operate.request_view import shown
from rpclab.table import Table
from rpclab.widgets.pane import Pane, act
from rpclab.widgets.poller import Poller

POLL_SECONDS = 0.22
RETRY_SECONDS = 0.5
WAIT_SECONDS = 30.0
ROWS_SHOWN = 30
# The least number of messages that fills a bar.
FULL = 10


class QueueMonitor(Pane):
    """A row for each queue of a lab: a bar, its numbers, and a button to purge it, which asks first.

    While it is open, the monitor reads the counts from the broker about four times a second. The broker takes that for
    a use of the queue: a queue that expires when it is not used does not expire under a monitor.

    Parameters
    ----------
    lab : Lab, optional
        The lab whose queues it shows; the one opened last if not given.

    Notes
    -----
    https://www.rabbitmq.com/docs/ttl#queue-ttl
    """

    _poller: Poller[list[dict]]

    def __init__(self, lab: Lab | None = None):
        self._lab = lab or current_lab()
        self._acts = {"purge": self._purge_clicked}
        super().__init__()
        self._commands = Commands(self._touch)
        queues = LiveQueues(self._lab.broker, self._lab.vhost)
        self._poller = Poller(
            "rpclab monitor", lambda: list(self._lab.queue_table(queues.ask())), [], self._touch,
            seconds=POLL_SECONDS, seconds_in_trouble=RETRY_SECONDS, opened=queues,
        )
        self._poller.start()

    def purge(self, queue: str) -> Command:
        """Delete the ready messages of a queue, as a click on Purge and Yes does, and return at once.

        Parameters
        ----------
        queue : str
            Its name as the monitor shows it, or its real name.

        Returns
        -------
        Command
            Once `wait` has returned, its ``result`` is the number of messages, or the error.
        """
        return self._give(queue, queue)

    def wait(self, timeout: float = WAIT_SECONDS) -> QueueMonitor:
        """Return when all commands of the monitor have run, failed ones included.

        Raises
        ------
        LabError
            If some have not run within the timeout in seconds.
        """
        self._commands.wait(timeout)
        return self

    def table(self) -> Table:
        """Return the queues as `Lab.queues` does: as they are now, or were last if the broker does not answer."""
        rows, _ = self._poller.ask_now()
        return Table(("name", "ready", "unacked", "consumers"), rows, empty="(no queues)")

    @property
    def trouble(self) -> str:
        """Why the broker did not answer the last time; empty if it did."""
        return _told(self._poller.last[1])

    def close(self) -> None:
        """Remove the monitor and end its threads and connections; calling it again has no effect."""
        # The finalizer also closes a monitor whose __init__ failed.
        if "_poller" in vars(self) and self._refresher:
            self._commands.close()
            self._poller.close()
            self._stop_drawing()
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

    def _purge_clicked(self, name: str, queue: str) -> None:
        self._give(name, queue)

    def _render(self) -> None:
        if "_poller" not in vars(self):
            return
        rows, trouble = self._poller.last
        full = max([FULL, *((row["ready"] or 0) + (row["unacked"] or 0) for row in rows)])
        said = [_told(trouble), self._commands.line or self._trouble]
        if len(rows) > ROWS_SHOWN:
            said.append(f"{len(rows)} queues; the first {ROWS_SHOWN} are shown.")
        if not rows and not trouble:
            said.append("No queues yet.")
        self.scene = {"card": {
            "title": "Queues of lab", "code": self._lab.name, "note": " ".join(filter(None, said)),
            "table": {
                "columns": ["queue", "", "ready", "unacked", "consumers", ""],
                "rows": [_row(row, full) for row in rows[:ROWS_SHOWN]],
            },
        }}


def _row(row: dict, full: int) -> dict:
    numbers = ["-" if row[column] is None else str(row[column]) for column in ("ready", "unacked", "consumers")]
    count = row["ready"] or 0
    purge = act(
        "purge", "purge", "Delete the ready messages of this queue", row["name"], row["queue"],
        ask=f"purge {count} message{'' if count == 1 else 's'}?",
    )
    bar = {"bar": [count, row["unacked"] or 0, full]}
    return {"key": row["queue"], "cells": [shown(row["name"]), bar, *numbers, {"acts": [purge]}]}


def _told(trouble: str) -> str:
    return f"The broker does not answer: {trouble}" if trouble else ""
