"""The whole system of the case study: two services, callback workers for the replies of each, and one run of it all."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from rpclab.lab import Lab
from rpclab.rpc.arithmetic import AddClient, AdditionServer, FibonacciClient, FibonacciServer
from rpclab.rpc.callback_worker import CallbackWorker
from rpclab.rpc.protocol import ADDITION_CALLBACK_QUEUE, FIBONACCI_CALLBACK_QUEUE
from rpclab.rpc.workers import Workers

PROCESSES = 2
SUMS = ((3, 5), (20, 22), (1, 1), (40, 2))
INDICES = (10, 20, 25, 5)


class CaseStudy:
    """Addition servers, Fibonacci servers and callback workers, each several processes; a context manager.

    None runs until `start` is called.

    Attributes
    ----------
    addition, fibonacci : Workers
        The servers.
    addition_callbacks, fibonacci_callbacks : Workers
        The processes that consume from the named callback queues.
    """

    def __init__(self) -> None:
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
        """Start processes until at least `count` of each kind run; return when all of them consume.

        Those of a kind begin to consume one after the other, so that the broker, which takes turns, sends requests in
        the order of their numbers.
        """

        def start(pool: Workers) -> None:
            for number in range(len(pool.pids), count):
                pool.scale(number + 1)

        with ThreadPoolExecutor(len(self.pools)) as threads:
            list(threads.map(start, self.pools))

    def stop(self) -> None:
        """Stop all processes; calling it again has no effect."""
        with ThreadPoolExecutor(len(self.pools)) as threads:
            list(threads.map(Workers.stop, self.pools))

    def __enter__(self) -> CaseStudy:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()


def run() -> None:
    """Run the system: two servers of each kind, two callback workers for each callback queue, two clients."""
    with Lab("demo") as lab, CaseStudy() as system, AddClient() as add, FibonacciClient() as fibonacci:
        print("Starting 2 addition servers, 2 Fibonacci servers and 2 + 2 callback workers ...", flush=True)
        system.start()
        print("\nFour requests of each kind, with replies to the callback workers:")
        for (x, y), n in zip(SUMS, INDICES, strict=True):
            add.send(x, y, reply_to=ADDITION_CALLBACK_QUEUE)
            fibonacci.send(n, reply_to=FIBONACCI_CALLBACK_QUEUE)
            print(f" [x] Requesting {x} + {y} and fib({n})")
        print("\nTwo more, with replies to the clients themselves:")
        print(f" [x] 3 + 5 = {add.call(3, 5)}")
        print(f" [x] fib(30) = {fibonacci.call(30)}")
        for pool in (system.addition_callbacks, system.fibonacci_callbacks):
            pool.wait_for_lines("received item", len(SUMS))
        print("\nWhat each process printed:")
        for pool in system.pools:
            print(pool.log)
        print("\nThe queues now, before everything stops:")
        print(lab.queues())
    print("\nAll processes stopped.")
