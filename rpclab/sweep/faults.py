"""Injects a fault at a frame, in the tap's thread, before the frame passes."""

from __future__ import annotations

import threading
from contextlib import suppress

from rpclab.errors import LabError
from rpclab.sweep.cases import CUTS, DROP, FREEZE, KILL, MEMORY, SERVER
from rpclab.sweep.crossing import Crossing
from rpclab.sweep.promises import Work
from rpclab.sweep.service import Service
from rpclab.wire.gate import Frame
from rpclab.wire.tap import Tap

FREEZE_SECONDS = 0.25


class Faults:
    """Injects the fault of one run.

    ``cut-client``, ``cut-server`` and ``cut-memory`` reset a connection, ``kill`` ends the server's process and resets
    its connections, as if its machine lost power: neither this frame nor a later one passes.
    ``freeze`` stops the connection of the frame in both directions for a quarter of a second. ``drop`` drops the frame;
    a method that carries a message, with the message.

    Parameters
    ----------
    tap : Tap
        The tap.
    crossing : Crossing
        The connections' roles.
    service : Service
        The server.
    work : Work
        Counts how often the work may be done.
    """

    def __init__(self, tap: Tap, crossing: Crossing, service: Service, work: Work):
        self._tap = tap
        self._crossing = crossing
        self._service = service
        self._work = work
        self._thawing: threading.Timer | None = None

    def happen(self, fault: str, frame: Frame) -> bool:
        """Inject a fault at a frame, and return whether the frame passes."""
        if fault == DROP:
            return False
        if fault == FREEZE:
            self._freeze(frame.link.name)
        elif fault == KILL:
            self._work.server_ends()
            self._service.kill()
            self._cut(SERVER, MEMORY)
        else:
            self._cut(CUTS[fault])
        return True

    def finish(self) -> None:
        """Return when no fault is active."""
        if self._thawing:
            self._thawing.join()

    def _freeze(self, name: str) -> None:
        self._tap.freeze(name)
        thawing = threading.Timer(FREEZE_SECONDS, self._thaw, (name,))
        thawing.start()
        self._thawing = thawing  # only now: `finish`, in another thread, could not wait for one that is not started

    def _thaw(self, name: str) -> None:
        with suppress(LabError):  # a program may have closed the connection
            self._tap.thaw(name)

    def _cut(self, *roles: str) -> None:
        for link in self._crossing.links_of(*roles):
            self._tap.cut(link.name)
