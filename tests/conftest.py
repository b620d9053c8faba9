from __future__ import annotations

import gc
import re
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import cloudpickle
import pytest

from rpclab import Lab, RpcServer


def _lab_name(topic: str, worker_id: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]", "-", f"{worker_id}-{topic}")[:60]


@pytest.fixture(scope="session", autouse=True)
def an_interrupt_interrupts() -> None:
    """Have Ctrl-C end the programs that tests start: in the background of a shell they would ignore it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="module", autouse=True)
def only_what_a_module_makes_is_collected() -> None:
    """Have the collection after each test look at what came since: all else takes it a tenth of a second each time."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="module", autouse=True)
def no_worker_process_imports_a_module_of_tests(request) -> Iterator[None]:
    """Have classes sent to worker processes by value: pytest and widgets take longer to import than all the rest."""
    cloudpickle.register_pickle_by_value(request.module)
    yield
    cloudpickle.unregister_pickle_by_value(request.module)


@pytest.fixture(autouse=True)
def leaks_show_where_they_arise() -> Iterator[None]:
    """Have a socket that was left open reported by the test that left it, not by a later one."""
    yield
    gc.collect()


@pytest.fixture
def lab(request, worker_id) -> Iterator[Lab]:
    with Lab(_lab_name(request.node.name, worker_id)) as lab:
        yield lab


@pytest.fixture(scope="module")
def shared_lab(request, worker_id) -> Iterator[Lab]:
    """One lab for all tests of a module, for servers that take long to start."""
    with Lab(_lab_name(request.module.__name__, worker_id)) as lab:
        yield lab


@pytest.fixture
def serve(lab: Lab) -> Iterator[Callable]:
    """Run servers in threads of this process, where a test can see into them."""
    with ExitStack() as running:

        def start(server):
            thread = threading.Thread(target=server.start, name="server")
            thread.start()
            running.callback(thread.join)
            running.callback(server.stop)
            return server

        yield start


@pytest.fixture
def shout(serve) -> RpcServer:
    """A service on queue "shout" that answers in capitals."""
    return serve(RpcServer("shout", str.upper, prefetch=100))


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """Something a handler can wait for; opened at the end in any case."""
    event = threading.Event()
    yield event
    event.set()
