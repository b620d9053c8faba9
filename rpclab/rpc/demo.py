"""The whole case study in one run: servers, callback workers and clients in real processes, and what each did."""

from __future__ import annotations

from rpclab.lab import Lab
from rpclab.rpc.arithmetic import AddClient, FibonacciClient
from rpclab.rpc.case_study import CaseStudy
from rpclab.rpc.queues import ADDITION_CALLBACK_QUEUE, FIBONACCI_CALLBACK_QUEUE

SUMS = ((3, 5), (20, 22), (1, 1), (40, 2))
INDICES = (10, 20, 25, 5)


def run() -> None:
    """Run the system: two servers of each kind, two callback workers for each callback queue, two clients."""
    with Lab("demo") as lab, CaseStudy() as system, AddClient() as add, FibonacciClient() as fibonacci:
        print("Starting 2 addition servers, 2 Fibonacci servers and 2 + 2 callback workers ...", flush=True)
        system.start()
        print("\nFour requests of each kind, to be answered to the callback workers:")
        for (x, y), n in zip(SUMS, INDICES, strict=True):
            add.send(x, y, reply_to=ADDITION_CALLBACK_QUEUE)
            fibonacci.send(n, reply_to=FIBONACCI_CALLBACK_QUEUE)
            print(f" [x] Requesting {x} + {y} and fib({n})")
        print("\nTwo more whose answers come back to the clients themselves:")
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
