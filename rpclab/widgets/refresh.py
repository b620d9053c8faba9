"""Updating a widget from any thread, often enough to look live and rarely enough for the kernel."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

# Rare changes show at once; continuous ones, ten times a second. No second has more than 14 updates.
STEADY_PER_SECOND = 10
AT_ONCE = 4
# Events that come together, such as a request, its delivery and its reply, are rendered together.
TOGETHER_SECONDS = 0.03
# The least time between the end of one rendering and the start of the next.
GAP_SECONDS = 0.02


class Refresher:
    """Calls a render function soon after something changed, at most 15 times a second, in its own thread.

    A token bucket limits the rate: https://en.wikipedia.org/wiki/Token_bucket.

    Parameters
    ----------
    render : callable
        Takes nothing; sets the widget's traits.
    together : float
        Seconds from the first change to the rendering, which includes all changes until then. The pause also leaves
        time for a widget that code waits for.
    """

    def __init__(self, render: Callable[[], None], *, together: float = TOGETHER_SECONDS):
        self._render = render
        self._together = together
        self._dirty = threading.Event()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="rpclab widget", daemon=True)
        self._thread.start()

    def touch(self) -> None:
        """Report a change."""
        self._dirty.set()

    def close(self) -> None:
        """Render once more and end the thread; calling it again has no effect."""
        self._closed.set()
        self._dirty.set()
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def _run(self) -> None:
        tokens, rendered = float(AT_ONCE), time.monotonic()
        while not self._closed.is_set():
            self._dirty.wait()
            self._closed.wait(self._together)
            self._dirty.clear()
            now = time.monotonic()
            tokens = min(AT_ONCE, tokens + (now - rendered) * STEADY_PER_SECOND) - 1
            rendered = now
            self._render()
            self._closed.wait(max(GAP_SECONDS, (1 - tokens) / STEADY_PER_SECOND))
        self._render()
