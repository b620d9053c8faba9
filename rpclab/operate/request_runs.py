"""Many requests: the arguments of a burst, and firing at a steady rate."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterable

from rpclab.errors import InvalidOption

MOST_AT_ONCE = 10_000
MOST_PER_SECOND = 200.0
LONGEST_SECONDS = 86_400.0


class SteadyRun:
    """Calls a function at a steady rate, in its own thread.

    Parameters
    ----------
    fire : callable
        Takes nothing; must return quickly.
    per_second : float
        Calls per second. Calls that a busy machine delays are made up for.
    seconds : float or None
        How long; until `stop` if None.
    ended : callable
        Called when it is over, in its thread.
    """

    def __init__(self, fire: Callable[[], object], per_second: float, seconds: float | None, ended: Callable[[], None]):
        _check("per_second", per_second, MOST_PER_SECOND)
        if seconds is not None:
            _check("seconds", seconds, LONGEST_SECONDS)
        self._fire = fire
        self._interval = 1 / per_second
        self._count = None if seconds is None else max(1, round(per_second * seconds))
        self._ended = ended
        self._stopped = threading.Event()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="rpclab panel steady", daemon=True)
        self._thread.start()

    @property
    def active(self) -> bool:
        """Whether it goes on."""
        return not self._over.is_set()

    def wait(self, timeout: float) -> bool:
        """Return True as soon as it is over, or False after the timeout in seconds."""
        return self._over.wait(timeout)

    def stop(self) -> None:
        """End it and its thread; calling it again has no effect."""
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        began = time.monotonic()
        try:
            for number in itertools.islice(itertools.count(), self._count):
                if self._stopped.wait(max(0, began + number * self._interval - time.monotonic())):
                    return
                self._fire()
        finally:
            self._over.set()
            self._ended()


def burst_arguments(
    count: int | None, arguments: tuple, each: Callable[[int], object] | Iterable | None
) -> list[tuple]:
    """Return the arguments of each request of a burst.

    Parameters
    ----------
    count : int or None
        The number of requests; None, only with an iterable, for all of it.
    arguments : tuple
        The arguments of all of them, unless `each` is given.
    each : callable or iterable, optional
        The arguments of each request, or a function that takes 0, 1, 2, ... and returns them: a tuple, or the argument
        itself where there is only one.

    Raises
    ------
    InvalidOption
        If these do not fit together, or the burst has no requests or too many.
    """
    if count is not None:
        _check("count", count, MOST_AT_ONCE, int)
    if each is None:
        if count is None:
            raise InvalidOption("Give the number of requests, for example panel.burst(100).")
        return [arguments] * count
    if arguments:
        raise InvalidOption(f"A burst sends either {arguments!r} each time or what each={each!r} gives. Leave one out.")
    if callable(each):
        if count is None:
            raise InvalidOption("Give the number of requests: panel.burst(100, each=lambda number: (number, 1)).")
        each = map(each, range(count))
    try:
        wanted = list(itertools.islice(each, MOST_AT_ONCE + 1 if count is None else count))
    except TypeError as error:
        raise InvalidOption(f"each={each!r} gives no arguments ({error}): use a function or a list.") from error
    _check("the number of requests", len(wanted), MOST_AT_ONCE, int)
    return [tuple(asked) if isinstance(asked, tuple | list) else (asked,) for asked in wanted]


def _check(what: str, value: float, most: float, kind: type = float) -> None:
    allowed = int if kind is int else int | float
    if isinstance(value, bool) or not isinstance(value, allowed) or not 0 < value <= most:
        number = "a whole number" if kind is int else "a number"
        raise InvalidOption(f"{what}={value!r}: it is {number} above 0 and at most {most:g}.")
