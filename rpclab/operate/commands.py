"""The commands of a widget: a thread runs them one after the other, because a click must not wait."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from rpclab.errors import LabError


@dataclass(repr=False)
class Command:
    """One command, and its result.

    Attributes
    ----------
    text : str
        Its text, for example ``kill AdditionServer-0``.
    state : str
        ``pending``, ``done`` or ``failed``.
    result : object
        What it returned, or the error that it ended with.
    """

    text: str
    state: str = "pending"
    result: object = None

    def __repr__(self) -> str:
        # Without its state: a cell's output would depend on the speed of the machine.
        return f"Command({self.text!r})"


class Commands:
    """Runs commands in the order in which they were given.

    Parameters
    ----------
    changed : callable
        Called when a command was given, and when it has run.
    """

    def __init__(self, changed: Callable[[], None]):
        self._changed = changed
        self._given: list[Command] = []
        self._closed = False
        self._settled = threading.Condition()
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="rpclab command")

    @property
    def pending(self) -> list[Command]:
        """The commands that have not run yet, in order."""
        with self._settled:
            return [command for command in self._given if command.state == "pending"]

    @property
    def line(self) -> str:
        """Their status: the command that runs, or else the error of the last one that failed."""
        with self._settled:
            busy = [command.text for command in self._given if command.state == "pending"]
            last = self._given[-1] if self._given else None
        if busy:
            more = f", and {len(busy) - 1} more to do" if len(busy) > 1 else ""
            return f"\u2026 {busy[0]}{more}"
        if last and last.state == "failed":
            return f"\u2715 {last.text}: {last.result}"
        return ""

    def give(self, text: str, action: Callable[[], object]) -> Command:
        """Give a command, and return at once."""
        command = Command(text)
        with self._settled:
            if self._closed:
                raise LabError("This widget was closed, so it runs no more commands. Make a new one.")
            self._given.append(command)
            self._pool.submit(self._carry_out, command, action)
        self._changed()
        return command

    def wait(self, timeout: float) -> None:
        """Return when all commands have run, failed ones included.

        Raises
        ------
        LabError
            If some have not run within the timeout in seconds.
        """
        with self._settled:
            self._settled.wait_for(lambda: not any(each.state == "pending" for each in self._given), timeout)
        if self.pending:
            waiting = ", ".join(command.text for command in self.pending)
            raise LabError(f"After {timeout:g} s this is still being done: {waiting}.")

    def close(self) -> None:
        """Run the given commands, and end the thread; calling it again has no effect."""
        with self._settled:
            self._closed = True
        self._pool.shutdown()

    def _carry_out(self, command: Command, action: Callable[[], object]) -> None:
        try:
            result, state = action(), "done"
        except Exception as error:  # noqa: BLE001  the widget shows it
            result, state = error, "failed"
        with self._settled:
            command.result, command.state = result, state
            self._settled.notify_all()
        self._changed()
