"""The requests of one client: fire, burst, steady, cancel, and what happened to each. `RequestPanel` shows one."""

from __future__ import annotations

import inspect
import itertools
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import get_type_hints

from rpclab.errors import InvalidOption, LabError, RpcTimeout
from rpclab.lab import Lab, current_lab
from rpclab.operate import request_view
from rpclab.operate.request_log import Request, RequestLog
from rpclab.operate.request_runs import SteadyRun, burst_arguments
from rpclab.operate.request_sender import Sender
from rpclab.operate.request_times import AnswerTimes
from rpclab.rpc.client import RpcClient

WAIT_SECONDS = 30.0
FIRST_NUMBERS = (3, 5)
FIRST_COUNT = 100
FIRST_RATE = 5.0


class Desk:
    """Fires requests with a client, from any thread, and returns at once.

    The lab's connections show where a request is: in its queue, or at which worker. If the client does not connect
    through the lab, a request is pending until it has an outcome.

    Parameters
    ----------
    client : RpcClient
        The client that sends.
    timeout : float or None
        Seconds that each request waits for its reply; the client's timeout if None.
    lab : Lab or None
        The lab that the client connects through; the one opened last if None.
    changed : callable
        Called whenever something changed, in any thread.
    """

    # The finalizer also closes a desk whose __init__ failed.
    _shut = True

    def __init__(self, client: RpcClient, timeout: float | None, lab: Lab | None, changed: Callable[[], None]):
        self._client = client
        self._notify = changed
        self._steady: SteadyRun | None = None
        self._kinds = _arguments(client)
        self._typed = tuple(
            first if kind is int else "" for (_, kind), first in zip(self._kinds, itertools.cycle(FIRST_NUMBERS))
        )
        self._log = RequestLog(changed)
        # Sending opens a lost connection again. That takes time, and the kernel must not wait.
        self._sender = Sender(client, timeout, self._log)
        self._end_following = self._follow(lab)
        self._shut = False

    @property
    def form(self) -> dict:
        """The input fields, as the front end draws them."""
        fields = [
            [name, str(value), "number" if kind is int else "text"]
            for (name, kind), value in zip(self._kinds, self._typed, strict=True)
        ]
        return {"fields": fields, "burst": FIRST_COUNT, "steady": FIRST_RATE}

    def read(self, typed: Iterable[object]) -> tuple:
        """Return the values of the input fields as arguments; `burst` and `steady` send them from then on.

        Raises
        ------
        InvalidOption
            If a field for a number holds text.
        """
        values = []
        for (name, kind), text in zip(self._kinds, typed, strict=True):
            try:
                values.append(int(str(text)) if kind is int else str(text))
            except ValueError:
                raise InvalidOption(f"{name}={str(text)!r}: it is a whole number.") from None
        self._typed = tuple(values)
        return self._typed

    def fire(self, *arguments: object) -> Request:
        """Send one request, as a click on Fire does, and return at once."""
        return self._fire([arguments])[0]

    def burst(
        self, count: int | None = None, *arguments: object, each: Callable[[int], object] | Iterable | None = None
    ) -> Desk:
        """Send many requests at once, as a click on Burst does, and return at once: ``panel.burst(1000).wait()``.

        Parameters
        ----------
        count : int, optional
            The number of requests, up to 10,000. 100 if not given, or all of `each` if that is an iterable.
        *arguments
            The arguments of each request; the last values of the input fields if not given.
        each : callable or iterable, optional
            The arguments of request after request: ``each=lambda number: (number, 1)``, or ``each=[(1, 2), (3, 4)]``.

        Raises
        ------
        InvalidOption
            If these do not fit together.
        """
        if each is None:
            count = FIRST_COUNT if count is None else count
            arguments = arguments or self._typed
        self._fire(burst_arguments(count, arguments, each))
        return self

    def steady(self, *arguments: object, per_second: float | None = None, seconds: float | None = None) -> Desk:
        """Send requests at a steady rate, as a click on Start does, and return at once; an earlier run ends.

        Parameters
        ----------
        *arguments
            The arguments of each request; the last values of the input fields if not given.
        per_second : float, optional
            Requests per second, up to 200; 5 if not given.
        seconds : float, optional
            How long; until `stop` if not given.

        Raises
        ------
        InvalidOption
            If the rate or the time is out of range.
        """
        self._check_open()
        self.stop()
        rate = FIRST_RATE if per_second is None else per_second
        self._steady = SteadyRun(lambda: self.fire(*(arguments or self._typed)), rate, seconds, self._notify)
        self._notify()
        return self

    def toggle(self, rate: str | float, typed: Iterable[object]) -> None:
        """Start a steady run with the current values of the input fields, or stop the one that runs."""
        if self.running:
            self.stop()
        else:
            self.read(typed)
            self.steady(per_second=float(rate))

    def stop(self) -> None:
        """Stop a steady run; the requests that it sent still wait for their replies."""
        if self._steady:
            self._steady.stop()

    def cancel(self) -> None:
        """Stop a steady run and give up all requests that have no outcome yet; they become ``cancelled``.

        The broker and the workers do not know that: they still process the request, and the client drops its reply.
        """
        self.stop()
        self._log.give_up()

    def wait(self, timeout: float = WAIT_SECONDS) -> Desk:
        """Return when no request is pending and no steady run goes on.

        Raises
        ------
        RpcTimeout
            If that takes longer than the timeout in seconds.
        """
        deadline = time.monotonic() + timeout
        if self._steady and not self._steady.wait(timeout):
            raise RpcTimeout(f"The panel still fires at a steady rate after {timeout:g} s. Call panel.stop() first.")
        if not self._log.wait(max(0, deadline - time.monotonic())):
            raise RpcTimeout(f"{self.pending} requests of the panel are still pending after {timeout:g} s.")
        return self

    @property
    def running(self) -> bool:
        """Whether a steady run goes on."""
        return self._steady is not None and self._steady.active

    @property
    def pending(self) -> int:
        """The number of requests with neither an answer nor an error yet."""
        return self._log.pending

    @property
    def requests(self) -> list[Request]:
        """All requests fired so far, in order."""
        return self._log.requests

    def last(self, count: int) -> list[Request]:
        """Return the last requests, in order."""
        return self._log.last(count)

    @property
    def results(self) -> list:
        """The answers in the order of their requests; None for a request without one."""
        return [request.answer if request.state == "answered" else None for request in self.requests]

    @property
    def times(self) -> AnswerTimes:
        """How long the answers took; prints as a histogram."""
        return self._log.times

    def rows(self) -> list[dict]:
        """Return a record for each request: request, asked, state, answer, worker, ms, correlation id."""
        return request_view.records(self.requests)

    def to_csv(self, path: str | Path | None = None) -> str | None:
        """Return the rows as the text of a CSV file, or write it to a path.

        Raises
        ------
        LabError
            If the file cannot be written.
        """
        content = request_view.csv_text(self.requests)
        if path is None:
            return content
        request_view.write(content, Path(path))
        return None

    def shut(self) -> None:
        """Give up the pending requests and end the threads; the client stays open. Calling it again has no effect."""
        if not self._shut:
            self.stop()
            self._shut = True
            self._log.give_up()
            self._sender.close()
            self._end_following()

    def __str__(self) -> str:
        return request_view.text(self.requests)

    def __repr__(self) -> str:
        return f"Desk({self._client!r})"

    def _follow(self, lab: Lab | None) -> Callable[[], None]:
        # A client with its own parameters works without a lab.
        with suppress(LabError):
            return self._log.follow((lab or current_lab()).story)
        return lambda: None

    def _check_open(self) -> None:
        if self._shut:
            raise LabError("This panel was closed. Make a new one: rpclab.RequestPanel(client).")

    def _fire(self, arguments: list[tuple]) -> list[Request]:
        self._check_open()
        added = self._log.add(arguments)
        self._sender.send(added)
        return added


def _arguments(client: RpcClient) -> list[tuple[str, type]]:
    """Return the client's arguments with their types, as its encode method declares them."""
    hints = get_type_hints(client.encode)
    return [(name, hints.get(name, str)) for name in inspect.signature(client.encode).parameters]
