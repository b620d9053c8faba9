"""Keeps the board, the world and their history up to date with the traffic of a lab, and shows any moment.

The same for a recorded story, of which only the steps are known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType

from rpclab.story.board import QUEUE, Board, Move, Place
from rpclab.story.boxes import BOXES_SHOWN, Box, Boxes, fewer
from rpclab.story.describe import scene, ways
from rpclab.story.details import line_of
from rpclab.story.diagram import printable
from rpclab.story.history import History, Moment
from rpclab.story.moves import Interpreter
from rpclab.story.world import Watcher, World
from rpclab.wire.events import Event
from rpclab.wire.messages import Step
from rpclab.wire.routing import Emptied

MOST_LINES = 60
# A process's change to one of these states is a moment, and so is its resumption after a pause.
TOLD = ("paused", "stopped", "dead")


class Recorder:
    """Takes steps and events in order.

    Parameters
    ----------
    shown : callable
        Turns a queue's name into the one in the picture.
    alone : bool
        Whether there are only steps and no events, so that queues and connections are known only by their messages.
    """

    def __init__(self, shown: Callable[[str], str], *, alone: bool = False):
        self.shown = shown
        self.history = History()
        self._watcher = Watcher()
        if alone:
            self._watcher.world = World()
        self._cast = Interpreter(self._watcher.routing, shown)
        self._boxes = Boxes(self._cast, shown)
        self._lines: dict[tuple[Place, Place], None] = {}

    @property
    def board(self) -> Board:
        """The present board."""
        return self._cast.board

    @property
    def world(self) -> World:
        """The present surroundings."""
        return self._watcher.world

    @property
    def next_expiry(self) -> float | None:
        """When the next waiting message will expire, in seconds of ``time.monotonic()``."""
        return self._cast.next_expiry()

    def concerns(self, event: Event) -> bool:
        """Return whether `take` uses an event."""
        return self._watcher.concerns(event)

    def take(self, one: Step | Event) -> list[Move]:
        """Take the next step or event, and return the moves."""
        if isinstance(one, Step):
            return self._note(one.time, one, "", self._cast.take(one))
        moved = []
        for emptied in self._watcher.take(one):
            said = f"{self.shown(emptied.queue)} was {'deleted' if emptied.deleted else 'purged'}"
            moved += self.empty(one.time, emptied, said)
        return moved

    def empty(self, time: float, emptied: Emptied, said: str) -> list[Move]:
        """Remove the messages of a queue, and return the moves."""
        return self._note(time, None, said, self._cast.empty(emptied))

    def expire(self, now: float) -> list[Move]:
        """Remove the messages that have expired, and return the moves."""
        moves = self._cast.expire(now)
        names = ", ".join(dict.fromkeys(move.message.name for move in moves))
        return self._note(now, None, f"{names}: no consumer took it in time, so it expired", moves) if moves else []

    def note_processes(self, time: float, processes: Mapping[str, str]) -> bool:
        """Record the states of processes; return whether they changed."""
        before = self.world.processes
        if not self._watcher.note_processes(processes):
            return False
        told = [
            f"{name} is {state}" for name, state in processes.items()
            if before.get(name) != state and (state in TOLD or before.get(name) == "paused")
        ]
        if told:
            self._note(time, None, ", ".join(told), [])
        return True

    def boxes(self, at: int | None = None) -> list[Box]:
        """Return all boxes, now or after a moment."""
        board, world = self._at(at)
        return self._boxes.all(board, world, now=None if at is None else (self.board, self.world))

    def scene(
        self, at: int | None, moves: list[Move], *, more: Mapping[Place, str] = MappingProxyType({}), status: str = "",
        most: int = BOXES_SHOWN,
    ) -> dict:
        """Return the scene now (``at`` is None) or after a moment; it has all boxes of the present.

        Parameters
        ----------
        at : int or None
            The moment's number.
        moves : list of Move
            The moves since the last scene.
        more : mapping of Place to str
            Places that have a box before anything happens there, with their lanes.
        status : str
            A line about the whole.
        most : int
            The largest number of boxes of each kind.
        """
        board, world = self._at(at)
        return self._scene(board, world, at, moves, more, status, most)

    def scenes(self) -> Iterator[dict]:
        """Return the scene before the first moment, and the one after each moment, in order."""
        board, moments = Board(), self.history.moments()
        yield self._scene(board, self._beginning(), 0, [])
        for number, moment in enumerate(moments, 1):
            for move in moment.moves:
                board.apply(move)
            yield self._scene(board, moment.world, number, list(moment.moves))

    def _scene(
        self, board: Board, world: World, at: int | None, moves: list[Move],
        more: Mapping[Place, str] = MappingProxyType({}), status: str = "", most: int = BOXES_SHOWN,
    ) -> dict:
        now = None
        if at is not None:
            now = self.board, self.world
            more = dict.fromkeys(self._places(), "") | dict(more)
        found = fewer(self._boxes.all(board, world, more, now=now), most)
        lines = dict.fromkeys([*self._lines, *((Place(QUEUE, q), c) for q, c in self._boxes.consuming(self.world))])
        return scene(found, list(lines)[: 2 * MOST_LINES], board, moves, self.time(at), status=status)

    def time(self, at: int | None) -> dict:
        """Return the number of the shown moment, the number of moments, and the event."""
        number = len(self.history) if at is None else at
        moment = self.history.moment(number)
        said = "" if moment is None else printable(self.said_of(moment))
        message = moment.step.message.number if moment and moment.step else 0
        return {"at": number, "first": self.history.first, "of": len(self.history), "live": at is None, "said": said,
                "message": message}

    def said_of(self, moment: Moment) -> str:
        """Return the event of a moment, as text."""
        return f"{moment.step.message.name}: {line_of(moment.step, self.shown)}" if moment.step else moment.said

    def _places(self) -> list[Place]:
        consumers = [consumer for _, consumer in self._boxes.consuming(self.world)]
        return [*self.board.counts, *(Place(QUEUE, name) for name in self.world.queues), *consumers]

    def _at(self, at: int | None) -> tuple[Board, World]:
        if at is None:
            return self.board, self.world
        moment = self.history.moment(at)
        return self.history.board(at), moment.world if moment else self._beginning()

    def _beginning(self) -> World:
        return World(connected=None if self.world.connected is None else frozenset())

    def _note(self, time: float, step: Step | None, said: str, moves: list[Move]) -> list[Move]:
        self.history.add(Moment(time, step, said, tuple(moves), self.world), self.board)
        if len(self._lines) < MOST_LINES:
            self._lines |= ways(moves)
        return moves
