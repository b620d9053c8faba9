"""The sweep's cases: each fault at each frame, with each set of options and type of queue; and a choice of them."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase

OPTIONS = ("plain", "retry", "remember", "both")
QUEUE_TYPES = ("classic", "quorum")
CUT_CLIENT, CUT_SERVER, CUT_MEMORY, KILL, FREEZE, DROP = (
    "cut-client", "cut-server", "cut-memory", "kill", "freeze", "drop",
)
NOTHING = "nothing"
FAULTS = (CUT_CLIENT, CUT_SERVER, CUT_MEMORY, KILL, FREEZE, DROP)
CLIENT, SERVER, MEMORY = "client", "server", "memory"
# A selection that takes half a minute has, of all the others, one in this many.
QUICK_STRIDE = 31
ENDS = {CUT_CLIENT: CLIENT, CUT_SERVER: SERVER, KILL: SERVER}
CUTS = {CUT_CLIENT: CLIENT, CUT_SERVER: SERVER, CUT_MEMORY: MEMORY}

RETRY_SECONDS = 0.15
REMEMBER_SECONDS = 60.0


@dataclass(frozen=True)
class Setup:
    """How client and server are made.

    Attributes
    ----------
    options : str
        ``plain``, ``retry`` (of the client), ``remember`` (of the server) or ``both``.
    queue_type : str
        ``classic`` or ``quorum``.
    """

    options: str
    queue_type: str

    @property
    def retry(self) -> float | None:
        """The client's option of that name."""
        return RETRY_SECONDS if self.options in ("retry", "both") else None

    @property
    def remember(self) -> float | None:
        """The server's option of that name."""
        return REMEMBER_SECONDS if self.options in ("remember", "both") else None

    def __str__(self) -> str:
        return f"{self.options}/{self.queue_type}"


@dataclass(frozen=True)
class Point:
    """One frame of the call, by its place in its connection and direction.

    Attributes
    ----------
    role : str
        The connection: ``client``, ``server``, or ``memory``, the server's second one.
    from_client : bool
        True if it goes to the broker, False if it comes from there.
    number : int
        1 for the first frame of that connection and direction.
    """

    role: str
    from_client: bool
    number: int

    def __str__(self) -> str:
        return f"{self.role}-{'out' if self.from_client else 'in'}-{self.number}"


@dataclass(frozen=True)
class Passage:
    """A frame that passed in the run without a fault.

    Attributes
    ----------
    point : Point
        Its place.
    name : str
        The frame, for example ``Basic.Publish``.
    open : tuple of str
        The roles whose connections were open by then.
    """

    point: Point
    name: str
    open: tuple[str, ...]


@dataclass(frozen=True)
class Case:
    """One run: a fault at a frame, or none. ``--only`` takes its text, ``plain/classic/kill/server-in-9``."""

    setup: Setup
    fault: str = NOTHING
    point: Point = Point(SERVER, True, 0)

    def __str__(self) -> str:
        return str(self.setup) if self.fault == NOTHING else f"{self.setup}/{self.fault}/{self.point}"


SETUPS = tuple(Setup(options, queue_type) for options in OPTIONS for queue_type in QUEUE_TYPES)
PLAIN = SETUPS[0]


def cases(setup: Setup, passages: list[Passage]) -> list[Case]:
    """Return every fault at every frame where it is possible: a connection that is not open yet cannot be cut."""
    return [
        Case(setup, fault, passage.point)
        for passage in passages for fault in FAULTS
        if fault not in CUTS or CUTS[fault] in passage.open
    ]


class Selection:
    """The selected runs; by default all.

    Parameters
    ----------
    only : str, optional
        Those whose name matches: a case such as ``plain/classic/kill/server-in-9``, or a pattern such as
        ``retry/*/drop/*``.
    quick : bool
        Those that take half a minute together: with plain options on a classic queue, all that end a connection at one
        of its own frames; of the rest, some at many different frames.
    """

    def __init__(self, only: str | None = None, *, quick: bool = False):
        self._only = only
        self._quick = quick

    def has(self, case: Case, number: int) -> bool:
        """Return whether a case at this place of its setup is selected."""
        if self._only is not None:
            return fnmatchcase(str(case), self._only)
        if not self._quick or (case.setup == PLAIN and ENDS.get(case.fault) == case.point.role):
            return True
        return (number + SETUPS.index(case.setup)) % QUICK_STRIDE == 0

    def may_have(self, setup: Setup) -> bool:
        """Return whether any case of a setup can be selected."""
        parts = (self._only or "*").split("/")
        return len(parts) < 4 or fnmatchcase(str(setup), "/".join(parts[:2]))
