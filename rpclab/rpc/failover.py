"""A client's way to another node: its connection opened there, and what was waiting sent again."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future

from rpclab.errors import BrokerUnavailable, ConnectionLost, LabError, QueueUnavailable, RpcTimeout
from rpclab.rpc.session import Session, fail

# A node that is down, a queue whose leader is being elected: what another attempt may find mended.
PASSING = (BrokerUnavailable, ConnectionLost, QueueUnavailable)
WAIT_SECONDS = (0.0, 0.1, 0.2, 0.5, 1.0)
CALM_SECONDS = 5.0


class Failover:
    """Sends the calls of a lost connection again over a new one, until their deadlines.

    Parameters
    ----------
    session : callable
        Returns the session that is open, after opening one at any node if need be.
    send : callable
        Takes a session and a call, and sends the call's request there.
    timed_out : callable
        Takes a call and what hindered it, when its deadline has passed.
    """

    def __init__(self, session: Callable[[], Session], send: Callable, timed_out: Callable[[Future, LabError], None]):
        self._session = session
        self._send = send
        self._timed_out = timed_out
        self._attempt = 0
        self._last = 0.0

    def take_over(self, calls: list[Future]) -> None:
        """Look after these calls from now on, in a thread that ends when each is sent or over."""
        threading.Thread(target=self._run, args=(calls,), name="rpclab failover", daemon=True).start()

    def _run(self, calls: list[Future]) -> None:
        while calls:
            time.sleep(self._pause())
            try:
                session = self._session()
                while calls:
                    self._send(session, calls[0])
                    calls.pop(0)
            except PASSING as error:
                calls = self._still_waiting(calls, error)
            except LabError as error:
                for call in calls:
                    fail(call, error)
                return

    def _pause(self) -> float:
        """Return how many seconds to wait before an attempt: the more, the more of them there were of late."""
        self._attempt = self._attempt + 1 if time.monotonic() - self._last < CALM_SECONDS else 0
        self._last = time.monotonic()
        return WAIT_SECONDS[min(self._attempt, len(WAIT_SECONDS) - 1)]

    def _still_waiting(self, calls: list[Future], error: LabError) -> list[Future]:
        now, waiting = time.monotonic(), []
        for call in calls:
            if now < call.sent + call.timeout:
                waiting.append(call)
            else:
                self._timed_out(call, RpcTimeout(f"No reply within {call.timeout:g} s. {error}"))
        return [call for call in waiting if not call.cancelled()]
