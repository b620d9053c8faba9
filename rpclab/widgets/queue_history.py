"""How full a queue is and was, as two small pictures: a bar for now, and a line for the last half minute."""

from __future__ import annotations

from collections import deque

SECONDS_SHOWN = 30.0
WIDTH, HEIGHT = 120, 28
TOP, BOTTOM = 3.0, 25.0


class History:
    """The number of messages in one queue over the last half minute: each value, and when it began."""

    def __init__(self):
        self._values: deque[tuple[float, int]] = deque()

    def add(self, time: float, value: int) -> None:
        """Take note of a value at a time in seconds; times only grow."""
        if not self._values or self._values[-1][1] != value:
            self._values.append((time, value))
        # The one that the half minute began with is kept.
        while len(self._values) > 1 and self._values[1][0] <= time - SECONDS_SHOWN:
            self._values.popleft()

    @property
    def most(self) -> int:
        """The greatest value of the half minute."""
        return max((value for _, value in self._values), default=0)

    def svg(self, now: float) -> str:
        """Return the values as a line of steps, the present at its right end."""
        most = self.most or 1
        path = []
        for time, value in self._values:
            x = max(0.0, WIDTH * (1 - (now - time) / SECONDS_SHOWN))
            y = BOTTOM - (BOTTOM - TOP) * value / most
            path.append(f"H{x:.1f}V{y:.1f}" if path else f"M{x:.1f} {y:.1f}")
        said = f"at most {self.most} messages in the last {SECONDS_SHOWN:.0f} seconds"
        return (
            f"<svg class='rpclab-spark' width='{WIDTH}' height='{HEIGHT}' role='img' aria-label='{said}'>"
            f"<title>{said}</title><path d='{''.join(path)}H{WIDTH}'/></svg>"
        )


def bar(ready: int, unacked: int, full: int) -> str:
    """Return a bar of messages: ready ones filled, unacked ones hatched; ``full`` of them are the whole width."""
    parts = "".join(
        f"<i class='{name}' style='width: {100 * count / max(full, 1):.1f}%'></i>"
        for name, count in (("ready", ready), ("unacked", unacked)) if count
    )
    return f"<div class='rpclab-level' role='img' aria-label='{ready} ready, {unacked} unacked'>{parts}</div>"
