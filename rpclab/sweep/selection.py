"""Selects runs."""

from __future__ import annotations

from fnmatch import fnmatchcase

from rpclab.sweep.cases import CLIENT, CUT_CLIENT, CUT_SERVER, KILL, SERVER, SETUPS, Case, Setup

PLAIN = SETUPS[0]
QUICK_STRIDE = 31
ENDS = {CUT_CLIENT: CLIENT, CUT_SERVER: SERVER, KILL: SERVER}


class Selection:
    """The selected runs; by default all.

    Parameters
    ----------
    only : str, optional
        Those whose name matches: a case such as ``plain/classic/kill/server-in-9``, or a pattern such as
        ``retry/*/drop/*``.
    quick : bool
        Those that take half a minute together: with plain options on a classic queue, all that end a connection at one
        of its own frames; of the rest, some at many different frames.
    """

    def __init__(self, only: str | None = None, *, quick: bool = False):
        self._only = only
        self._quick = quick

    def has(self, case: Case, number: int) -> bool:
        """Return whether a case at this place of its setup is selected."""
        if self._only is not None:
            return fnmatchcase(str(case), self._only)
        if not self._quick or (case.setup == PLAIN and ENDS.get(case.fault) == case.point.role):
            return True
        return (number + SETUPS.index(case.setup)) % QUICK_STRIDE == 0

    def may_have(self, setup: Setup) -> bool:
        """Return whether any case of a setup can be selected."""
        parts = (self._only or "*").split("/")
        return len(parts) < 4 or fnmatchcase(str(setup), "/".join(parts[:2]))
