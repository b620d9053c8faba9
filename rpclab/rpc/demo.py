"""The whole case study in one run: servers, callback workers and clients in real processes, and what each did."""

from __future__ import annotations

from contextlib import ExitStack

from rpclab.lab import Lab
from rpclab.rpc.arithmetic import AddClient, AdditionServer, FibonacciClient, FibonacciServer
from rpclab.rpc.callback import CallbackWorker
from rpclab.rpc.queues import ADDITION_CALLBACK_QUEUE, FIBONACCI_CALLBACK_QUEUE
from rpclab.rpc.workers import Workers

SUMS = ((3, 5), (20, 22), (1, 1), (40, 2))
INDICES = (10, 20, 25, 5)
PROCESSES = 2


def run() -> None:
    """Run the system: two servers of each kind, two callback workers for each callback queue, two clients."""
    with Lab("demo") as lab, ExitStack() as running:
        print("Starting 2 addition servers, 2 Fibonacci servers and 2 + 2 callback workers ...", flush=True)
        servers = [
            running.enter_context(Workers(AdditionServer, count=PROCESSES)),
            running.enter_context(Workers(FibonacciServer, count=PROCESSES)),
        ]
        callbacks = [
            running.enter_context(Workers(CallbackWorker, queue, count=PROCESSES, name=name))
            for queue, name in (
                (ADDITION_CALLBACK_QUEUE, "AdditionCallbackWorker"),
                (FIBONACCI_CALLBACK_QUEUE, "FibonacciCallbackWorker"),
            )
        ]
        add, fibonacci = running.enter_context(AddClient()), running.enter_context(FibonacciClient())
        print("\nFour requests of each kind, to be answered to the callback workers:")
        for (x, y), n in zip(SUMS, INDICES, strict=True):
            add.send(x, y, reply_to=ADDITION_CALLBACK_QUEUE)
            fibonacci.send(n, reply_to=FIBONACCI_CALLBACK_QUEUE)
            print(f" [x] Requesting {x} + {y} and fib({n})")
        print("\nTwo more whose answers come back to the clients themselves:")
        print(f" [x] 3 + 5 = {add.call(3, 5)}")
        print(f" [x] fib(30) = {fibonacci.call(30)}")
        for pool in callbacks:
            pool.wait_for_lines("received item", len(SUMS))
        print("\nWhat each process printed:")
        for pool in (*servers, *callbacks):
            print(pool.log)
        print("\nThe queues now, before everything stops:")
        print(lab.queues())
    print("\nAll processes stopped.")
