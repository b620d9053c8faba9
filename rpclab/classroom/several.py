"""Runs a function on many things at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

AT_ONCE = 4


def each(action: Callable, things: Iterable) -> list:
    """Call a function with each of several things, a few at a time: most of the time it waits for the broker."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        try:
            return list(pool.map(action, things))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
