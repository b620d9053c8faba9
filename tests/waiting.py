"""Waiting for what is on its way: a condition, never a length of time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import psutil
import pytest

POLL_SECONDS = 0.01


def until(condition: Callable[[], object], timeout: float = 20.0):
    """Return the first true value of a condition; the test fails if there is none in time."""
    deadline = time.monotonic() + timeout
    pause = threading.Event()
    while not (value := condition()):
        if time.monotonic() > deadline:
            pytest.fail(f"The condition did not come true within {timeout:g} s; its last value was {value!r}.")
        pause.wait(POLL_SECONDS)
    return value


def ended(pid: int) -> bool:
    """Tell whether a process is over; one that nobody has reaped yet is."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
