"""A form to type numbers and fire requests, and a table of the answers."""

from __future__ import annotations

from rpclab.errors import LabError
from rpclab.lab import Lab
from rpclab.operate import request_view
from rpclab.operate.desk import Desk
from rpclab.rpc.client import RpcClient
from rpclab.widgets.pane import Pane, act

# An answer that comes this quickly shows at once, without an update that shows its request as pending.
QUICK_ANSWER_SECONDS = 0.04
ROWS_SHOWN = 10


class RequestPanel(Desk, Pane):
    """A form that fires requests with a client, and a table of the answers.

    The lab's connections show where a request is: in its queue, or at which worker. If the client does not connect
    through the lab, a request is pending until it has an outcome.

    Parameters
    ----------
    client : RpcClient
        The client that sends. The form has a field for each argument of its ``encode`` method.
    timeout : float, optional
        Seconds that each request waits for its reply; the client's timeout if not given.
    lab : Lab, optional
        The lab that the client connects through; the one opened last if not given.
    """

    def __init__(self, client: RpcClient, *, timeout: float | None = None, lab: Lab | None = None):
        self._said = ""
        self._look = Look(self)
        Desk.__init__(self, client, timeout, lab, self._changed)
        self._acts = {
            "fire": lambda _, *typed: self.fire(*self.read(typed)),
            "burst": lambda _, count, *typed: self.burst(int(count), *self.read(typed)),
            "steady": lambda _, rate, *typed: self.toggle(rate, typed),
            "typed": lambda _, *typed: self.read(typed),
            "cancel": self.cancel,
            "export": lambda: self._sender.do(self._export),
        }
        Pane.__init__(self, together=0)
        self._changed()

    def close(self) -> None:
        """Remove the panel, give up the pending requests and end its threads; the client stays open.

        Calling it again has no effect.
        """
        self.shut()
        self._stop_drawing()
        Pane.close(self)

    def __repr__(self) -> str:
        return f"RequestPanel({self._client!r})"

    def _changed(self) -> None:
        # The update that waits for a quick answer shows this change, too.
        if not self._look.waiting:
            self._touch()

    def _export(self) -> None:
        """Write the file of a click on Export; runs in the sender's thread."""
        path = request_view.unused_path(self._client.request_queue)
        try:
            self.to_csv(path)
            self._said = f"Wrote {len(self.requests)} rows to {path}."
        except LabError as error:
            self._said = str(error)
        self._changed()

    def _render(self) -> None:
        pending = self._look.wait()
        acts = [
            act("cancel", "Cancel", "Stop, and give up all requests that have no answer yet",
                off=not (self.running or pending)),
            act("export", "Export", "Write all rows to a CSV file next to the notebook", off=not len(self._log)),
        ]
        said = [request_view.summary(self._log), self.times.summary if len(self.times) else "", self._said,
                self._trouble]
        self.scene = {"card": {
            "title": "Requests to queue", "code": self._client.request_queue,
            "form": {**self.form, "running": self.running, "acts": acts},
            "progress": self._log.progress,
            "table": request_view.table(self.last(ROWS_SHOWN)),
            "note": " ".join(filter(None, said)),
        }}


class Look:
    """Decides when to draw the answers of a desk: a quick answer with its request, anything else at once."""

    def __init__(self, *desks: Desk):
        self.desks = desks
        self.waiting = False
        self._pending = False

    def wait(self) -> bool:
        """Wait for a quick answer unless requests are known to be pending; return whether some are."""
        if not self._pending:
            self.waiting = True
            for desk in self.desks:
                desk._log.wait(QUICK_ANSWER_SECONDS)
            self.waiting = False
        self._pending = any(desk.pending for desk in self.desks)
        return self._pending
