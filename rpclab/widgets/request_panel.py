"""Type numbers, fire requests, watch the answers come."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

import ipywidgets as widgets

from rpclab.errors import LabError, RpcTimeout
from rpclab.lab import Lab, current_lab
from rpclab.rpc.client import RpcClient
from rpclab.widgets import look, request_view
from rpclab.widgets.refresh import Refresher
from rpclab.widgets.request_controls import Form, ManyControls
from rpclab.widgets.request_log import Request, RequestLog
from rpclab.widgets.request_runs import SteadyRun, burst_arguments
from rpclab.widgets.request_sender import Sender
from rpclab.widgets.request_times import AnswerTimes

WAIT_SECONDS = 30.0
# An answer that comes as quickly as that is shown at once, not first as pending and then, an update later, as answered.
QUICK_ANSWER_SECONDS = 0.04


class RequestPanel(widgets.VBox):
    """A form that fires requests with a client, and a table of what comes back.

    Where a request is, in its queue or at which worker, is seen on the lab's connections. Of a client that does not
    connect through the lab, a request is simply pending until it has an outcome.

    Parameters
    ----------
    client : RpcClient
        Who sends. The form has a field for each argument of its ``encode`` method.
    timeout : float, optional
        Seconds that each request waits for its answer; the client's own if not given.
    lab : Lab, optional
        The lab that the client connects through; the one opened last if not given.
    """

    # A panel that could not be made is closed as well, by its finalizer.
    _closing = True

    def __init__(self, client: RpcClient, *, timeout: float | None = None, lab: Lab | None = None):
        self._client = client
        self._said = ""
        self._shown_pending = self._about_to_look = False
        self._steady: SteadyRun | None = None
        self._form = Form(client)
        self.button = self._form.fire
        self.controls = ManyControls()
        self._table = widgets.HTML()
        heading = widgets.HTML(look.title("Requests to queue", client.request_queue))
        super().__init__([heading, self._form, self.controls, self._table])
        self.add_class("rpclab-card")
        self._log = RequestLog(self._touch)
        # A lost connection is opened again when a request is sent, which takes time that the kernel must not spend.
        self._sender = Sender(client, timeout, self._log)
        self._render()
        self._refresher = Refresher(self._render, together=0)
        self._end_following = self._follow(lab)
        self._closing = False
        self._connect_buttons()

    def fire(self, *arguments) -> Request:
        """Send one request, as a click on Fire does, and return at once."""
        return self._fire([arguments])[0]

    def burst(
        self, count: int | None = None, *arguments, each: Callable[[int], object] | Iterable | None = None
    ) -> RequestPanel:
        """Send many requests at once, as a click on Burst does, and return at once: ``panel.burst(1000).wait()``.

        Parameters
        ----------
        count : int, optional
            How many, up to 10,000; what the form says if not given, all of `each` if that is an iterable.
        *arguments
            What each of them asks; what is typed in the form if not given.
        each : callable or iterable, optional
            What they ask one by one: ``each=lambda number: (number, 1)``, or ``each=[(1, 2), (3, 4)]``.

        Raises
        ------
        InvalidOption
            If these do not go together.
        """
        if each is None:
            count = self.controls.count if count is None else count
            arguments = arguments or self._form.values
        self._fire(burst_arguments(count, arguments, each))
        return self

    def steady(self, *arguments, per_second: float | None = None, seconds: float | None = None) -> RequestPanel:
        """Send requests at a steady rate, as a click on Start does, and return at once; an earlier run ends.

        Parameters
        ----------
        *arguments
            What each of them asks; what is typed in the form at the time if not given.
        per_second : float, optional
            How many a second, up to 200; what the form says if not given.
        seconds : float, optional
            For how long; until `stop` if not given.

        Raises
        ------
        InvalidOption
            If the rate or the time makes no sense.
        """
        self._check_open()
        self.stop()
        rate = self.controls.per_second if per_second is None else per_second
        self._steady = SteadyRun(lambda: self.fire(*(arguments or self._form.values)), rate, seconds, self._touch)
        self._touch()
        return self

    def stop(self) -> None:
        """End a steady run; what it sent goes on to be waited for."""
        if self._steady:
            self._steady.stop()

    def cancel(self) -> None:
        """End a steady run and give up all requests that have no outcome yet; they become ``cancelled``.

        The broker and the workers know nothing of that: a request that was sent is still worked on, and its reply is
        dropped when it comes.
        """
        self.stop()
        self._log.give_up()

    def wait(self, timeout: float = WAIT_SECONDS) -> RequestPanel:
        """Return when no request is pending any more and no steady run goes on.

        Raises
        ------
        RpcTimeout
            If that is not so after so many seconds.
        """
        deadline = time.monotonic() + timeout
        if self._steady and not self._steady.wait(timeout):
            raise RpcTimeout(f"The panel still fires at a steady rate after {timeout:g} s. panel.stop() ends that.")
        if not self._log.wait(max(0, deadline - time.monotonic())):
            raise RpcTimeout(f"{self.pending} requests of the panel are still pending after {timeout:g} s.")
        return self

    @property
    def running(self) -> bool:
        """Whether a steady run goes on."""
        return self._steady is not None and self._steady.active

    @property
    def pending(self) -> int:
        """How many requests have neither an answer nor an error yet."""
        return self._log.pending

    @property
    def requests(self) -> list[Request]:
        """All requests fired so far, in order."""
        return self._log.requests

    @property
    def results(self) -> list:
        """The answers in the order of their requests; None where there is none."""
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

    def close(self) -> None:
        """Remove the panel, give up what is pending and end its threads; the client stays open.

        A second time does nothing.
        """
        if not self._closing:
            self.stop()
            self._closing = True
            self._log.give_up()
            self._sender.close()
            self._end_following()
            self._refresher.close()
        super().close()

    def __str__(self) -> str:
        return request_view.text(self.requests)

    def __repr__(self) -> str:
        return f"RequestPanel({self._client!r})"

    def _follow(self, lab: Lab | None) -> Callable[[], None]:
        # A client with parameters of its own works without any lab.
        with suppress(LabError):
            return self._log.follow((lab or current_lab()).story)
        return lambda: None

    def _connect_buttons(self) -> None:
        self.button.on_click(lambda _: self.fire(*self._form.values))
        self.controls.burst.on_click(lambda _: self.burst())
        self.controls.steady.on_click(lambda _: self.stop() if self.running else self.steady())
        self.controls.cancel.on_click(lambda _: self.cancel())
        self.controls.export.on_click(lambda _: self._sender.do(self._export))

    def _check_open(self) -> None:
        if self._closing:
            raise LabError("This panel was closed. Make a new one: rpclab.RequestPanel(client).")

    def _fire(self, arguments: list[tuple]) -> list[Request]:
        self._check_open()
        added = self._log.add(arguments)
        self._sender.send(added)
        return added

    def _touch(self) -> None:
        # The update that waits for a quick answer will show this change as well.
        if not self._about_to_look:
            self._refresher.touch()

    def _export(self) -> None:
        """Write the file that a click on Export asks for, in the sender's thread."""
        path = request_view.unused_path(self._client.request_queue)
        try:
            self.to_csv(path)
            self._said = f"Wrote {len(self.requests)} rows to {path}."
        except LabError as error:
            self._said = str(error)
        self._touch()

    def _render(self) -> None:
        """Show how things are, in the refresher's thread."""
        if not self._shown_pending:
            self._about_to_look = True
            self._log.wait(QUICK_ANSWER_SECONDS)
            self._about_to_look = False
        self._shown_pending = self.pending > 0
        self.controls.show(running=self.running, pending=self._shown_pending, any_rows=len(self._log) > 0)
        self._table.value = request_view.html(self._log, self._said)
