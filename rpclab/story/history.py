"""All moments, so that the board can be shown as it was after any of them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

from rpclab.errors import InvalidOption
from rpclab.story.board import Board, Move
from rpclab.story.world import World
from rpclab.wire.messages import Step

MOMENTS_BETWEEN_SNAPSHOTS = 500
SNAPSHOTS_KEPT = 120


class Moment(NamedTuple):
    """One event.

    Attributes
    ----------
    time : float
        In seconds of ``time.monotonic()``.
    step : Step or None
        The step of the story; None for an event that is no step of a message, such as a purge.
    said : str
        The event, as text, if it is no step.
    moves : tuple of Move
        The moves.
    world : World
        The surroundings from then on.
    """

    time: float
    step: Step | None
    said: str
    moves: tuple[Move, ...]
    world: World


class _Chunk(NamedTuple):
    first: int
    board: Board
    moments: list[Moment]


class History:
    """Moments in order, numbered from 1; the oldest are dropped when there are too many.

    Parameters
    ----------
    keep : int
        Number of snapshots of the board to keep, each with the moments up to the next one.
    """

    def __init__(self, *, keep: int = SNAPSHOTS_KEPT):
        self._chunks: deque[_Chunk] = deque([_Chunk(0, Board(), [])], maxlen=keep)
        self._numbers: dict[int, int] = {}

    @property
    def first(self) -> int:
        """The number of the earliest moment that can be shown; 0 is before anything happened."""
        return self._chunks[0].first

    def __len__(self) -> int:
        return self._chunks[-1].first + len(self._chunks[-1].moments)

    def add(self, moment: Moment, after: Board) -> None:
        """Add a moment, and a snapshot of the board after it if the last snapshot is old."""
        self._chunks[-1].moments.append(moment)
        if moment.step:
            self._numbers[moment.step.order] = len(self)
        if len(self._chunks[-1].moments) >= MOMENTS_BETWEEN_SNAPSHOTS:
            self._chunks.append(_Chunk(len(self), after.copy(), []))

    def moment(self, number: int) -> Moment | None:
        """Return the moment with a number; None for 0, before anything happened."""
        chunk = self._chunk(number)
        position = number - chunk.first - 1
        return chunk.moments[position] if position >= 0 else None

    def board(self, number: int) -> Board:
        """Return the board after a moment."""
        chunk = self._chunk(number)
        board = chunk.board.copy()
        for moment in chunk.moments[: number - chunk.first]:
            for move in moment.moves:
                board.apply(move)
        return board

    def find(self, order: int) -> int | None:
        """Return the number of the moment of a step; None if it has none, or is no longer kept."""
        number = self._numbers.get(order)
        return None if number is None or number < self.first else number

    def moments(self) -> Iterable[Moment]:
        """Return the kept moments, in order."""
        return [moment for chunk in self._chunks for moment in chunk.moments]

    def _chunk(self, number: int) -> _Chunk:
        if not self.first <= number <= len(self):
            raise InvalidOption(f"Step {number} is not among the steps {self.first} to {len(self)} that can be shown.")
        # The first board of a chunk is the state after the last moment of the chunk before, which has its text.
        found = [chunk for chunk in self._chunks if chunk.first < number]
        return found[-1] if found else self._chunks[0]
