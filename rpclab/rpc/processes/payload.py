"""What is sent to a worker process, pickled by value, and what cannot be sent.

Another process cannot import a class of a notebook cell or a script, so cloudpickle sends the class itself, together
with what it uses: https://github.com/cloudpipe/cloudpickle.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from types import FunctionType, MethodType, ModuleType
from typing import Any

import cloudpickle

from rpclab.errors import InvalidOption

# Whether these can be sent depends on what they refer to.
_CARRIERS = (type, FunctionType, MethodType, ModuleType)
_OURS = ("rpclab", "pika")


def pickled(cls: type, arguments: tuple) -> bytes:
    """Return a server's class and arguments, pickled by value.

    Raises
    ------
    InvalidOption
        If they hold something that belongs to this process, for example a client, a lab or a connection.
    """
    try:
        return cloudpickle.dumps((cls, arguments))
    except Exception as error:  # pickling can fail with any exception
        culprit = _culprit((cls, arguments))
        what = "something" if culprit is None else f"a {type(culprit).__name__}"
        raise InvalidOption(
            f"Workers({cls.__name__}, ...) would have to send {what} to another process, and it cannot be sent "
            f"({type(error).__name__}: {error}). Connections, channels, clients, labs, sockets and locks belong to the "
            f"process that made them. Make it in the __init__ of {cls.__name__}, which runs in the worker: there "
            "rpclab.RpcClient(queue) and pika.BlockingConnection(rpclab.connection_parameters()) find the open lab."
        ) from error


def unpicklable(values: Iterable[object]) -> list[str]:
    """Return the names that functions and classes use and that cannot be sent to another process."""
    return [name for name, used in sorted(_globals(values).items()) if not _can_be_pickled(used)]


def _culprit(value: object) -> object:
    """Return the outermost object that cannot be pickled, one of rpclab or pika if there is one."""
    recorder = _Recorder(io.BytesIO())
    try:
        recorder.dump(value)
    except Exception:  # noqa: BLE001  the caller knows that it fails
        stuck = [each for each in recorder.met if not _can_be_pickled(each)]
        ours = [each for each in stuck if type(each).__module__.partition(".")[0] in _OURS]
        return next(iter(ours or stuck), None)
    return None


class _Recorder(cloudpickle.Pickler):
    """Remembers the objects that it meets, from the outside in."""

    def __init__(self, file: io.BytesIO):
        super().__init__(file)
        self.met: list[object] = []

    def reducer_override(self, obj: object) -> Any:
        if not isinstance(obj, _CARRIERS):
            self.met.append(obj)
        return super().reducer_override(obj)


def _globals(values: Iterable[object]) -> dict[str, object]:
    found: dict[str, object] = {}
    for value in values:
        if isinstance(value, FunctionType):
            names = value.__code__.co_names
            found |= {name: value.__globals__[name] for name in names if name in value.__globals__}
        elif isinstance(value, type):
            found |= _globals(part for part in vars(value).values() if isinstance(part, FunctionType))
    return found


def _can_be_pickled(value: object) -> bool:
    try:
        cloudpickle.dumps(value)
    except Exception:  # noqa: BLE001  the answer is no, whatever the reason
        return False
    return True
