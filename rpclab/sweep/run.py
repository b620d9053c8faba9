"""One run: a server starts, a client connects and calls, both stop; and at one frame, something breaks."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING

from rpclab.errors import ConnectionLost
from rpclab.rpc.client import RpcClient
from rpclab.story.story import Story
from rpclab.sweep.cases import CLIENT, DROP, NOTHING, Case
from rpclab.sweep.faults import Crossing
from rpclab.sweep.promises import (
    ANSWERED,
    GRACE_SECONDS,
    Outcome,
    Work,
    acknowledged_too_early,
    held,
    must_be_answered,
)
from rpclab.sweep.report import Result
from rpclab.sweep.server import QUEUE

if TYPE_CHECKING:
    from rpclab.sweep.station import Station

# After a dropped frame, a call may wait until its deadline for what never comes.
SHORT_CALL_SECONDS = 0.6
PATIENCE_SECONDS = 0.6
READY_SECONDS = 15.0
QUIET_SECONDS = 4.0
STOP_SECONDS = 5.0
CLOSE_SECONDS = 2.0
POLL_SECONDS = 0.005


class Run:
    """One run at a station.

    The client is made before, and its connection ended. So all frames that the sweep counts belong to a call, which has
    a deadline.

    Parameters
    ----------
    station : Station
        The station.
    case : Case
        The case.
    """

    def __init__(self, station: Station, case: Case):
        self._station = station
        self._case = case
        self._tap = station.lab.tap
        self._body = f"order {uuid.uuid4().hex[:8]}"
        self._story = Story(self._tap.registry.shown)
        self._work = Work(station.setup, self._story, self._body)
        self._too_early = acknowledged_too_early(self._story)
        self._service = station.service()
        self.crossing = Crossing(self._tap, station.roles, case, self._kill_server)
        self._result = Result(case)

    def __call__(self) -> Result:
        """Run the case and return its result."""
        began = time.monotonic()
        with ExitStack() as ended:
            self._client = self._make_client()
            ended.callback(lambda: self._client.close())  # it may have been replaced by then
            self._disconnect()
            ended.enter_context(self._tap.subscription(self._story.take))
            ended.enter_context(self._tap.gatekeeper(self.crossing))
            self._service.start()
            ended.callback(self._service.stop, PATIENCE_SECONDS)
            self._become_ready()
            self._call()
            if self.crossing.fired.is_set():
                self._call_again()
            self._close()
            self.crossing.finish()
            self._become_quiet()
            self._service.stop(PATIENCE_SECONDS if self._dropped() else STOP_SECONDS)
            self.crossing.finish()
            self._serve_the_rest()
            self._leave_nothing()
        self._story.end = time.monotonic()
        self._judge()
        self._result.seconds = time.monotonic() - began
        return self._result

    # The steps.

    def _disconnect(self) -> None:
        session, name = self._client._session, RpcClient.__name__
        self._tap.hang_up(name)
        _within(lambda: not session.alive and not any(link.name == name for link in self._tap.links()), READY_SECONDS)

    def _become_ready(self) -> None:
        if not self._comes(self._service.is_ready, READY_SECONDS, "the server did not begin to consume"):
            self._is_broken(f"no server consumes after {READY_SECONDS:g} s: {self._service.failures}")

    def _call(self) -> None:
        value: object
        began = time.monotonic()
        try:
            value = self._client.call(self._body)
        except Exception as error:  # noqa: BLE001  whatever it is, it is judged
            value = error
        outcome = Outcome(self._body, value, time.monotonic() - began, self._client.timeout)
        self._result.outcome = outcome.said
        self._is_broken(*outcome.broken)
        if outcome.said != ANSWERED and must_be_answered(self._case):
            self._is_broken(f"the call was not answered: {outcome.said}: {value}")

    def _call_again(self) -> None:
        """Check that the next call works; the call that notices the lost connection may fail."""
        body = f"{self._body} again"
        value: object = None
        for _ in range(2):
            began = time.monotonic()
            try:
                value = self._answer_to(body)
            except Exception as error:  # noqa: BLE001  whatever it is, it is judged
                value = error
            if not isinstance(value, ConnectionLost):
                break
        outcome = Outcome(body, value, time.monotonic() - began, self._station.timeout)
        if outcome.said != ANSWERED or outcome.broken:
            self._is_broken(f"the next call ended in {outcome.said}: {'; '.join(outcome.broken) or value}")

    def _answer_to(self, body: str) -> object:
        future = self._client.submit(body, timeout=self._station.timeout)
        if self._dropped() and not _within(future.done, PATIENCE_SECONDS):
            self._replace("the next call was not answered")
            if self._case.point.role == CLIENT:
                future = self._client.submit(body, timeout=self._station.timeout)
        return future.result(self._station.timeout + GRACE_SECONDS)

    def _close(self) -> None:
        began = time.monotonic()
        self._client.close()
        if time.monotonic() - began > CLOSE_SECONDS + GRACE_SECONDS:
            self._is_broken(f"the client took {time.monotonic() - began:.2f} s to close")

    def _become_quiet(self) -> None:
        if not self._comes(self._is_quiet, QUIET_SECONDS, "the server did not release a request"):
            ready, unacked = self._station.queues()[QUEUE]
            unsettled = ", ".join(held(self._story)) or "nothing"
            self._is_broken(f"left in the queue: {ready} ready, {unacked} unacked; not acknowledged: {unsettled}")

    def _serve_the_rest(self) -> None:
        """Start a server for a request that was in flight when the server stopped, and so was requeued."""
        if not self._is_quiet():
            service = self._station.service()
            service.start()
            _within(self._is_quiet, QUIET_SECONDS)
            service.stop(STOP_SECONDS)

    def _leave_nothing(self) -> None:
        if self._service.stuck:
            self._replaced("the server did not stop")
        _within(lambda: not self._tap.links() and not self._queues_left(), QUIET_SECONDS)
        for what, left in (
            ("connections", [link.name for link in self._tap.links()]), ("queues", sorted(self._queues_left())),
        ):
            if left:
                self._is_broken(f"{what} left: {', '.join(left)}")
        if self._service.leaked > 0:
            self._is_broken(f"the server left {self._service.leaked} files or connections open")

    def _judge(self) -> None:
        result, story = self._result, self._story
        result.frame, result.done = self.crossing.frame, self._station.times_done(self._body)
        self._is_broken(*self._too_early)
        if result.outcome == ANSWERED and not result.done:
            self._is_broken("an answer came, and the work was not done")
        if result.done > self._work.most():
            self._is_broken(f"the work was done {result.done} times; at most {self._work.most()} was promised")
        result.sequence, result.log = story.sequence(most=len(story)).text, self._service.log

    # What the steps have in common.

    def _make_client(self) -> RpcClient:
        timeout = SHORT_CALL_SECONDS if self._case.fault == DROP else self._station.timeout
        retry = self._station.setup.retry
        if retry and self._case.fault == NOTHING:
            retry = timeout  # on a slow machine, it would send again, which should not be counted
        return RpcClient(QUEUE, timeout=timeout, retry=retry, parameters=self._station.lab.parameters)

    def _dropped(self) -> bool:
        return self._case.fault == DROP and self.crossing.fired.is_set()

    def _comes(self, condition: Callable[[], bool], seconds: float, otherwise: str) -> bool:
        """Wait for a condition; after a dropped frame, replace what waits for that frame if this takes too long."""
        if self._case.fault == DROP:
            _within(lambda: condition() or self._dropped(), seconds)
            if not _within(condition, PATIENCE_SECONDS):
                self._replace(otherwise)
        return _within(condition, seconds)

    def _replace(self, why: str) -> None:
        """Replace the client or the server: the one whose connection lost a frame."""
        self._replaced(why)
        if self._case.point.role == CLIENT:
            self._client.close()
            self._client = self._make_client()
        else:
            self._kill_server()

    def _kill_server(self) -> None:
        self._work.server_ends()
        self._service.kill()

    def _replaced(self, why: str) -> None:
        self._result.replaced.append(why)
        if not self._dropped():
            self._is_broken(why)

    def _is_broken(self, *promises: str) -> None:
        self._result.broken += promises

    def _is_quiet(self) -> bool:
        """Return whether no request waits or is held, as far as broker and tap know."""
        return not held(self._story) and self._station.queues()[QUEUE] == (0, 0)

    def _queues_left(self) -> list[str]:
        """Return the queues that should be deleted, or that hold messages, though no server is running any more."""
        expected = self._station.expected_queues
        return [
            name if name not in expected else f"{name} with {ready} requests that the server had not acknowledged"
            for name, (ready, _) in self._station.queues().items()
            if name not in expected or (name == QUEUE and ready)
        ]


def _within(condition: Callable[[], object], seconds: float) -> bool:
    """Return whether a condition becomes true within this many seconds."""
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while not condition():
        if time.monotonic() > deadline:
            return False
        pause.wait(POLL_SECONDS)
    return True
