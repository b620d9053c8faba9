"""A broker of one's own for these tests, reached as one on another machine is, and two learners on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from learners import PAIR, VARIABLES, enter

from rpclab.broker import node
from rpclab.broker.address import Broker
from rpclab.broker.management import Management
from rpclab.classroom import provision, upkeep
from rpclab.classroom.ours import survey
from rpclab.classroom.roster import Learner


@pytest.fixture(scope="module")
def remote(tmp_path_factory) -> Iterator[Broker]:
    """A broker that only URLs lead to, as its administrator; no `rabbitmqctl` reaches it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RPCLAB_HOME", str(tmp_path_factory.mktemp("home")))
        for variable in VARIABLES:
            patch.delenv(variable, raising=False)
        started = node.start().broker
        teacher = Broker(started.url, started.management_url, "RPCLAB_BROKER")
        enter(patch, teacher.url, teacher.management_url)
        yield teacher
        node.stop()


@pytest.fixture(scope="module")
def pair(remote, tmp_path_factory) -> Iterator[tuple[Learner, Learner]]:
    """Two learners of a class, Anna and Ben, with two labs each."""
    file = tmp_path_factory.mktemp("class") / "class.csv"
    made = provision.create(remote, ["Anna", "Ben"], file, class_name=PAIR, labs=2)
    yield tuple(made.learners)
    upkeep.remove(remote, class_name=PAIR)


@pytest.fixture
def as_learner(monkeypatch) -> Callable[[Learner], None]:
    """Become a learner for the rest of a test."""
    return lambda learner: enter(monkeypatch, learner.url, learner.management)


@pytest.fixture
def api(remote) -> Iterator[Management]:
    """The HTTP API as the administrator sees it."""
    with Management(remote) as api:
        yield api


@pytest.fixture
def file(tmp_path: Path, remote) -> Iterator[Path]:
    """Where a test's class is kept; the class without a name is removed in the end."""
    yield tmp_path / "class.csv"
    with Management(remote) as api:
        left = survey(api, "").learners
    if left:
        upkeep.remove(remote)
