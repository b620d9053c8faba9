"""The labs that are open in this process. The environment leads to the one that was opened last."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from rpclab.broker.environment import URL_VARIABLE
from rpclab.errors import LabError

if TYPE_CHECKING:
    from rpclab.lab.lab import Lab

_open: dict[str, Lab] = {}


def get(name: str) -> Lab | None:
    """Return the open lab of this name, or None."""
    return _open.get(name)


def add(lab: Lab) -> None:
    """Record that a lab has been opened."""
    os.environ[URL_VARIABLE] = lab.url
    _open[lab.name] = lab


def remove(lab: Lab) -> None:
    """Record that a lab is closed."""
    del _open[lab.name]
    if os.environ.get(URL_VARIABLE) == lab.url:
        del os.environ[URL_VARIABLE]
        if _open:
            os.environ[URL_VARIABLE] = current_lab().url


def current_lab() -> Lab:
    """Return the lab that this process opened last.

    Raises
    ------
    LabError
        If none is open.
    """
    if not _open:
        raise LabError('No lab is open. Open one first: lab = rpclab.Lab("my-lab").')
    return list(_open.values())[-1]
