"""The stories of a lab: the one that goes on as long as the lab, those of a block, and what is wrong in them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rpclab.errors import InvalidOption
from rpclab.findings import Diagnosis, diagnose
from rpclab.story.story import Story

if TYPE_CHECKING:
    from rpclab.lab.lab import Lab


class Recordings:
    """What crosses a lab's tap, as stories. `Lab` has the same methods, and documents them.

    Parameters
    ----------
    lab : Lab
        The lab whose messages they have.
    """

    def __init__(self, lab: Lab):
        self._lab = lab
        self._story: Story | None = None

    @property
    def story(self) -> Story:
        if self._story is None:
            self._lab.check_open()
            registry = self._lab.tap.registry
            self._story = Story(registry.shown, journal=registry.journal)
            self._lab.tap.subscribe(self._story.take, past=True)
        return self._story

    @contextmanager
    def record(self) -> Iterator[Story]:
        self._lab.check_open()
        tap = self._lab.tap
        tap.catch_up()
        recorded = Story(tap.registry.shown, journal=tap.registry.journal, begun=time.monotonic())
        with tap.subscription(recorded.take):
            yield recorded
            tap.catch_up()
            recorded.settle()
        recorded.end = time.monotonic()

    def last(self, count: int) -> Story:
        if isinstance(count, bool) or not isinstance(count, int) or count < 1:
            raise InvalidOption(f"lab.last({count!r}): it is a number of messages, 1 or more.")
        self._lab.check_open()
        self._lab.tap.catch_up()
        return self.story.settle(count).last(count)

    def diagnose(self) -> Diagnosis:
        self._lab.check_open()
        self._lab.tap.catch_up()
        return diagnose(self.story.settle().whole())
