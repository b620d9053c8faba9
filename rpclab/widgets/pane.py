"""The base of all widgets: one front end that draws a scene, and reports clicks."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import anywidget
import traitlets

from rpclab.errors import LabError
from rpclab.theme import script, style
from rpclab.widgets.refresh import TOGETHER_SECONDS, Refresher


class Pane(anywidget.AnyWidget):
    """A widget that is drawn from plain JSON. A click calls the method that code would call.

    Attributes
    ----------
    kind : str
        ``card`` for a small one, ``picture`` for the picture of messages.
    scene : dict
        The scene that is drawn now.
    """

    _esm = script()
    _css = style()
    # The methods that the front end may call, by name; each must return at once.
    _acts: Mapping[str, Callable] = {}
    _refresher: Refresher | None = None

    kind = traitlets.Unicode("card").tag(sync=True)
    scene = traitlets.Dict().tag(sync=True)

    def __init__(self, *, together: float = TOGETHER_SECONDS):
        super().__init__()
        self._trouble = ""
        self.on_msg(self._told)
        self._refresher = Refresher(self._render, together=together)

    def _told(self, _: object, content: object, buffers: object) -> None:
        """Do what was clicked; check the browser's message like anything from outside."""
        if not isinstance(content, dict) or content.get("do") not in self._acts:
            return
        try:
            self._acts[content["do"]](*content.get("args", ()))
            self._trouble = ""
        except (LabError, TypeError, ValueError) as error:
            self._trouble = str(error)
        self._touch()

    def _touch(self) -> None:
        if self._refresher:
            self._refresher.touch()

    def _stop_drawing(self) -> None:
        """Draw once more and end the thread; calling it again has no effect."""
        if self._refresher:
            refresher, self._refresher = self._refresher, None
            refresher.close()

    def _render(self) -> None:
        """Set the traits; called in the refresher's thread."""
        raise NotImplementedError


def act(do: str, label: str, title: str, *args: object, **more: object) -> dict:
    """Return a button as the front end draws it.

    Parameters
    ----------
    do : str
        The method that it calls, one of its widget's ``_acts``.
    label, title : str
        Its text, and its tooltip.
    *args
        The arguments of that method.
    **more
        ``main``, ``danger``, ``off``; ``ask``, its text after a first press, which a second one confirms; ``key``, the
        same for two buttons that replace each other, so that the focus stays.
    """
    return {"do": do, "args": list(args), "label": label, "title": title, **more}
