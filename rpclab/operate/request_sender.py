"""The thread that sends a panel's requests, so that the kernel never waits for a connection or a file."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from queue import SimpleQueue

from rpclab.operate.request_log import Request, RequestLog
from rpclab.rpc.client import RpcClient


class Sender:
    """Sends requests with a client, and does other slow things, one after the other, in its own thread.

    The thread is a daemon: a notebook or script that ends in the middle of a burst just ends.

    Parameters
    ----------
    client : RpcClient
        The client that sends.
    timeout : float or None
        Seconds that each request waits for its reply; the client's timeout if None.
    log : RequestLog
        The record of what happens to the requests.
    """

    def __init__(self, client: RpcClient, timeout: float | None, log: RequestLog):
        self._client = client
        self._timeout = timeout
        self._log = log
        self._actions: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="rpclab panel sender", daemon=True)
        self._thread.start()

    def send(self, requests: list[Request]) -> None:
        """Send requests, except those that are given up before their turn comes."""
        self._actions.put(partial(self._send_all, requests))

    def do(self, action: Callable[[], None]) -> None:
        """Do something else; it must not raise."""
        self._actions.put(action)

    def close(self) -> None:
        """End the thread when it has done everything that it was given."""
        self._actions.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (action := self._actions.get()) is not None:
            action()

    def _send_all(self, requests: list[Request]) -> None:
        for request in requests:
            if request.outcome is None:
                self._send_one(request)

    def _send_one(self, request: Request) -> None:
        done: Future
        try:
            done = call = self._client.submit(*request.arguments, timeout=self._timeout)
        except Exception as error:  # noqa: BLE001  an encode method may raise anything, and its row shows it
            done = Future()
            done.set_exception(error)
        else:
            self._log.sent(request, call)
        done.add_done_callback(partial(self._log.settle, request))
