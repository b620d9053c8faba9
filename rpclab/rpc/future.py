"""The reply to one request, now or later."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from typing import Any

from rpclab.errors import RpcTimeout

GRACE = 1.0

logger = logging.getLogger(__name__)


class RpcFuture(Future[Any]):
    """The reply to one request, now or later.

    Attributes
    ----------
    correlation_id : str
        The id that the request and its reply share.
    body : str
        The request's body.
    timeout : float
        Seconds that the request waits for its reply.
    sent : float
        When it was made, on the monotonic clock.
    worker : str or None
        Name of the process that replied, where the reply says so.
    seconds : float or None
        From sending to the reply, the error or the deadline.
    times_sent : int
        How often the request has been sent; more than once only by a client with ``retry``.
    """

    def __init__(self, body: str, timeout: float, may_wait: Callable[[], None] = lambda: None):
        super().__init__()
        self.correlation_id = str(uuid.uuid4())
        self.body = body
        self.timeout = timeout
        self.sent = time.monotonic()
        self.worker: str | None = None
        self.seconds: float | None = None
        self.times_sent = 0
        self._may_wait = may_wait

    def result(self, timeout: float | None = None) -> Any:
        """Return what `RpcClient.call` would return, or raise it.

        Raises
        ------
        MisplacedCall
            If it is not there yet and cannot come while this thread waits for it; see `RpcClient.call`.
        """
        if not self.done():
            self._may_wait()
        return super().result(timeout)

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Return the error that `RpcClient.call` would raise, or None; raises as `result` does."""
        if not self.done():
            self._may_wait()
        return super().exception(timeout)

    def add_done_callback(self, fn: Callable[[Future[Any]], object]) -> None:
        """Call a function with this future when it is done, in the thread of the connection: it must be quick."""
        super().add_done_callback(lambda _: self._call_back(fn))

    def wait(self) -> Any:
        """Return the result, or raise its error."""
        try:
            # The connection's thread keeps the deadline; this only guards against the death of that thread.
            return self.result(self.timeout + GRACE)
        except FutureTimeout:
            raise self.stuck() from None

    def stuck(self) -> RpcTimeout:
        """Return the error of a call whose deadline the connection's thread has not kept."""
        return RpcTimeout(
            f"No reply within {self.timeout:g} s, and the client's own thread is stuck. A callback of another call may "
            "be holding it up: callbacks must be quick."
        )

    def set_result(self, result: Any) -> None:
        """Settle with a value; what was cancelled before stays cancelled."""
        self._settle(super().set_result, result)

    def set_exception(self, exception: BaseException | None) -> None:
        """Settle with an error; what was cancelled before stays cancelled."""
        self._settle(super().set_exception, exception)

    def _settle(self, how: Callable[[Any], None], value: Any) -> None:
        self.seconds = time.monotonic() - self.sent
        if self.set_running_or_notify_cancel():
            how(value)

    def _call_back(self, fn: Callable[[Future[Any]], object]) -> None:
        try:
            fn(self)
        except BaseException:  # an exit would end the connection's thread, and with it all other calls
            logger.exception("A callback of the request %s failed.", self.correlation_id)
