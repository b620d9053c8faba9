"""The course's two services, addition and Fibonacci numbers, and their clients.

Their messages are text: the reply to ``"3,5"`` is ``"8"``, the reply to ``"30"`` is ``"832040"``.
"""

from __future__ import annotations

import re
from typing import Any

from rpclab.rpc.client import RpcClient
from rpclab.rpc.protocol import ADDITION_QUEUE, FIBONACCI_QUEUE
from rpclab.rpc.rpc_server import RpcServer

# Recursion takes a second or two for this number, and about twice as long for every second one after it.
FIBONACCI_LIMIT = 35

# Python refuses to convert longer ones, because a single number could keep it busy.
MOST_DIGITS = 4000

_INTEGER = re.compile(r"[+-]?[0-9]+")


class AdditionServer(RpcServer):
    """Adds two integers: the reply to ``"3,5"`` is ``"8"``."""

    def __init__(self, **options: Any):
        super().__init__(ADDITION_QUEUE, **options)

    def handle(self, body: str) -> int:
        """Return the sum of the two integers in the text."""
        x, y = integers(body, 2)
        print(f" [.] {x} + {y}", flush=True)
        return x + y


class FibonacciServer(RpcServer):
    """Computes Fibonacci numbers by slow recursion, so that a request takes time."""

    def __init__(self, **options: Any):
        super().__init__(FIBONACCI_QUEUE, **options)

    def handle(self, body: str) -> int:
        """Return the Fibonacci number whose index is in the text, from 0 to 35."""
        (n,) = integers(body, 1)
        if not 0 <= n <= FIBONACCI_LIMIT:
            raise ValueError(f"fib({n}) takes too long: send an integer from 0 to {FIBONACCI_LIMIT}")
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
    """Calls the addition service: ``AddClient().call(3, 5)`` returns 8."""

    def __init__(self, **options: Any):
        super().__init__(ADDITION_QUEUE, **options)

    def add(self, x: int, y: int, *, timeout: float | None = None) -> int:
        """Return x + y, computed by a server."""
        return int(self.call(x, y, timeout=timeout))

    def encode(self, x: int, y: int) -> str:  # type: ignore[override]  # each service has its own arguments
        """Write two integers as the service reads them."""
        return f"{x},{y}"

    def decode(self, body: str) -> int:
        """Read the service's reply."""
        return int(body)


class FibonacciClient(RpcClient):
    """Calls the Fibonacci service: ``FibonacciClient().call(30)`` returns 832040."""

    def __init__(self, **options: Any):
        super().__init__(FIBONACCI_QUEUE, **options)

    def encode(self, n: int) -> str:
        """Write the index as the service reads it."""
        return str(n)

    def decode(self, body: str) -> int:
        """Read the service's reply."""
        return int(body)


def integers(text: str, count: int) -> list[int]:
    """Return `count` integers, separated by commas in the text.

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
