"""Many requests: what a burst asks for, and firing at a steady rate until told otherwise."""

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
    """Calls a function so many times a second, in a thread of its own.

    Parameters
    ----------
    fire : callable
        Takes nothing; must return quickly.
    per_second : float
        How often. What is late because the machine was busy is caught up with.
    seconds : float or None
        For how long; until `stop` if None.
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
        """Return whether it is over, as soon as it is and after so many seconds at the latest."""
        return self._over.wait(timeout)

    def stop(self) -> None:
        """End it and its thread; a second time does nothing."""
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
    """Return what each request of a burst asks for.

    Parameters
    ----------
    count : int or None
        How many; None only with an iterable, all of which is taken then.
    arguments : tuple
        What all of them ask for, unless `each` says otherwise.
    each : callable or iterable, optional
        The arguments of each request, or a function that takes 0, 1, 2, ... and returns them: a tuple, or the argument
        itself where there is only one.

    Raises
    ------
    InvalidOption
        If these do not go together, or the burst has none or too many.
    """
    if count is not None:
        _check("count", count, MOST_AT_ONCE, int)
    if each is None:
        return [arguments] * count
    if arguments:
        raise InvalidOption(f"A burst asks either {arguments!r} each time or what each={each!r} says, not both.")
    if callable(each):
        if count is None:
            raise InvalidOption("How many? For example panel.burst(100, each=lambda number: (number, 1)).")
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
