"""What runs in a worker process during a check: the learner's code, and one line that tells how it ended."""

from __future__ import annotations

import json
import sys
import traceback

import cloudpickle

from rpclab.broker.connect import connect
from rpclab.environment import connection_parameters

# Begins the line that tells the outcome; nobody prints a zero byte by accident.
OUTCOME = "\0outcome "
LONGEST = 300


class Scenario:
    """A function of a check, together with the learner's code, as `rpclab.Workers` runs it.

    Parameters
    ----------
    payload : bytes
        The function and its arguments, pickled by value. It is read in `start`, where an error is told.
    files : dict
        Where each of the learner's functions was compiled, by its name and first line, so that an error can be told
        by one of its own lines: on its way here the code forgets its file.
    """

    def __init__(self, payload: bytes, files: dict[tuple[str, int], str]):
        self._payload = payload
        self._files = files

    def start(self) -> None:
        """Run the function, and tell what it returned or raised."""
        # The learner's code may put something else in its place.
        tell = sys.stdout.write
        try:
            function, arguments = cloudpickle.loads(self._payload)
            outcome = {"returned": _repr(function(*arguments))}
        except BaseException as error:  # noqa: BLE001  whatever it is, it is told to the one who wrote it
            outcome = _told(error, self._files)
        tell(f"\n{OUTCOME}{json.dumps(outcome)}\n")


def serve(cls: type) -> None:
    """Make a server of a class without arguments, and let it work."""
    cls().start()


def consume(on_request, queue: str, prefetch: int = 1) -> None:
    """Consume from a queue with a function, as `rpclab.BaseServer` does, but declare nothing."""
    with connect(connection_parameters()) as connection:
        channel = connection.channel()
        channel.basic_qos(prefetch_count=prefetch)
        channel.basic_consume(queue, on_request)
        channel.start_consuming()


def _told(error: BaseException, files: dict[tuple[str, int], str]) -> dict:
    """Return an error's name and message, its AMQP code if it has one, and the learner's line that it comes from."""
    frames = traceback.walk_tb(error.__traceback__)
    called = [(frame.f_code.co_name, frame.f_code.co_firstlineno, line) for frame, line in frames]
    own = [(name, files[name, first], line) for name, first, line in called if (name, first) in files]
    function, file, line = own[-1] if own else (None, None, None)
    return {
        "error": type(error).__name__,
        "message": _text(error),
        "code": getattr(error, "reply_code", None),
        "function": function,
        "file": file,
        "line": line,
    }


def _text(error: BaseException) -> str:
    try:
        return str(getattr(error, "reply_text", None) or error)[:LONGEST]
    except Exception:  # noqa: BLE001  an error that cannot be put into words is told all the same
        return "(its message cannot be shown)"


def _repr(value: object) -> str:
    try:
        return repr(value)[:LONGEST]
    except Exception:  # noqa: BLE001  the same of a value
        return f"<{type(value).__name__} that cannot be shown>"
