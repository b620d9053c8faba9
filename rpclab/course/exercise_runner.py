"""What runs in a worker process during a check: the learner's code, and one line that reports how it ended."""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Callable, Iterable

import cloudpickle

from rpclab.broker.connect import connect
from rpclab.broker.environment import connection_parameters
from rpclab.rpc.protocol import message_of

# Begins the line that reports the outcome; no code prints a zero byte by accident.
OUTCOME = "\0outcome "
LONGEST = 300


class Scenario:
    """A function of a check, together with the learner's code, as `rpclab.Workers` runs it.

    Parameters
    ----------
    payload : bytes
        The function and its arguments, pickled by value. It is read in `start`, where an error is reported.
    files : dict
        Where each of the learner's functions was compiled, by its name and first line, so that an error can name one
        of its lines: pickling drops the code's file.
    """

    def __init__(self, payload: bytes, files: dict[tuple[str, int], str]):
        self._payload = payload
        self._files = files

    def start(self) -> None:
        """Run the function, and report what it returned or raised."""
        # The learner's code may replace sys.stdout.
        report = sys.stdout.write
        try:
            function, arguments = cloudpickle.loads(self._payload)
            outcome = {"returned": _repr(function(*arguments))}
        except BaseException as error:  # noqa: BLE001  every error is reported to its author
            outcome = _reported(_cause(error), self._files)
        report(f"\n{OUTCOME}{json.dumps(outcome)}\n")


def serve(cls: type) -> None:
    """Create a server from a class without arguments, and start it."""
    cls().start()


def call_each(function: Callable, calls: Iterable[tuple]) -> list:
    """Call a function with a new channel and each tuple of arguments, and return the results."""
    with connect(connection_parameters()) as connection:
        return [function(connection.channel(), *arguments) for arguments in calls]


def consume(on_request: Callable, queue: str, prefetch: int = 1) -> None:
    """Consume from a queue with a function, as `rpclab.BaseServer` does, without declaring it."""
    with connect(connection_parameters()) as connection:
        channel = connection.channel()
        channel.basic_qos(prefetch_count=prefetch)
        channel.basic_consume(queue, on_request)
        channel.start_consuming()


def _cause(error: BaseException) -> BaseException:
    """Return the `SystemExit` behind an error, if there is one: raised inside pika, it can make an assertion fail."""
    earlier: BaseException | None = error
    while earlier and not isinstance(earlier, SystemExit):
        earlier = earlier.__context__
    return earlier or error


def _reported(error: BaseException, files: dict[tuple[str, int], str]) -> dict:
    """Return an error's name and message, and the learner's line that it comes from."""
    frames = traceback.walk_tb(error.__traceback__)
    called = [(frame.f_code.co_name, frame.f_code.co_firstlineno, line) for frame, line in frames]
    own = [(name, files[name, first], line) for name, first, line in called if (name, first) in files]
    function, file, line = own[-1] if own else (None, None, None)
    return {
        "error": type(error).__name__,
        "message": str(getattr(error, "reply_text", None) or message_of(error))[:LONGEST],
        "function": function,
        "file": file,
        "line": line,
    }


def _repr(value: object) -> str:
    try:
        return repr(value)[:LONGEST]
    except Exception:  # noqa: BLE001  what a function returned is reported anyway
        return f"<{type(value).__name__} that cannot be shown>"
