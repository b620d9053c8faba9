"""A lab for runs, with one request queue, and what the broker is asked after each run."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path

from rpclab.broker import inventory
from rpclab.broker.connect import connect
from rpclab.broker.management import Management
from rpclab.lab import Lab
from rpclab.rpc.protocol import declare
from rpclab.rpc.reliability.retry_limit import RetryLimit
from rpclab.sweep.cases import Case, Setup, cases
from rpclab.sweep.crew import Crew
from rpclab.sweep.report import Result
from rpclab.sweep.run import Run
from rpclab.sweep.server import MEMORY_STREAM, QUEUE, BookingServer
from rpclab.sweep.service import Service

# A server that looks up earlier replies reads all of the stream.
STREAM_RUNS = 50


class Station:
    """A lab for the runs of one set of options; a context manager.

    Parameters
    ----------
    setup : Setup
        The options.
    name : str
        The lab's name.
    server : type
        The server's class, made with URL, path of the book, and setup.
    timeout : float
        How many seconds a call may take if no frame is dropped.

    Attributes
    ----------
    passages : list of Passage
        The frames that passed in the run without a fault.
    cases : list of Case
        Every fault at every one of them.
    """

    def __init__(self, setup: Setup, name: str = "sweep", server: type = BookingServer, timeout: float = 10.0):
        self.setup = setup
        self.timeout = timeout
        self.roles: tuple[str, ...] = ()
        self.expected_queues = {QUEUE, MEMORY_STREAM} if setup.remember else {QUEUE}
        self._runs = 0
        with ExitStack() as opened:
            self.lab = opened.enter_context(Lab(name))
            self._book = Path(opened.enter_context(tempfile.TemporaryDirectory()), "book")
            self._book.touch()
            self._api = opened.enter_context(Management(self.lab.broker))
            connection = connect(self.lab.direct_parameters, "sweep inventory")
            opened.callback(connection.close)
            self._channel = connection.channel()
            declare(self._channel, QUEUE, RetryLimit(QUEUE, setup.queue_type, None, "reply").arguments())
            self._crew = opened.enter_context(Crew(server, self.lab.url, str(self._book), setup))
            normal = Run(self, Case(setup))
            normal()
            self.roles = normal.crossing.roles()
            self.passages = normal.crossing.passages()
            self._opened = opened.pop_all()
        self.cases: list[Case] = cases(setup, self.passages)

    def run(self, case: Case) -> Result:
        """Run one case and return its result."""
        self._runs += 1
        if self.setup.remember and not self._runs % STREAM_RUNS:
            self._channel.queue_delete(MEMORY_STREAM)
        return Run(self, case)()

    def service(self) -> Service:
        """Return a server that has not been started yet."""
        return Service(self._crew)

    def times_done(self, body: str) -> int:
        """Return how often a request's work was done."""
        return self._book.read_text().splitlines().count(body)

    def queues(self) -> dict[str, tuple[int, int]]:
        """Return how many messages are ready and unacked in each queue.

        The broker's count of unacked messages is never old for a classic queue. Those of a quorum queue show when the
        server has stopped, because they are ready again then.
        """
        found = inventory.queues(self.lab.broker, self._api, self.lab.vhost, connection=self._channel.connection) or ()
        unacked = {queue["name"]: queue["messages_unacknowledged"] for queue in found if queue["type"] == "classic"}
        return {queue["name"]: (queue["messages_ready"], unacked.get(queue["name"], 0)) for queue in found}

    def close(self) -> None:
        """End the processes and close the lab."""
        self._opened.close()

    def __enter__(self) -> Station:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()
