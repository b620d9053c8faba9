"""The parts of a request panel that one types in and clicks on."""

from __future__ import annotations

import inspect
import itertools
from typing import get_type_hints

import ipywidgets as widgets

from rpclab.rpc.client import RpcClient
from rpclab.widgets.request_runs import MOST_AT_ONCE, MOST_PER_SECOND

FIRST_NUMBERS = (3, 5)
FIRST_COUNT = 100
FIRST_RATE = 5.0


class Form(widgets.HBox):
    """A field for each argument of a client's ``encode`` method, and the button that fires them."""

    def __init__(self, client: RpcClient):
        self._fields = [
            _field(name, kind, first)
            for (name, kind), first in zip(_arguments(client), itertools.cycle(FIRST_NUMBERS), strict=False)
        ]
        self.fire = widgets.Button(description="Fire", button_style="primary", tooltip="Send this request")
        super().__init__([*self._fields, self.fire], layout=_WRAPPING)

    @property
    def values(self) -> tuple:
        """What is typed in at present."""
        return tuple(field.value for field in self._fields)


class ManyControls(widgets.HBox):
    """Bursts, a steady rate, giving up and exporting.

    Attributes
    ----------
    burst, steady, cancel, export : ipywidgets.Button
        What to click on.
    """

    def __init__(self):
        self._count = widgets.BoundedIntText(FIRST_COUNT, min=1, max=MOST_AT_ONCE, **_labelled("Many at once:", 172))
        self._rate = widgets.BoundedFloatText(
            FIRST_RATE, min=0.1, max=MOST_PER_SECOND, **_labelled("Steadily:", 132, gap=20)
        )
        self.burst = _button("Burst", "Send the request above so many times at once", 64)
        self.steady = _button("Start", "Send the request above so many times a second, until you stop it", 64)
        self.cancel = _button("Cancel", "Stop, and give up all requests that have no answer yet", 72)
        self.export = _button("Export", "Write all rows to a CSV file next to the notebook", 72)
        super().__init__(
            [
                self._count, self.burst,
                self._rate, widgets.Label("per second"), self.steady,
                widgets.HBox([self.cancel, self.export], layout=widgets.Layout(margin="0 0 0 20px")),
            ],
            layout=_WRAPPING,
        )
        self.show(running=False, pending=False, any_rows=False)

    @property
    def count(self) -> int:
        """How many requests a burst has at present."""
        return self._count.value

    @property
    def per_second(self) -> float:
        """How many requests a second there are at present."""
        return self._rate.value

    def show(self, *, running: bool, pending: bool, any_rows: bool) -> None:
        """Offer what makes sense now."""
        self.steady.description = "Stop" if running else "Start"
        self.cancel.disabled = not (running or pending)
        self.export.disabled = not any_rows


_WRAPPING = widgets.Layout(flex_flow="row wrap", align_items="center")


def _button(description: str, tooltip: str, width: int) -> widgets.Button:
    return widgets.Button(description=description, tooltip=tooltip, layout=widgets.Layout(width=f"{width}px"))


def _labelled(description: str, width: int, gap: int = 2) -> dict:
    """Return the options of a field whose label is as wide as its text; all in pixels."""
    layout = widgets.Layout(width=f"{width}px", margin=f"2px 2px 2px {gap}px")
    return {"description": description, "style": {"description_width": "auto"}, "layout": layout}


def _arguments(client: RpcClient) -> list[tuple[str, type]]:
    """Return the client's arguments with their types, as its encode method declares them."""
    hints = get_type_hints(client.encode)
    return [(name, hints.get(name, str)) for name in inspect.signature(client.encode).parameters]


def _field(name: str, kind: type, first: int) -> widgets.Widget:
    options = _labelled(name, 150 if kind is int else 300)
    options["layout"].margin = "2px 16px 2px 2px"
    return widgets.IntText(value=first, **options) if kind is int else widgets.Text(value="", **options)
