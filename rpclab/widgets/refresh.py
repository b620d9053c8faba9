"""Keeping a widget up to date from any thread, often enough to look live and rarely enough for the kernel."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

# What changes now and then is shown at once; what goes on changing, ten times a second. No second has more than 14.
STEADY_PER_SECOND = 10
AT_ONCE = 4
# What happens together, such as a request, its delivery and its reply, is rendered together.
TOGETHER_SECONDS = 0.03
# The least between one rendering and what begins the next.
GAP_SECONDS = 0.02


class Refresher:
    """Calls a render function soon after something changed, at most 15 times a second, in a thread of its own.

    How often is kept by a token bucket: https://en.wikipedia.org/wiki/Token_bucket.

    Parameters
    ----------
    render : callable
        Takes nothing; sets the widget's traits.
    together : float
        How many seconds after the first change to render; what else changes meanwhile is rendered with it. The time
        also leaves the way free for a widget that somebody waits for.
    """

    def __init__(self, render: Callable[[], None], *, together: float = TOGETHER_SECONDS):
        self._render = render
        self._together = together
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
