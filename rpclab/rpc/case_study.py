"""The whole system of the case study: two services, and callback workers for the answers of each."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from rpclab.rpc.arithmetic import AdditionServer, FibonacciServer
from rpclab.rpc.callback import CallbackWorker
from rpclab.rpc.queues import ADDITION_CALLBACK_QUEUE, FIBONACCI_CALLBACK_QUEUE
from rpclab.rpc.workers import Workers

PROCESSES = 2


class CaseStudy:
    """Addition servers, Fibonacci servers and callback workers, each several processes; a context manager.

    None runs until `start` is called.

    Attributes
    ----------
    addition, fibonacci : Workers
        The servers.
    addition_callbacks, fibonacci_callbacks : Workers
        The processes that take what is sent to the named callback queues.
    """

    def __init__(self):
        self.addition = Workers(AdditionServer, count=0)
        self.fibonacci = Workers(FibonacciServer, count=0)
        self.addition_callbacks = Workers(
            CallbackWorker, ADDITION_CALLBACK_QUEUE, count=0, name="AdditionCallbackWorker"
        )
        self.fibonacci_callbacks = Workers(
            CallbackWorker, FIBONACCI_CALLBACK_QUEUE, count=0, name="FibonacciCallbackWorker"
        )

    @property
    def pools(self) -> tuple[Workers, ...]:
        """All four kinds of processes."""
        return self.addition, self.fibonacci, self.addition_callbacks, self.fibonacci_callbacks

    def start(self, count: int = PROCESSES) -> None:
        """Have at least so many processes of each kind run; return when all of them consume.

        Those of a kind begin to consume one after the other, so that the broker, which takes turns, serves them in the
        order of their numbers.
        """

        def start(pool: Workers) -> None:
            for number in range(len(pool.pids), count):
                pool.scale(number + 1)

        with ThreadPoolExecutor(len(self.pools)) as threads:
            list(threads.map(start, self.pools))

    def stop(self) -> None:
        """End all processes; a second time does nothing."""
        with ThreadPoolExecutor(len(self.pools)) as threads:
            list(threads.map(Workers.stop, self.pools))

    def __enter__(self) -> CaseStudy:
        return self

    def __exit__(self, *exc_info) -> None:
        self.stop()
