"""The servers that the bench runs in worker processes."""

from __future__ import annotations

import threading
import time

from rpclab.bench.pika_baseline import PREFETCH
from rpclab.broker import tls
from rpclab.rpc.rpc_server import RpcServer

SLEEP_SECONDS = 0.02


class _Server(RpcServer):
    """An `RpcServer` that connects where its arguments say."""

    prefetch = 1

    def __init__(self, queue: str, url: str):
        super().__init__(queue, prefetch=self.prefetch, parameters=tls.parameters(url))


class EchoServer(_Server):
    """Answers with the request's own text."""

    prefetch = PREFETCH

    def handle(self, body: str) -> str:
        """Return the text itself."""
        return body


class WorkingServer(_Server):
    """Computes Fibonacci numbers by their definition, which keeps a processor busy."""

    def handle(self, body: str) -> int:
        """Return the Fibonacci number whose index is in the text."""
        return _fibonacci(int(body))


class SleepingServer(_Server):
    """Waits for 20 ms, as for a disk or another service, which keeps no processor busy."""

    def handle(self, body: str) -> str:
        """Return the text itself, late."""
        time.sleep(SLEEP_SECONDS)
        return body


class HoldingServer(_Server):
    """Prints that it has begun, and never ends."""

    def handle(self, body: str) -> str:
        """Print the text and hold the request until the process is killed."""
        print(f"begun {body}", flush=True)
        threading.Event().wait()
        return body


def _fibonacci(n: int) -> int:
    return n if n < 2 else _fibonacci(n - 1) + _fibonacci(n - 2)
