from __future__ import annotations

from collections.abc import Iterator

import pytest

from rpclab.broker import compose, node
from rpclab.broker.node_files import free_ports


@pytest.fixture
def no_docker(monkeypatch) -> None:
    """Leave alone what somebody may run in Docker here: nobody listens on this port."""
    (port,) = free_ports(1)
    monkeypatch.setattr(compose, "PORT", port)


@pytest.fixture(scope="module")
def own_home(tmp_path_factory) -> Iterator[None]:
    """A state folder for this module alone, without a node in it; whatever runs there at the end is ended."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RPCLAB_HOME", str(tmp_path_factory.mktemp("home")))
        for variable in ("RPCLAB_BROKER", "RPCLAB_MANAGEMENT", "RPCLAB_URL"):
            patch.delenv(variable, raising=False)
        yield
        node.stop()


@pytest.fixture
def own_node(own_home) -> node.Node:
    """The node of this module, started again if an earlier test has ended it."""
    return node.start()
