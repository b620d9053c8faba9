"""Polling the data of a widget in its own thread, and at once when code asks for it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Generic, TypeVar

from rpclab.errors import LabError

ANSWER_SECONDS = 15.0

T = TypeVar("T")


class Poller(Generic[T]):
    """Keeps the last answer, and the reason if the last poll had none.

    Parameters
    ----------
    name : str
        The thread's name.
    ask : callable
        Takes nothing and returns the answer; a `LabError` means that there is none now.
    first : object
        The last answer until there is one.
    changed : callable
        Called after each poll, in the poller's thread.
    seconds, seconds_in_trouble : float
        Seconds between two polls, after an answer and without one.
    opened : context manager
        What `ask` needs open; the poller's thread opens and closes it.
    """

    def __init__(
        self, name: str, ask: Callable[[], T], first: T, changed: Callable[[], None], *,
        seconds: float, seconds_in_trouble: float, opened: AbstractContextManager,
    ):
        self._ask = ask
        self._last, self._trouble = first, ""
        self._notify = changed
        self._pauses = (seconds, seconds_in_trouble)
        self._opened = opened
        self._wanted = self._answered = 0
        self._changed = threading.Condition()
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin to poll; `changed` may read `last` from now on."""
        self._thread.start()

    @property
    def last(self) -> tuple[T, str]:
        """The last answer, and why the last poll had none; empty if it had one."""
        with self._changed:
            return self._last, self._trouble

    def ask_now(self) -> tuple[T, str]:
        """Return `last` after a poll that began after this call, or at once if the poller has ended."""
        with self._changed:
            self._wanted += 1
            mine = self._wanted
            self._wake.set()
            self._changed.wait_for(lambda: self._answered >= mine or self._closing.is_set(), ANSWER_SECONDS)
            return self._last, self._trouble

    def wake(self) -> None:
        """Poll soon."""
        self._wake.set()

    def close(self) -> None:
        """End the thread."""
        self._closing.set()
        self._wake.set()
        self._thread.join()

    def _run(self) -> None:
        with self._opened:
            while not self._closing.is_set():
                self._wake.clear()
                wanted = self._wanted
                try:
                    answer, trouble = self._ask(), ""
                except LabError as error:
                    answer, trouble = self._last, str(error)
                with self._changed:
                    self._last, self._trouble, self._answered = answer, trouble, wanted
                    self._changed.notify_all()
                self._notify()
                self._wake.wait(self._pauses[bool(trouble)])
        with self._changed:
            self._changed.notify_all()
