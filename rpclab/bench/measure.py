"""Measures in short rounds that take turns, so that a busy moment of the machine affects both sides."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
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
    calls : int
        Calls of one such round.
    in_flight : int
        Calls of one round that are in flight together.
    work : int
        The index of the Fibonacci number that a request for several processes computes.
    work_calls : int
        Requests of one round for each process that works.
    sleep_rounds : int
        How often processes that sleep take turns.
    sleep_calls : int
        Requests of one round for each process that sleeps.
    processes : tuple of int
        The numbers of processes that sleep.
    starts : int
        How often new workers and interpreters are started.
    kills : int
        How many workers are killed while they hold a request.
    burst : int
        Round trips of the burst through the tap.
    told : int
        Round trips of which a story is made.
    """

    rounds: int = 9
    short_rounds: int = 31
    calls: int = 50
    in_flight: int = 1000
    work: int = 27
    work_calls: int = 8
    sleep_rounds: int = 3
    sleep_calls: int = 20
    processes: tuple[int, ...] = (1, 2, 4, 8, 16)
    starts: int = 5
    kills: int = 3
    burst: int = 3000
    told: int = 5000


# Ten seconds, for a quick look: with so few rounds the numbers are rough.
QUICK = Scale(
    rounds=2, short_rounds=5, calls=40, in_flight=300, work=24, sleep_rounds=1, sleep_calls=5, processes=(4,),
    starts=1, kills=1, burst=500, told=500,
)


def seconds(action: Callable[[], object]) -> float:
    """Return how long a function takes."""
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def alternately(sides: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Measure each side once a round, in turns, and return each one's numbers, one for each round.

    Parameters
    ----------
    sides : mapping of str to callable
        Each makes one measurement and returns its number.
    rounds : int
        How many measurements of each; one more comes first, to warm up.

    Returns
    -------
    dict of str to list of float
    """
    numbers: dict[str, list[float]] = {name: [] for name in sides}
    for side in sides.values():
        side()
    for _ in range(rounds):
        for name, side in sides.items():
            numbers[name].append(side())
    return numbers
