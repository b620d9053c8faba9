"""Counts the frames of a run at the tap, and injects a fault at one of them."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress

from pika import spec

from rpclab.errors import LabError
from rpclab.sweep.cases import CLIENT, CUTS, DROP, FREEZE, KILL, MEMORY, SERVER, Case, Passage, Point
from rpclab.wire.events import Link
from rpclab.wire.gate import Frame
from rpclab.wire.tap import Tap

FREEZE_SECONDS = 0.25
PASS = True


class Crossing:
    """Decides about each frame of a run for the tap, in the tap's thread, before the frame passes.

    Until the fault, everything happens in the same order in each run. So the order of opening identifies a connection.
    The first run has no fault, and finds each connection's role.

    ``cut-client``, ``cut-server`` and ``cut-memory`` reset a connection, ``kill`` ends the server's process and resets
    its connections, as if its machine lost power: neither this frame nor a later one passes.
    ``freeze`` stops the connection of the frame in both directions for a quarter of a second. ``drop`` drops the frame;
    a method that carries a message, with the message.

    Parameters
    ----------
    tap : Tap
        The tap.
    roles : sequence of str
        The role of each connection, in the order in which they are opened; empty if not known yet.
    case : Case
        The fault and its place.
    kill : callable
        Kills the server's process.

    Attributes
    ----------
    fired : threading.Event
        Set when the fault has happened.
    frame : str
        The frame at which it happened.
    links : list of Link
        The connections, in the order in which they were opened.
    """

    def __init__(self, tap: Tap, roles: tuple[str, ...], case: Case, kill: Callable[[], None]):
        self.fired = threading.Event()
        self.frame = ""
        self.links: list[Link] = []
        self._tap = tap
        self._roles = roles
        self._case = case
        self._kill = kill
        self._thawing: threading.Timer | None = None
        self._counts: Counter[tuple[int, bool]] = Counter()
        self._passed: list[tuple[int, bool, int, str, tuple[Link, ...]]] = []

    def __call__(self, frame: Frame) -> bool:
        """Return whether a frame passes."""
        if frame.link not in self.links:
            self.links.append(frame.link)
        if self.fired.is_set() or frame.kind == spec.FRAME_HEARTBEAT:
            return PASS
        place = self.links.index(frame.link), frame.from_client
        self._counts[place] += 1
        number = self._counts[place]
        role = self._roles[place[0]] if place[0] < len(self._roles) else ""
        if Point(role, frame.from_client, number) == self._case.point:
            self.frame = frame.name
            self.fired.set()
            return self._break(frame)
        self._passed.append((*place, number, frame.name, tuple(link for link in self.links if not link.closed)))
        return PASS

    def finish(self) -> None:
        """Return when no fault is active."""
        if self._thawing:
            self._thawing.join()

    def roles(self) -> tuple[str, ...]:
        """Return each connection's role, by its name."""
        found = []
        for link in self.links:
            found.append(CLIENT if link.name.startswith("RpcClient") else MEMORY if SERVER in found else SERVER)
        return tuple(found)

    def passages(self) -> list[Passage]:
        """Return the frames that have passed, in order."""
        of_place = self.roles()
        roles = dict(zip(map(id, self.links), of_place, strict=True))
        return [
            Passage(Point(of_place[place], from_client, number), name, tuple(roles[id(link)] for link in links))
            for place, from_client, number, name, links in self._passed
        ]

    def _break(self, frame: Frame) -> bool:
        """Inject the fault at a frame, and return whether the frame passes."""
        fault = self._case.fault
        if fault == DROP:
            return False
        if fault == FREEZE:
            self._freeze(frame.link.name)
        elif fault == KILL:
            self._kill()
            self._cut(SERVER, MEMORY)
        else:
            self._cut(CUTS[fault])
        return PASS

    def _freeze(self, name: str) -> None:
        self._tap.freeze(name)
        thawing = threading.Timer(FREEZE_SECONDS, self._thaw, (name,))
        thawing.start()
        self._thawing = thawing  # only now: `finish`, in another thread, could not wait for one that is not started

    def _thaw(self, name: str) -> None:
        with suppress(LabError):  # a program may have closed the connection
            self._tap.thaw(name)

    def _cut(self, *roles: str) -> None:
        for role, link in zip(self._roles, self.links, strict=False):
            if role in roles and not link.closed:
                self._tap.cut(link.name)
