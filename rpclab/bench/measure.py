"""Measures in short rounds that take turns, so that a busy moment of the machine affects both sides."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Scale:
    """How much the bench does; by default for one minute.

    Attributes
    ----------
    rounds : int
        How often the sides of a comparison take turns.
    short_rounds : int
        The same for short rounds: calls one after the other.
    long_rounds : int
        The same for long ones: new processes, and processes that sleep.
    calls : int
        Calls of one short round.
    in_flight : int
        Calls of one round that are in flight together.
    work : int
        The index of the Fibonacci number that a request for several processes computes.
    shared_calls : int
        Requests of one round for each process that works or sleeps.
    processes : tuple of int
        The numbers of processes that sleep.
    burst : int
        Round trips of the burst through the tap.
    told : int
        Round trips of which a story is made.
    """

    rounds: int = 9
    short_rounds: int = 31
    long_rounds: int = 3
    calls: int = 50
    in_flight: int = 1000
    work: int = 27
    shared_calls: int = 10
    processes: tuple[int, ...] = (1, 2, 4, 8, 16)
    burst: int = 3000
    told: int = 5000


# Ten seconds, for a quick look: with so few rounds the numbers are rough.
QUICK = Scale(
    rounds=2, short_rounds=5, long_rounds=1, calls=40, in_flight=300, work=24, shared_calls=5, processes=(4,),
    burst=500, told=500,
)


def seconds(action: Callable[[], object]) -> float:
    """Return how long a function takes."""
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def alternately(
    ours: Callable[[], float], theirs: Callable[[], float], *, rounds: int
) -> tuple[list[float], list[float]]:
    """Measure both sides once a round, in turns, and return each one's numbers, one for each round.

    Parameters
    ----------
    ours, theirs : callable
        Each makes one measurement and returns its number.
    rounds : int
        How many measurements of each; one more comes first, to warm up.
    """
    numbers: tuple[list[float], list[float]] = [], []
    for side in (ours, theirs):
        side()
    for _ in range(rounds):
        for side, of_side in zip((ours, theirs), numbers, strict=True):
            of_side.append(side())
    return numbers
