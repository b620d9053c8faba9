"""The times of answers: a small histogram with logarithmic bins, the median and the 95th percentile."""

from __future__ import annotations

import threading
from bisect import bisect_left, bisect_right, insort
from dataclasses import dataclass

TEXT_BAR = 40
# In milliseconds: 0, 0.5, 1, 2, 5, 10 and so on, up to the days that a call may take.
BOUNDS = (0, 0.5, *(digit * 10**zeros for zeros in range(9) for digit in (1, 2, 5)))


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
        bounds = [bound / 1000 for bound in BOUNDS]
        first, last = bisect_right(bounds, seconds[0]), bisect_right(bounds, seconds[-1])
        upto = [bisect_left(seconds, bound) for bound in bounds[: last + 1]]
        return [Bin(BOUNDS[at - 1], BOUNDS[at], upto[at] - upto[at - 1]) for at in range(first, last + 1)]

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


def _ms(seconds: float) -> str:
    milliseconds = seconds * 1000
    return f"{milliseconds:.1f} ms" if milliseconds < 100 else f"{milliseconds:,.0f} ms"
