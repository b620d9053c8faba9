"""Waiting for what is on its way: a condition, never a length of time."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psutil
import pytest

POLL_SECONDS = 0.01


def until(condition: Callable[[], object], timeout: float = 60.0):
    """Return the first true value of a condition; the test fails if there is none in time."""
    deadline = time.monotonic() + timeout
    pause = threading.Event()
    while not (value := condition()):
        if time.monotonic() > deadline:
            pytest.fail(f"The condition did not come true within {timeout:g} s; its last value was {value!r}.")
        pause.wait(POLL_SECONDS)
    return value


def ended(pid: int) -> bool:
    """Return whether a process has ended; one that is not reaped yet has."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def awaited(coroutine: Coroutine) -> Any:
    """Return what a coroutine returns, run in a thread of its own: the browser's loop may run in this one."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, coroutine).result()
