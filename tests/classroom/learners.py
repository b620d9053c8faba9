"""Being a learner on a broker."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from rpclab.broker.address import Broker
from rpclab.classroom.roster import Learner

VARIABLES = ("RPCLAB_BROKER", "RPCLAB_MANAGEMENT", "RPCLAB_URL", "RPCLAB_CA")
# The class of the two; classes of other tests have other names, or none.
PAIR = "pair"


@contextmanager
def apart(home: Path) -> Iterator[pytest.MonkeyPatch]:
    """Have everything keep its state in a folder, and know of no broker elsewhere."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RPCLAB_HOME", str(home))
        for variable in VARIABLES:
            patch.delenv(variable, raising=False)
        yield patch


def enter(patch: pytest.MonkeyPatch, url: str, management: str) -> None:
    """Have everything from now on use a broker as one user."""
    patch.setenv("RPCLAB_BROKER", url)
    patch.setenv("RPCLAB_MANAGEMENT", management)


def broker_of(learner: Learner) -> Broker:
    """Return the broker as a learner reaches it."""
    return Broker(learner.url, learner.management, "RPCLAB_BROKER")


def environment_of(learner: Learner, home: Path) -> dict[str, str]:
    """Return the environment of a learner's process."""
    inherited = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    return inherited | {
        "RPCLAB_BROKER": learner.url, "RPCLAB_MANAGEMENT": learner.management, "RPCLAB_HOME": str(home)
    }
