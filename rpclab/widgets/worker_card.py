"""One process on a `WorkerBoard`: what it is doing, what it printed last, and the buttons that end or pause it."""

from __future__ import annotations

import time
from collections.abc import Callable

import ipywidgets as widgets

from rpclab.rpc.worker import Worker
from rpclab.widgets import look
from rpclab.wire.work import Record

LINES_SHOWN = 3
LINE_LENGTH = 200
# A colour, a sign and a word for each state, so that none of them is needed to understand the others.
LABELS = {
    "starting": ("wait", "\u2026"),
    "idle": ("off", "\u25cb"),
    "working": ("calm", "\u25b6"),
    "paused": ("wait", "\u2016"),
    "stopping": ("wait", "\u2026"),
    "stopped": ("off", "\u25a0"),
    "dead": ("bad", "\u2715"),
}


class WorkerCard(widgets.VBox):
    """A card for one process.

    Parameters
    ----------
    worker : Worker
        The process.
    tell : callable
        Takes the name of what a button asks for (``stop``, ``kill``, ``pause`` or ``resume``) and the process.
    """

    def __init__(self, worker: Worker, tell: Callable[[str, Worker], object]):
        self.worker = worker
        self._text = widgets.HTML()
        self.stop_button = look.button("Stop", "Ask it to end when it has answered what it has taken (SIGTERM)")
        self.kill_button = look.button("kill -9", "End it at once, whatever it is doing (SIGKILL)", style="danger")
        self.pause_button = look.button("Pause", "Put it on hold (SIGSTOP), or have it go on (SIGCONT)")
        self.stop_button.on_click(lambda _: tell("stop", worker))
        self.kill_button.on_click(lambda _: tell("kill", worker))
        self.pause_button.on_click(lambda button: tell(button.description.lower(), worker))
        buttons = widgets.HBox([self.stop_button, self.kill_button, self.pause_button])
        super().__init__([self._text, buttons])
        self.add_class("rpclab-worker")

    def show(self, record: Record) -> bool:
        """Bring the card up to date; tell whether there was anything to change."""
        state, before = doing(self.worker, record), self._text.value
        lines = _lines(self.worker)
        mood, sign = LABELS[state.split(" ")[0].strip(",")]
        since = f"for {_seconds(record)} \u00b7 " if state.startswith("working") else ""
        self._text.value = (
            f"<div class='rpclab-worker-head'><b>{look.text(self.worker.name)}</b> <span>pid {self.worker.pid}</span>"
            f"</div>{look.label(mood, f'{sign} {state}')}"
            f"<div class='rpclab-note'>{since}{record.done} done, {record.redelivered} redelivered</div>"
            f"<pre class='rpclab-lines' title='{lines}'>{lines}</pre>"
        )
        ended = state in ("stopped", "dead")
        self.stop_button.disabled = ended or state == "stopping"
        self.kill_button.disabled = ended
        self.pause_button.disabled = ended or state == "stopping"
        self.pause_button.description = "Resume" if state.startswith("paused") else "Pause"
        return self._text.value != before


def doing(worker: Worker, record: Record) -> str:
    """Return what a process is doing: ``idle``, ``working on request 1``, ``paused, holds request 1``, ``dead``."""
    state = worker.state
    held = [step.message.name for step in record.held.values()]
    what = f"{held[0]} and {len(held) - 1} more" if len(held) > 1 else "".join(held)
    if state == "paused":
        return f"paused, holds {what}" if what else state
    if state in ("starting", "running") and worker.stopped:
        return "stopping"
    if state != "running":
        return state
    return f"working on {what}" if what else "idle"


def _seconds(record: Record) -> str:
    first = next(iter(record.held.values()), None)
    return f"{time.monotonic() - first.time:.0f} s" if first else ""


def _lines(worker: Worker) -> str:
    said = [look.text(line, LINE_LENGTH) for line in worker.log[-LINES_SHOWN:]]
    return "\n".join(said) or "(nothing printed)"
