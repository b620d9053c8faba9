"""The functions called with what crosses the wire; an error in one of them affects no other."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Listeners(list, Generic[T]):
    """Functions to call with each thing that happens, in the order in which they were added.

    One that raises is called again next time. Its first error is reported like a thread's, with its traceback; further
    reports would bury it.
    """

    def __init__(self) -> None:
        super().__init__()
        self._reported: list[Callable] = []

    def add(self, callback: Callable[[T], None]) -> Callable[[], None]:
        """Call a function from now on; the returned function ends that."""
        self.append(callback)
        return lambda: self.drop(callback)

    def drop(self, callback: Callable[[T], None]) -> None:
        """Stop calling a function; dropping it again has no effect."""
        for kept in (self, self._reported):
            if callback in kept:
                kept.remove(callback)

    def tell(self, happened: T) -> None:
        """Call all functions."""
        for callback in tuple(self):
            try:
                callback(happened)
            except Exception:  # noqa: BLE001  what a listener does wrong must not stop the traffic
                self.report(callback)

    def report(self, callback: Callable) -> None:
        """Report the error that a function has just raised, if it is the first."""
        if callback not in self._reported:
            self._reported.append(callback)
            threading.excepthook(threading.ExceptHookArgs((*sys.exc_info(), threading.current_thread())))
