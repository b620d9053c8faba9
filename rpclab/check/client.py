"""What a client should do with replies that it does not expect: its program is run against a server that sends them."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from uuid import uuid4

import pika
from pika.exceptions import ChannelClosedByBroker, NackError, UnroutableError

from rpclab.broker.connect import connect
from rpclab.check.asker import POLL_SECONDS, counts
from rpclab.check.lines import NOT_TRIED, Lines
from rpclab.errors import InvalidOption, QueueNotFound
from rpclab.table import shortened
from rpclab.watch.program import Program

SHOWN = 80
OTHER = b"not this request's reply, says rpclab check"
HIDDEN = "its output does not show the reply, or is not the same in each run"

ASKS = "sends a request"
REPLY_TO = "names a reply queue that exists"
IDS = "gives each request a correlation id of its own"
PLAIN = "takes the reply and ends with exit code 0"
STRAYS = "is not misled by a reply with another id"
DOUBLE = "is not misled by a second reply"
DEADLINE = "has a deadline"
LATE = "is not misled by a late reply"
ALL = (ASKS, REPLY_TO, IDS, PLAIN, STRAYS, DOUBLE, DEADLINE, LATE)


class ClientCheck:
    """Runs a client's program again and again, each time with other replies; a context manager.

    Parameters
    ----------
    parameters : pika.connection.Parameters
        Where to connect.
    queue : str
        Where the client sends its requests. It is declared, durable, if it does not exist, and deleted in the end.
    reply : bytes
        The right reply to each of its requests.
    timeout : float
        How many seconds it may wait for a reply.
    start : callable
        Starts the program, with a file for its output.
    lines : Lines
        Takes what is found.
    """

    def __init__(self, parameters: pika.connection.Parameters, queue: str, reply: bytes, timeout: float,
                 start: Callable[..., Program], lines: Lines):
        self._queue, self._reply, self._timeout, self._start, self._lines = queue, reply, timeout, start, lines
        self._requests: list[pika.BasicProperties] = []
        self._unanswered: list[pika.BasicProperties] = []
        self._nowhere = 0
        self._how: Callable[[pika.BasicProperties], None] = self._answer
        self._connection = connect(parameters, "rpclab check")
        self._ours = self._declare()
        self._channel = self._connection.channel()
        self._channel.confirm_delivery()
        self._channel.basic_consume(queue, self._asked, auto_ack=True)

    def run(self) -> None:
        """Try everything."""
        code, output = self._run(self._answer)
        if not self._lines.add(ASKS, bool(self._requests), f"{len(self._requests)} at {self._queue}"):
            return self._lines.add_rest(ALL, "no request came")
        ids = [properties.correlation_id for properties in self._requests]
        to = [properties.reply_to for properties in self._requests]
        reached = None not in to and not self._nowhere
        missing = f"{to.count(None)} without reply_to, {self._nowhere} to a queue that does not exist"
        self._lines.add(REPLY_TO, reached, "" if reached else missing)
        own = None not in ids and len(set(ids)) == len(ids)
        self._lines.add(IDS, own, "" if own else f"{ids.count(None)} without, {len(ids) - len(set(ids))} repeated")
        if not self._lines.add(PLAIN, code == 0, f"exit code {code}" if code is not None else self._waits()):
            return self._lines.add_rest(ALL, "it did not end well with the right reply")
        shows = self._reply in output and self._run(self._answer) == (code, output)
        for name, how in ((STRAYS, self._stray_first), (DOUBLE, self._twice)):
            self._compare(name, (code, output) if shows else None, self._run(how))
        code, output = self._run(self._late)
        self._lines.add(DEADLINE, code is not None, f"exit code {code}" if code is not None else self._waits())
        if code is None or len(self._requests) < 2 or not shows:
            why = "it sent no other request after its deadline" if shows else HIDDEN
            self._lines.add(LATE, NOT_TRIED, why)
        else:
            misled = OTHER in output
            said = "it took it for the next one" if misled else "its output does not have it"
            self._lines.add(LATE, not misled, said)
        return None

    def close(self) -> None:
        if self._connection.is_open:
            if self._ours:
                with suppress(ChannelClosedByBroker):
                    self._connection.channel().queue_delete(self._queue)
            self._connection.close()

    def __enter__(self) -> ClientCheck:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def _declare(self) -> bool:
        """Declare the queue if it does not exist; return whether we did."""
        try:
            consumers = counts(self._connection, self._queue).consumer_count
        except QueueNotFound:
            self._connection.channel().queue_declare(self._queue, durable=True)
            return True
        if consumers:
            raise InvalidOption(f"A server serves queue {self._queue!r}. Stop it, so that check gets the requests.")
        return False

    def _run(self, how: Callable[[pika.BasicProperties], None]) -> tuple[int | None, bytes]:
        """Run the program; return its exit code and output, None for a program that had to be ended."""
        self._how, self._requests, self._unanswered, self._nowhere = how, [], [], 0
        with tempfile.TemporaryFile() as output:
            with self._start(output) as program:
                count, since = -1, 0.0
                while program.code is None and (count != len(self._requests) or time.monotonic() < since):
                    if count != len(self._requests):
                        count, since = len(self._requests), time.monotonic() + self._timeout
                    self._connection.process_data_events(time_limit=POLL_SECONDS)
                code = program.code
            output.seek(0)
            return code, output.read()

    def _asked(self, channel: object, method: object, properties: pika.BasicProperties, body: bytes) -> None:
        self._requests.append(properties)
        if properties.reply_to:
            self._how(properties)

    def _send(self, properties: pika.BasicProperties, body: bytes, id: str | None) -> None:
        try:
            self._channel.basic_publish(
                "", properties.reply_to, body, pika.BasicProperties(correlation_id=id), mandatory=True
            )
        except (UnroutableError, NackError):
            self._nowhere += 1

    def _answer(self, properties: pika.BasicProperties) -> None:
        self._send(properties, self._reply, properties.correlation_id)

    def _stray_first(self, properties: pika.BasicProperties) -> None:
        self._send(properties, OTHER, str(uuid4()))
        self._answer(properties)

    def _twice(self, properties: pika.BasicProperties) -> None:
        self._answer(properties)
        self._send(properties, OTHER, properties.correlation_id)

    def _late(self, properties: pika.BasicProperties) -> None:
        """Answer the first request only when the second has come."""
        for late in self._unanswered:
            self._send(late, OTHER, late.correlation_id)
        if len(self._requests) > 1:
            self._answer(properties)
        self._unanswered = [properties] if len(self._requests) == 1 else []

    def _compare(self, name: str, before: tuple[int | None, bytes] | None, after: tuple[int | None, bytes]) -> None:
        if before is None:
            self._lines.add(name, NOT_TRIED, HIDDEN)
        elif after[0] is None:
            self._lines.add(name, False, self._waits())
        else:
            said = after[1].decode(errors="backslashreplace").strip().splitlines()
            differs = f"exit code {after[0]}, and it printed {shortened((said or [''])[-1], SHOWN)!r}"
            self._lines.add(name, after == before, "same output as without it" if after == before else differs)

    def _waits(self) -> str:
        return f"it still ran {self._timeout:g} s after its last request; --timeout gives it longer"
