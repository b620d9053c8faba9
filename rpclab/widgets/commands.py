"""What a widget was told to do, carried out one after the other by a thread, because a click must not wait."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from rpclab.errors import LabError


@dataclass(repr=False)
class Command:
    """One thing to do, and what became of it.

    Attributes
    ----------
    text : str
        In words, for example ``kill AdditionServer-0``.
    state : str
        ``pending``, ``done`` or ``failed``.
    result : object
        What it returned, or the error that it ended with.
    """

    text: str
    state: str = "pending"
    result: object = None

    def __repr__(self) -> str:
        # Not its state: what a cell shows would depend on how quick the machine is.
        return f"Command({self.text!r})"


class Commands:
    """Carries commands out in the order in which they were given.

    Parameters
    ----------
    changed : callable
        Called when a command has been given or carried out.
    """

    def __init__(self, changed: Callable[[], None]):
        self._changed = changed
        self._given: list[Command] = []
        self._closed = False
        self._settled = threading.Condition()
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="rpclab command")

    @property
    def pending(self) -> list[Command]:
        """Those that are not carried out yet, in order."""
        with self._settled:
            return [command for command in self._given if command.state == "pending"]

    @property
    def line(self) -> str:
        """What to tell about them: what is being done, or else that the last one failed, and why."""
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
        """Have something done, and return at once."""
        command = Command(text)
        with self._settled:
            if self._closed:
                raise LabError("This widget was closed, so it carries out nothing any more. Make a new one.")
            self._given.append(command)
            self._pool.submit(self._carry_out, command, action)
        self._changed()
        return command

    def wait(self, timeout: float) -> None:
        """Return when all commands have been carried out, whatever came of them.

        Raises
        ------
        LabError
            If some have not been after so many seconds.
        """
        with self._settled:
            self._settled.wait_for(lambda: not any(each.state == "pending" for each in self._given), timeout)
        if self.pending:
            waiting = ", ".join(command.text for command in self.pending)
            raise LabError(f"After {timeout:g} s this is still being done: {waiting}.")

    def close(self) -> None:
        """Carry out what was given, and end the thread; a second time does nothing."""
        with self._settled:
            self._closed = True
        self._pool.shutdown()

    def _carry_out(self, command: Command, action: Callable[[], object]) -> None:
        try:
            result, state = action(), "done"
        except Exception as error:  # noqa: BLE001  nobody waits in this thread: the widget shows it
            result, state = error, "failed"
        with self._settled:
            command.result, command.state = result, state
            self._settled.notify_all()
        self._changed()
