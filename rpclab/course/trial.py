"""One running check: its own lab, the learner's code in processes, and everything that crosses the wire."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any, TypeVar

import pika

from rpclab.broker.environment import URL_VARIABLE
from rpclab.course import evidence
from rpclab.course.exercise_runner import Scenario, call_each
from rpclab.course.outcome import said
from rpclab.course.running import Running, payload
from rpclab.errors import LabError
from rpclab.findings.case import Case
from rpclab.findings.diagnosis import found
from rpclab.findings.rule import Finding
from rpclab.lab import Lab
from rpclab.rpc.workers import Workers
from rpclab.table import Table
from rpclab.wire.events import Event
from rpclab.wire.messages import Message

# The name of the check's own connection.
CHECK = "check"
LONGEST_SECONDS = 12.0
PATIENCE_SECONDS = 2.5
POLL_SECONDS = 0.02

_Value = TypeVar("_Value")


class Trial:
    """What a check works with. It is separate from the learner's own lab, and leaves nothing behind.

    Parameters
    ----------
    lab : Lab
        The lab of this check alone.

    Attributes
    ----------
    lab : Lab
        For its queues: ``trial.lab.queues()["reports"]["ready"]``.
    story : Story
        All messages since the check began.
    channel : pika.adapters.blocking_connection.BlockingChannel
        The check's own channel, on a connection named ``check``; its callbacks run while the check waits.
    deadline : float
        When all waiting of this check ends, 12 s after it began, in seconds of `time.monotonic`.
    """

    def __init__(self, lab: Lab):
        self.lab = lab
        self.story = lab.story
        self._connection = lab.connect(CHECK)
        self.channel = self._connection.channel()
        self._pools: list[Workers] = []
        self.deadline = time.monotonic() + LONGEST_SECONDS

    def declare(self, *queues: str, **arguments: str) -> None:
        """Declare durable queues; keyword arguments are queue arguments, with ``_`` for ``-``: ``x_max_length=5``."""
        given = {name.replace("_", "-"): value for name, value in arguments.items()} or None
        for queue in queues:
            self.channel.queue_declare(queue, durable=True, arguments=given)

    def publish(self, queue: str, body: str, **properties: Any) -> Message:
        """Publish a message to a queue, with the properties of ``pika.BasicProperties``, and return it from the story.

        The message always shows its current state.
        """
        before = len(self.story.messages)
        self.channel.basic_publish("", queue, body.encode(), pika.BasicProperties(**properties))
        # On a busy machine the bytes may still be on their way to the tap.
        self.lab.tap.catch_up()
        if mine := self.wait(lambda: [one for one in self.story.messages[before:] if one.publisher == CHECK]):
            return mine[-1]
        raise LabError(f"A message that the check published to {queue!r} was not seen on its connection.")

    def ask(self, queue: str, *bodies: str) -> list[Message]:
        """Publish requests that a server should reply to in a callback queue of the check; their ids are the bodies."""
        callback = self.channel.queue_declare("", exclusive=True).method.queue
        return [self.publish(queue, body, reply_to=callback, correlation_id=body) for body in bodies]

    def run(self, name: str, function: Callable, *arguments: object) -> Running:
        """Run a function with the learner's code in a new process, and return when the process has started.

        Parameters
        ----------
        name : str
            The process's name, followed by ``-0``; a second process gets ``-1``.
        function : callable
            A function of a module, usually of `rpclab.course.exercise_runner`.
        *arguments
            Its arguments, the learner's class or function among them.
        """
        files = {(code.co_name, code.co_firstlineno): code.co_filename for code in evidence.codes(arguments)}
        pool = Workers(Scenario, payload(function, arguments), files, count=1, name=name)
        self._pools.append(pool)
        return Running(pool)

    def call(self, name: str, function: Callable, *calls: tuple) -> Running:
        """Call the learner's function in a new process, once for each tuple of arguments, and wait for the end.

        The function gets a new channel each time, and then the arguments.
        """
        running = self.run(name, call_each, function, calls)
        self.wait(lambda: not running.alive, running)
        return running

    def wait(
        self, condition: Callable[[], _Value], running: Running | None = None, seconds: float = PATIENCE_SECONDS
    ) -> _Value:
        """Wait until a condition is true and return its value; give up when it can no longer become true.

        Parameters
        ----------
        condition : callable
            Takes nothing. Called every 20 ms, and once more when the process has ended or time is up.
        running : Running, optional
            The process that the condition depends on.
        seconds : float
            How long to wait when nothing crosses the wire. All waiting of one check ends at its `deadline`.
        """
        begun = time.monotonic()
        while not (value := condition()):
            due = min(max(begun, self.lab.tap.events[-1].time) + seconds, self.deadline)
            over = time.monotonic() > due or (running is not None and not running.alive)
            self._connection.process_data_events(POLL_SECONDS)
            if over:
                self.lab.tap.catch_up()
                return condition()
        return value

    def message(self, body: str, queue: str | None = None) -> Message | None:
        """Return the first message with a body, published to the given queue if one is given."""
        wanted = body.encode()
        return next((m for m in self.story.messages if m.body == wanted and queue in (None, m.routing_key)), None)

    def sent(self, body: str, queue: str | None = None) -> Message:
        """Return the first message with a body that the check has sent.

        Raises
        ------
        LabError
            If it has not crossed the wire.
        """
        self.lab.tap.catch_up()
        message = self.message(body, queue)
        if message is None:
            raise LabError(f"The message {body!r} of this check did not leave for the broker in time. Check again.")
        return message

    def counts(self, queue: str) -> dict[str, int]:
        """Return a queue's counts as they are now; all are 0 if it does not exist."""
        rows = [row for row in self.lab.queues() if row["name"] == queue]
        return rows[0] if rows else {"ready": 0, "unacked": 0, "consumers": 0}

    @property
    def case(self) -> Case:
        """What the rules of `rpclab.findings` look at, without what the broker refused the check itself."""
        self.lab.tap.catch_up()
        case = Case(self.story.whole())
        case.refusals = [one for one in case.refusals if case.name(one.link) != CHECK]
        return case

    def finding(self, *rules: str) -> Finding | None:
        """Return the first thing that rules of `rpclab.findings` find, in the order of the rules, or None."""
        return next(found(self.case, *rules), None)

    def shown_by(self, *rules: str) -> list[Message]:
        """Return the messages that show what `finding` returns; none if it finds nothing."""
        finding = self.finding(*rules)
        numbers = [one.message for one in finding.evidence] if finding else []
        return [message for message in self.story.messages if message.number in numbers]

    @property
    def events(self) -> list[Event]:
        """All methods that have crossed the wire, oldest first."""
        self.lab.tap.catch_up()
        return list(self.lab.tap.events)

    def seen(self) -> Table:
        """Return a row for each message of the check, as it is now."""
        return evidence.table(self.story)

    def said(self) -> tuple[str, ...]:
        """Return the last lines that the learner's code printed."""
        return said([line for pool in self._pools for worker in pool for line in worker.log])

    def close(self) -> None:
        """End the processes."""
        for pool in self._pools:
            for worker in pool:
                worker.kill()


@contextmanager
def open_trial(exercise: str) -> Iterator[Trial]:
    """Open a lab for one check and close it, with all that the check started; the learner's own lab stays current."""
    before = os.environ.get(URL_VARIABLE)
    try:
        with Lab(f"check-{exercise}") as lab, closing(Trial(lab)) as trial:
            yield trial
    finally:
        os.environ.pop(URL_VARIABLE, None)
        if before is not None:
            os.environ[URL_VARIABLE] = before
