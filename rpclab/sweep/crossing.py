"""Counts the frames of a run at the tap, and injects a fault at one of them."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable

from pika import spec

from rpclab.sweep.cases import CLIENT, MEMORY, SERVER, Passage, Point
from rpclab.wire.frames import Link
from rpclab.wire.gate import Frame

PASS = True


class Crossing:
    """Decides about each frame of a run for the tap.

    Until the fault, everything happens in the same order in each run. So the order of opening identifies a connection.
    The first run has no fault, and finds each connection's role.

    Parameters
    ----------
    roles : sequence of str
        The role of each connection, in the order in which they are opened; empty if not known yet.
    point : Point
        The place of the fault.
    fault : callable
        Called with the frame there, before it passes; returns whether it passes.

    Attributes
    ----------
    fired : threading.Event
        Set when the fault has happened.
    frame : str
        The frame at which it happened.
    links : list of Link
        The connections, in the order in which they were opened.
    """

    def __init__(self, roles: tuple[str, ...], point: Point, fault: Callable[[Frame], bool]):
        self.fired = threading.Event()
        self.frame = ""
        self.links: list[Link] = []
        self._roles = roles
        self._point = point
        self._fault = fault
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
        if self._is_at(*place, number):
            self.frame = frame.name
            self.fired.set()
            return self._fault(frame)
        self._passed.append((*place, number, frame.name, tuple(link for link in self.links if not link.closed)))
        return PASS

    def links_of(self, *roles: str) -> list[Link]:
        """Return the open connections of these roles."""
        known = zip(self._roles, self.links, strict=False)
        return [link for role, link in known if role in roles and not link.closed]

    def roles(self) -> tuple[str, ...]:
        """Return each connection's role, by its name."""
        found = []
        for link in self.links:
            found.append(CLIENT if link.name.startswith("RpcClient") else MEMORY if SERVER in found else SERVER)
        return tuple(found)

    def passages(self) -> list[Passage]:
        """Return the frames that have passed, in order."""
        roles = dict(zip(map(id, self.links), self.roles(), strict=True))
        of_place = self.roles()
        return [
            Passage(Point(of_place[place], from_client, number), name, tuple(roles[id(link)] for link in links))
            for place, from_client, number, name, links in self._passed
        ]

    def _is_at(self, place: int, from_client: bool, number: int) -> bool:
        point = self._point
        return (
            place < len(self._roles) and self._roles[place] == point.role
            and from_client == point.from_client and number == point.number
        )
