"""Pauses between attempts, which grow while attempts fail."""

from __future__ import annotations

import time
from collections.abc import Sequence


class Backoff:
    """The time to wait before an attempt: the more attempts there were recently, the longer.

    Parameters
    ----------
    seconds : sequence of float
        The pauses before the first attempt, the second and so on; the last one is for all later ones.
    calm : float
        Seconds without an attempt after which the next one counts as the first again.
    """

    def __init__(self, seconds: Sequence[float], calm: float):
        self._seconds = seconds
        self._calm = calm
        self._attempt = -1
        self._last = 0.0

    def next(self) -> float:
        """Return how many seconds to wait now."""
        now = time.monotonic()
        self._attempt = self._attempt + 1 if now - self._last < self._calm else 0
        pause = self._seconds[min(self._attempt, len(self._seconds) - 1)]
        self._last = now + pause
        return pause
