"""A broker of one's own for these tests, reached as one on another machine is, and two learners on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from learners import PAIR, apart, enter

from rpclab.broker import node
from rpclab.broker.address import Broker
from rpclab.broker.management import Management
from rpclab.classroom import maintenance, provision
from rpclab.classroom.class_inventory import survey
from rpclab.classroom.roster import Learner


@pytest.fixture(scope="session")
def home(tmp_path_factory) -> Path:
    """Where the broker of these tests lives."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="session")
def administered(home) -> Iterator[Broker]:
    """A broker for all modules, because starting one takes seconds, and each module removes what it made."""
    with apart(home):
        started = node.start().broker
    yield Broker(started.url, started.management_url, "RPCLAB_BROKER")
    with apart(home):
        node.stop()


@pytest.fixture(scope="module")
def remote(home, administered) -> Iterator[Broker]:
    """That broker as one that only URLs lead to, and its administrator; no `rabbitmqctl` reaches it."""
    with apart(home) as patch:
        enter(patch, administered.url, administered.management_url)
        yield administered


@pytest.fixture(scope="module")
def pair(remote, tmp_path_factory) -> Iterator[tuple[Learner, Learner]]:
    """Two learners of a class, Anna and Ben, with two labs each."""
    file = tmp_path_factory.mktemp("class") / "class.csv"
    made = provision.create(remote, ["Anna", "Ben"], file, class_name=PAIR, labs=2)
    yield tuple(made.learners)
    maintenance.remove(remote, class_name=PAIR)


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
        maintenance.remove(remote)
