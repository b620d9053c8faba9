"""The course's two services, addition and Fibonacci numbers, and the clients that ask them.

Their messages are text: ``"3,5"`` is answered by ``"8"``, ``"30"`` by ``"832040"``.
"""

from __future__ import annotations

import re

from rpclab.rpc.client import RpcClient
from rpclab.rpc.queues import ADDITION_QUEUE, FIBONACCI_QUEUE
from rpclab.rpc.service import RpcServer

# The recursive way takes a second or two at this number and doubles its time about every other one after it.
FIBONACCI_LIMIT = 35

# Python refuses to convert longer ones, so as not to be kept busy by a single number.
MOST_DIGITS = 4000

_INTEGER = re.compile(r"[+-]?[0-9]+")


class AdditionServer(RpcServer):
    """Adds two integers: ``"3,5"`` is answered by ``"8"``."""

    def __init__(self, **options):
        super().__init__(ADDITION_QUEUE, **options)

    def handle(self, body: str) -> int:
        """Return the sum of the two integers in the text."""
        x, y = integers(body, 2)
        print(f" [.] {x} + {y}", flush=True)
        return x + y


class FibonacciServer(RpcServer):
    """Computes Fibonacci numbers the slow, recursive way, so that there is something to wait for."""

    def __init__(self, **options):
        super().__init__(FIBONACCI_QUEUE, **options)

    def handle(self, body: str) -> int:
        """Return the Fibonacci number whose index is in the text, from 0 to 35."""
        (n,) = integers(body, 1)
        if not 0 <= n <= FIBONACCI_LIMIT:
            raise ValueError(f"fib({n}) is not served here: send an integer from 0 to {FIBONACCI_LIMIT}")
        print(f" [.] fib({n})", flush=True)
        return self.fib(n)

    def fib(self, n: int) -> int:
        """Return the n-th Fibonacci number, by its definition."""
        if n == 0:
            return 0
        if n == 1:
            return 1
        return self.fib(n - 1) + self.fib(n - 2)


class AddClient(RpcClient):
    """Asks the addition service: ``AddClient().call(3, 5)`` returns 8."""

    def __init__(self, **options):
        super().__init__(ADDITION_QUEUE, **options)

    def add(self, x: int, y: int, *, timeout: float | None = None) -> int:
        """Return x + y, worked out by a server."""
        return self.call(x, y, timeout=timeout)

    def encode(self, x: int, y: int) -> str:
        """Write two integers as the service reads them."""
        return f"{x},{y}"

    def decode(self, body: str) -> int:
        """Read the service's answer."""
        return int(body)


class FibonacciClient(RpcClient):
    """Asks the Fibonacci service: ``FibonacciClient().call(30)`` returns 832040."""

    def __init__(self, **options):
        super().__init__(FIBONACCI_QUEUE, **options)

    def encode(self, n: int) -> str:
        """Write the index as the service reads it."""
        return str(n)

    def decode(self, body: str) -> int:
        """Read the service's answer."""
        return int(body)


def integers(text: str, count: int) -> list[int]:
    """Read so many integers, separated by commas.

    Raises
    ------
    ValueError
        If the text is anything else; the message shows what was expected and what came.
    """
    parts = [part.strip() for part in text.split(",")]
    if len(parts) != count or not all(_INTEGER.fullmatch(part) and len(part) <= MOST_DIGITS for part in parts):
        expected = "one integer, like 30" if count == 1 else f"{count} integers with a comma between, like 3,5"
        raise ValueError(f"expected {expected}, got {text[:40]!r}")
    return [int(part) for part in parts]
