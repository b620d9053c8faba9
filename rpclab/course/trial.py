"""One check under way: a lab of its own, the learner's code in processes, and everything that crosses the wire."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pika

from rpclab.course import evidence
from rpclab.course.inside import Scenario
from rpclab.course.outcome import said
from rpclab.course.running import Running, payload
from rpclab.environment import URL_VARIABLE
from rpclab.errors import LabError
from rpclab.lab import Lab
from rpclab.rpc.workers import Workers
from rpclab.table import Table
from rpclab.wire.frames import Event
from rpclab.wire.messages import Message
from rpclab.wire.story import Story

# How the check's own connection is called.
CHECK = "check"
LONGEST_SECONDS = 12.0
PATIENCE_SECONDS = 2.5
POLL_SECONDS = 0.02


class Trial:
    """What a check works with. It has nothing to do with the learner's own lab, and leaves nothing behind.

    Parameters
    ----------
    lab : Lab
        The lab of this check alone.

    Attributes
    ----------
    lab : Lab
        To be asked for queues: ``trial.lab.queues()["reports"]["ready"]``.
    story : Story
        All messages since the check began.
    channel : pika.adapters.blocking_connection.BlockingChannel
        The check's own, on a connection called ``check``; its callbacks run while the check waits.
    """

    def __init__(self, lab: Lab):
        self.lab = lab
        self.story = Story(lab.tap.registry.shown)
        self._last_event = time.monotonic()
        self._unsubscribe = lab.tap.subscribe(self._take)
        self._connection = lab.connect(CHECK)
        self.channel = self._connection.channel()
        self._pools: list[Workers] = []
        self._deadline = time.monotonic() + LONGEST_SECONDS

    def declare(self, *queues: str, **arguments: str) -> None:
        """Declare durable queues; keyword arguments are theirs, with ``_`` for ``-``: ``x_max_length=5``."""
        given = {name.replace("_", "-"): value for name, value in arguments.items()} or None
        for queue in queues:
            self.channel.queue_declare(queue, durable=True, arguments=given)

    def publish(self, queue: str, body: str, **properties) -> Message:
        """Publish a message to a queue, with the properties of ``pika.BasicProperties``, and return it from the story.

        What becomes of it can be seen from it at any time.
        """
        before = len(self._published())
        self.channel.basic_publish("", queue, body, pika.BasicProperties(**properties))
        given_up = time.monotonic() + PATIENCE_SECONDS
        # On a busy machine the bytes may still be on their way to the tap.
        while not (mine := self._published()[before:]):
            self.lab.tap.catch_up()
            if time.monotonic() > given_up:
                raise LabError(f"A message that the check published to {queue!r} was not seen on its connection.")
        return mine[-1]

    def run(self, name: str, function: Callable, *arguments) -> Running:
        """Run a function with the learner's code in a process of its own, and return when the process is there.

        Parameters
        ----------
        name : str
            What the process is called, followed by ``-0``; the one after it by ``-1``.
        function : callable
            A function of a module, usually of `rpclab.course.inside`.
        *arguments
            What to call it with, the learner's class or function among them.
        """
        files = {(code.co_name, code.co_firstlineno): code.co_filename for code in evidence.codes(arguments)}
        pool = Workers(Scenario, payload(function, arguments), files, count=1, name=name)
        self._pools.append(pool)
        return Running(pool)

    def wait(self, condition: Callable[[], object], running: Running | None = None, seconds: float = PATIENCE_SECONDS):
        """Wait until a condition is true and return its value; give up when it cannot become true any more.

        Parameters
        ----------
        condition : callable
            Takes nothing. Asked every 20 ms, and a last time when the process has ended or time is up.
        running : Running, optional
            The process without which nothing more is to be expected.
        seconds : float
            How long to wait when nothing crosses the wire. All waiting of one check together ends after 12 s.
        """
        begun = time.monotonic()
        while not (value := condition()):
            due = min(max(begun, self._last_event) + seconds, self._deadline)
            over = time.monotonic() > due or (running is not None and not running.alive)
            self._connection.process_data_events(POLL_SECONDS)
            if over:
                self.lab.tap.catch_up()
                return condition()
        return value

    def message(self, body: str, queue: str | None = None) -> Message | None:
        """Return the first message with a body, published to a queue if one is named."""
        wanted = body.encode()
        return next((m for m in self.story.messages if m.body == wanted and queue in (None, m.routing_key)), None)

    def counts(self, queue: str) -> dict[str, int]:
        """Return a queue's counts, true now; all are 0 if it does not exist."""
        rows = [row for row in self.lab.queues() if row["name"] == queue]
        return rows[0] if rows else {"ready": 0, "unacked": 0, "consumers": 0}

    @property
    def events(self) -> list[Event]:
        """All methods that have crossed the wire, oldest first."""
        self.lab.tap.catch_up()
        return list(self.lab.tap.events)

    def seen(self) -> Table:
        """Return a row for each message of the check, as things stand now."""
        return evidence.table(self.story)

    def said(self) -> tuple[str, ...]:
        """Return the last lines that the learner's code printed."""
        return said([line for pool in self._pools for worker in pool for line in worker.log])

    def close(self) -> None:
        """End the processes and the watching; what the story holds stays as it is."""
        self._unsubscribe()
        for pool in self._pools:
            for worker in pool:
                worker.kill()

    def _published(self) -> list[Message]:
        """The check's own messages."""
        return [message for message in self.story.messages if message.publisher == CHECK]

    def _take(self, event: Event) -> None:
        self.story.take(event)
        self._last_event = event.time


@contextmanager
def open_trial(exercise: str) -> Iterator[Trial]:
    """Open a lab for one check and end it, with all that the check started; the learner's own stays the current one."""
    before = os.environ.get(URL_VARIABLE)
    lab = Lab(f"check-{exercise}")
    try:
        with lab:
            trial = Trial(lab)
            try:
                yield trial
            finally:
                trial.close()
    finally:
        os.environ.pop(URL_VARIABLE, None)
        if before is not None:
            os.environ[URL_VARIABLE] = before
