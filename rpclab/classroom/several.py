"""Doing the same with each of many things."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

AT_ONCE = 4


def each(action: Callable, things: Iterable) -> list:
    """Do something with each of several things, a few at a time: most of it is waiting for the broker."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        try:
            return list(pool.map(action, things))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
