"""The server that is checked: the requests it gets, whether it still serves its queue, and starting it again."""

from __future__ import annotations

from collections.abc import Callable

from rpclab.check.asker import Asker
from rpclab.check.lines import Lines
from rpclab.errors import QueueNotFound
from rpclab.watch.program import Program

STARTING_SECONDS = 20
SETTLING_SECONDS = 2
OR_START_IT = "or end the command with -- and the server's own command"


class Started:
    """The server's program if check starts it: again after each thing that has ended it; a context manager."""

    def __init__(self, start: Callable[[], Program]):
        self._start = start
        self.program = start()

    def again(self) -> None:
        """Start it again if it has ended."""
        if self.program.code is not None:
            self.program.end()
            self.program = self._start()

    def __enter__(self) -> Started:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.program.end()


class Served:
    """A server at its queue.

    Parameters
    ----------
    asker : Asker
        What sends the requests.
    lines : Lines
        Takes what is found.
    request : bytes
        A request that the server can answer.
    started : Started, optional
        Its program, if check starts it.

    Attributes
    ----------
    by_id : bool
        Whether a reply is known by its id; else it is the next one that comes.
    took : float
        For how many seconds the first request waited for its reply.
    """

    def __init__(self, asker: Asker, lines: Lines, request: bytes, started: Started | None):
        self.asker, self.lines, self.request, self.started = asker, lines, request, started
        self.by_id = True
        self.took = 0.0

    def add(self, name: str, outcome: bool, evidence: str) -> None:
        """Add a line; of a failure, it says how the program ended, if it did."""
        self.lines.add(name, outcome, evidence + ("" if outcome else self.how_it_ended()))

    def is_back(self) -> bool:
        """Return whether the queue has a consumer, which is started again if check started it."""
        if self.started and self.started.program.code is not None:
            self.asker.take_back()  # it would end the next one as well
            self.started.again()
            return self.consumers_within(STARTING_SECONDS) > 0
        if not self.consumers_within(SETTLING_SECONDS):
            self.asker.take_back()
            return False
        return True

    def consumers_within(self, seconds: float) -> int:
        """Wait for a consumer, for some seconds at most, and return how many there are."""
        def found() -> int:
            running = not self.started or self.started.program.code is None
            return self.consumers() or (0 if running else -1)

        return max(0, self.asker.until(found, seconds))

    def consumers(self) -> int:
        """Return how many consumers the queue has; none if it does not exist."""
        try:
            return self.asker.counts().consumer_count
        except QueueNotFound:
            return 0

    def how_it_ended(self) -> str:
        """Return with which exit code the program ended, if check started it and it did."""
        if not self.started or self.consumers() or not self.started.program.ends_within(SETTLING_SECONDS):
            return ""
        return f"; its exit code is {self.started.program.code}"
