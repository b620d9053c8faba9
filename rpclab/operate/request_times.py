"""The times of answers: a small histogram with logarithmic bins, the median and the 95th percentile."""

from __future__ import annotations

import threading
from bisect import bisect_left, insort
from dataclasses import dataclass

TEXT_BAR = 40


@dataclass(frozen=True)
class Bin:
    """The number of answers that took from ``low`` up to, and not including, ``high`` milliseconds."""

    low: float
    high: float
    count: int

    @property
    def label(self) -> str:
        """Its bounds, for example ``1-2 ms``."""
        return f"{self.low:g}-{self.high:g} ms"


class AnswerTimes:
    """The times from sending a request to its answer; prints as a histogram.

    May be added to and read from any thread.
    """

    def __init__(self) -> None:
        self._seconds: list[float] = []
        self._lock = threading.Lock()

    def add(self, seconds: float) -> None:
        """Record one more answer."""
        with self._lock:
            insort(self._seconds, seconds)

    def quantile(self, share: float) -> float | None:
        """Return the time in seconds within which a share of the answers came; None if there is no answer yet.

        Parameters
        ----------
        share : float
            0.5 for the median, 0.95 for the time that one answer in twenty exceeds.
        """
        with self._lock:
            if not self._seconds:
                return None
            return self._seconds[min(int(share * len(self._seconds)), len(self._seconds) - 1)]

    def bins(self) -> list[Bin]:
        """Return the bins from the quickest answer to the slowest; their bounds are 1, 2, 5, 10, ... ms."""
        with self._lock:
            seconds = list(self._seconds)
        if not seconds:
            return []
        bounds, found, before = _Bounds(), [], 0
        for low, high in bounds.around(seconds[0] * 1000, seconds[-1] * 1000):
            upto = bisect_left(seconds, high / 1000)
            found.append(Bin(low, high, upto - before))
            before = upto
        return found

    @property
    def summary(self) -> str:
        """Count, median and 95th percentile, as text."""
        median, most = self.quantile(0.5), self.quantile(0.95)
        if median is None or most is None:
            return "No answers yet."
        return f"{len(self)} answers: median {_ms(median)}, 95 % within {_ms(most)}."

    def __len__(self) -> int:
        return len(self._seconds)

    def __repr__(self) -> str:
        bins = self.bins()
        most = max((one.count for one in bins), default=0)
        width = max((len(one.label) for one in bins), default=0)
        lines = [
            f"{one.label:>{width}}  {'#' * -(-one.count * TEXT_BAR // most):{TEXT_BAR}}  {one.count}" for one in bins
        ]
        return "\n".join([*lines, self.summary])


class _Bounds:
    """1, 2, 5, 10, 20, 50, ... and below, with 0 as the lowest."""

    LOWEST = 0.5

    def around(self, least: float, most: float) -> list[tuple[float, float]]:
        """Return the intervals from the least value to the greatest."""
        pairs, low, high = [], 0.0, self.LOWEST
        while low <= most:
            if high > least:
                pairs.append((low, high))
            low, high = high, self._next(high)
        return pairs

    @staticmethod
    def _next(bound: float) -> float:
        first = float(f"{bound:e}"[0])
        return bound * (2.5 if first == 2 else 2)


def _ms(seconds: float) -> str:
    milliseconds = seconds * 1000
    return f"{milliseconds:.1f} ms" if milliseconds < 100 else f"{milliseconds:,.0f} ms"
