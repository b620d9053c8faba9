"""Type numbers, fire requests, watch the answers come."""

from __future__ import annotations

import inspect
import itertools
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import get_type_hints

import ipywidgets as widgets

from rpclab.errors import LabError, RpcTimeout
from rpclab.rpc.client import RpcClient, RpcFuture
from rpclab.table import Table
from rpclab.widgets import look
from rpclab.widgets.refresh import Refresher

ROWS_SHOWN = 10
FIRST_NUMBERS = (3, 5)
WAIT_SECONDS = 30.0


@dataclass
class Request:
    """One request that the panel fired, and what became of it.

    Attributes
    ----------
    number : int
        1 for the panel's first.
    arguments : tuple
        What was asked.
    state : str
        ``pending``, ``answered``, ``failed`` or ``timed out``.
    answer : object
        The result, or what went wrong.
    worker : str or None
        Name of the process that answered.
    seconds : float or None
        From sending to the outcome.
    correlation_id : str or None
        What ties the answer to the request.
    """

    number: int
    arguments: tuple
    state: str = "pending"
    answer: object = None
    worker: str | None = None
    seconds: float | None = None
    correlation_id: str | None = None


class RequestPanel(widgets.VBox):
    """A form that fires requests with a client, and a table of what comes back.

    Parameters
    ----------
    client : RpcClient
        Who sends. The form has a field for each argument of its ``encode`` method.
    timeout : float, optional
        Seconds that each request waits for its answer; the client's own if not given.
    """

    def __init__(self, client: RpcClient, *, timeout: float | None = None):
        self._client = client
        self._timeout = timeout
        self._requests: list[Request] = []
        self._pending = 0
        self._closing = False
        self._changed = threading.Condition()
        # A lost connection is opened again when a request is sent, which takes time that the kernel must not spend.
        self._sender = ThreadPoolExecutor(1, thread_name_prefix="rpclab panel")
        self._fields = [
            _field(name, kind, first)
            for (name, kind), first in zip(_arguments(client), itertools.cycle(FIRST_NUMBERS), strict=False)
        ]
        self.button = widgets.Button(description="Fire", button_style="primary", tooltip="Send this request")
        self.button.on_click(lambda _: self.fire(*(field.value for field in self._fields)))
        self._table = widgets.HTML()
        heading = widgets.HTML(look.title("Requests to queue", client.request_queue))
        super().__init__([heading, widgets.HBox([*self._fields, self.button]), self._table])
        self.add_class("rpclab-card")
        self._render()
        self._refresher = Refresher(self._render)

    def fire(self, *arguments) -> Request:
        """Send one request, as a click on Fire does, and return at once."""
        with self._changed:
            if self._closing:
                raise LabError("This panel was closed. Make a new one: rpclab.RequestPanel(client).")
            request = Request(len(self._requests) + 1, arguments)
            self._requests.append(request)
            self._pending += 1
        self._sender.submit(self._submit, request)
        self._refresher.touch()
        return request

    def wait(self, timeout: float = WAIT_SECONDS) -> RequestPanel:
        """Return when no request is pending any more.

        Raises
        ------
        RpcTimeout
            If some still are after so many seconds.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: not self.pending, timeout):
                raise RpcTimeout(f"{self.pending} requests of the panel are still pending after {timeout:g} s.")
        return self

    @property
    def pending(self) -> int:
        """How many requests have neither an answer nor an error yet."""
        return self._pending

    @property
    def requests(self) -> list[Request]:
        """All requests fired so far, in order."""
        return list(self._requests)

    @property
    def results(self) -> list:
        """The answers in the order of their requests; None where there is none."""
        return [request.answer if request.state == "answered" else None for request in self._requests]

    def close(self) -> None:
        """Remove the panel and end its threads; the client stays open. A second time does nothing."""
        with self._changed:
            self._closing = True
        self._sender.shutdown()
        self._refresher.close()
        super().close()

    def __str__(self) -> str:
        rows = [
            {
                "request": request.number,
                "asked": _shown(request.arguments),
                "state": request.state,
                "answer": request.answer,
                "worker": request.worker,
            }
            for request in self._requests
        ]
        return repr(Table(("request", "asked", "state", "answer", "worker"), rows, empty="(nothing fired yet)"))

    def __repr__(self) -> str:
        return f"RequestPanel({self._client!r})"

    def _submit(self, request: Request) -> None:
        try:
            future = self._client.submit(*request.arguments, timeout=self._timeout)
        except (LabError, TypeError, ValueError) as error:
            future = Future()
            future.set_exception(error)
        future.add_done_callback(lambda done: self._settle(request, done))

    def _settle(self, request: Request, done: Future) -> None:
        error = done.exception()
        with self._changed:
            request.answer = done.result() if error is None else error
            request.state = "answered" if error is None else "timed out" if isinstance(error, RpcTimeout) else "failed"
            if isinstance(done, RpcFuture):
                request.worker, request.seconds = done.worker, done.seconds
                request.correlation_id = done.correlation_id
            self._pending -= 1
            self._changed.notify_all()
        self._refresher.touch()

    def _render(self) -> None:
        requests = self.requests
        rows = [
            (
                str(request.number),
                look.text(_shown(request.arguments)),
                look.state(request.state),
                look.text("" if request.answer is None else request.answer),
                look.text(request.worker or ""),
                "" if request.seconds is None else f"{request.seconds * 1000:.1f} ms",
                look.short_id(request.correlation_id) if request.correlation_id else "",
            )
            for request in reversed(requests[-ROWS_SHOWN:])
        ]
        columns = ("#", "asked", "state", "answer", "answered by", "time", "correlation id")
        self._table.value = look.table(columns, rows) + look.note(_summary(requests))


def _summary(requests: list[Request]) -> str:
    if not requests:
        return "Nothing fired yet. Type numbers and press Fire."
    counts = {name: sum(request.state == name for request in requests) for name in look.MOODS}
    said = [f"{count} {name}" for name, count in counts.items() if count]
    more = f"; the last {ROWS_SHOWN} are shown" if len(requests) > ROWS_SHOWN else ""
    return f"{len(requests)} fired: {', '.join(said)}{more}."


def _arguments(client: RpcClient) -> list[tuple[str, type]]:
    """Return the client's arguments with their types, as its encode method declares them."""
    hints = get_type_hints(client.encode)
    return [(name, hints.get(name, str)) for name in inspect.signature(client.encode).parameters]


def _field(name: str, kind: type, first: int) -> widgets.Widget:
    options = {
        "description": name,
        "style": {"description_width": "auto"},
        "layout": widgets.Layout(width="150px" if kind is int else "300px", margin="2px 16px 2px 2px"),
    }
    return widgets.IntText(value=first, **options) if kind is int else widgets.Text(value="", **options)


def _shown(arguments: tuple) -> str:
    return ", ".join(map(str, arguments))
