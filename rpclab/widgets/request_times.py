"""How long answers took: a small histogram with logarithmic bins, the median and the 95th percentile."""

from __future__ import annotations

import threading
from bisect import bisect_left, insort
from html import escape
from typing import NamedTuple

BAR_WIDTH, BAR_HEIGHT, MARGIN = 52, 44, 18
TEXT_BAR = 40


class Bin(NamedTuple):
    """The answers that took from ``low`` up to, and not including, ``high`` milliseconds."""

    low: float
    high: float
    count: int

    @property
    def label(self) -> str:
        """Its bounds, for example ``1-2 ms``."""
        return f"{self.low:g}-{self.high:g} ms"


class AnswerTimes:
    """The times from sending a request to its answer; prints as a histogram, in a terminal and in a notebook.

    May be added to and read from any thread.
    """

    def __init__(self):
        self._seconds: list[float] = []
        self._lock = threading.Lock()

    def add(self, seconds: float) -> None:
        """Take down one more answer."""
        with self._lock:
            insort(self._seconds, seconds)

    def quantile(self, share: float) -> float | None:
        """Return the time in seconds within which this share of the answers came; None if there is no answer yet.

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
        """Return the bins from the quickest answer's to the slowest one's; their bounds are 1, 2, 5, 10, ... ms."""
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
        """Count, median and 95th percentile in words."""
        if not len(self):
            return "No answers yet."
        return f"{len(self)} answers: median {_ms(self.quantile(0.5))}, 95 % within {_ms(self.quantile(0.95))}."

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

    def _repr_html_(self) -> str:
        bins = self.bins()
        width, height = max(1, len(bins)) * BAR_WIDTH + 2 * MARGIN, BAR_HEIGHT + 32
        parts = "".join(_bar(position, one, max(b.count for b in bins)) for position, one in enumerate(bins))
        if bins:
            parts += _bound(len(bins), bins[-1].high)
        label = escape(f"Histogram of answer times in milliseconds. {self.summary}", quote=True)
        picture = f"<svg class='rpclab-bars' role='img' aria-label='{label}' width='{width}' height='{height}'>"
        return f"<div class='rpclab-times'>{picture}{parts}</svg><span class='rpclab-note'>{self.summary}</span></div>"


class _Bounds:
    """1, 2, 5, 10, 20, 50, ... and below, with 0 as the lowest."""

    LOWEST = 0.5

    def around(self, least: float, most: float) -> list[tuple[float, float]]:
        """Return the intervals from the one with the least value to the one with the most."""
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


def _bar(position: int, one: Bin, most: int) -> str:
    """Draw a bar with its count above it and its lower bound at its left foot; one answer is a line at least."""
    tall = max(1.0, one.count / most * BAR_HEIGHT) if one.count else 0.0
    left, top = position * BAR_WIDTH + MARGIN, 14 + BAR_HEIGHT - tall
    count = f"<text x='{left + BAR_WIDTH / 2}' y='{top - 3:.1f}' text-anchor='middle'>{one.count or ''}</text>"
    bar = f"<rect x='{left + 1}' y='{top:.1f}' width='{BAR_WIDTH - 2}' height='{tall:.1f}'></rect>"
    return f"<g><title>{one.count} took {one.label}</title>{bar}{count}</g>{_bound(position, one.low)}"


def _bound(position: int, milliseconds: float) -> str:
    left = position * BAR_WIDTH + MARGIN
    return f"<text x='{left}' y='{BAR_HEIGHT + 28}' text-anchor='middle'>{milliseconds:g}</text>"


def _ms(seconds: float) -> str:
    milliseconds = seconds * 1000
    return f"{milliseconds:.1f} ms" if milliseconds < 100 else f"{milliseconds:,.0f} ms"
