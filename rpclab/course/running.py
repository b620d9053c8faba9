"""The learner's code as it is sent to a process, and the process that runs it."""

from __future__ import annotations

import sys
from collections.abc import Callable

import cloudpickle

from rpclab.course.outcome import Outcome, read
from rpclab.course.verdict import Mistake
from rpclab.rpc.processes.payload import unpicklable
from rpclab.rpc.processes.worker import Worker
from rpclab.rpc.workers import Workers


class Running:
    """The learner's code in a process."""

    def __init__(self, pool: Workers):
        self._pool = pool

    @property
    def process(self) -> Worker:
        """The process that was started last."""
        return self._pool[-1]

    @property
    def name(self) -> str:
        """The process's name."""
        return self.process.name

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self.process.alive

    @property
    def outcome(self) -> Outcome:
        """How it ended, or that it is running."""
        return read(self.process)

    def kill(self) -> None:
        """Kill it at once, as ``kill -9`` does."""
        self.process.kill()

    def again(self) -> None:
        """Start a process in place of the dead one."""
        self._pool.scale(1)


def payload(function: Callable, arguments: tuple) -> bytes:
    """Pickle a function with its arguments for another process.

    Raises
    ------
    Mistake
        If the learner's code uses something that cannot be sent to another process; it says what.
    """
    # By value, so that the process loads what the function uses, not its whole module.
    module = sys.modules[function.__module__]
    cloudpickle.register_pickle_by_value(module)
    try:
        return cloudpickle.dumps((function, arguments))
    except Exception as error:  # pickling can fail with any exception
        names = ", ".join(f"`{name}`" for name in unpicklable(arguments)) or "something"
        raise Mistake(
            f"Your code uses {names} of this notebook, which cannot be sent to another process "
            f"({type(error).__name__}): connections, channels and labs belong to the process that opened them. Use "
            "what your function is given, or open a connection inside it: "
            "`pika.BlockingConnection(rpclab.connection_parameters())`."
        ) from error
    finally:
        cloudpickle.unregister_pickle_by_value(module)
