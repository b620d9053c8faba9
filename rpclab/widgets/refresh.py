"""Keeping a widget up to date from any thread, often enough to look live and rarely enough for the kernel."""

from __future__ import annotations

import threading
from collections.abc import Callable

PER_SECOND = 15


class Refresher:
    """Calls a render function soon after something changed, at most 15 times a second, in a thread of its own.

    Parameters
    ----------
    render : callable
        Takes nothing; sets the widget's traits.
    """

    def __init__(self, render: Callable[[], None]):
        self._render = render
        self._dirty = threading.Event()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="rpclab widget", daemon=True)
        self._thread.start()

    def touch(self) -> None:
        """Say that something changed."""
        self._dirty.set()

    def close(self) -> None:
        """Render a last time and end the thread; a second time does nothing."""
        self._closed.set()
        self._dirty.set()
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def _run(self) -> None:
        while not self._closed.is_set():
            self._dirty.wait()
            self._dirty.clear()
            self._render()
            self._closed.wait(1 / PER_SECOND)
        self._render()
