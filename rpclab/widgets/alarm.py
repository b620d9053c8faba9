"""Calling a function at a moment that may still change."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class Alarm:
    """Calls a function once, in its own thread.

    Parameters
    ----------
    ring : callable
        The function; it takes nothing.
    """

    def __init__(self, ring: Callable[[], None]):
        self._ring = ring
        self._timer: threading.Timer | None = None
        self._moment: float | None = None

    def set(self, moment: float | None) -> None:
        """Call it at this moment of ``time.monotonic()`` instead of the one set before; at None, not at all."""
        if moment == self._moment and self._timer and self._timer.is_alive():
            return
        if self._timer:
            self._timer.cancel()
            self._timer.join()
        self._timer, self._moment = None, moment
        if moment is not None:
            self._timer = threading.Timer(max(0.0, moment - time.monotonic()), self._ring)
            self._timer.daemon = True
            self._timer.start()
