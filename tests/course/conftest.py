from __future__ import annotations

import gc
import os
from collections.abc import Iterator

import pytest

from rpclab.course import record
from rpclab.environment import URL_VARIABLE


@pytest.fixture(autouse=True)
def progress_of_its_own(tmp_path, monkeypatch) -> None:
    """Keep what a test does out of the record that the tests' state folder has, and that all of them share."""
    monkeypatch.setattr(record, "state_folder", lambda: tmp_path)


@pytest.fixture(scope="module", autouse=True)
def only_what_the_tests_make_is_collected() -> Iterator[None]:
    """Have the collection after each test look at what came since: all else takes it a tenth of a second each time."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(autouse=True)
def no_lab_is_left_open() -> Iterator[None]:
    """Have a socket that was left open reported by the test that left it, and see that no check stays the lab."""
    before = os.environ.get(URL_VARIABLE)
    yield
    gc.collect()
    assert os.environ.get(URL_VARIABLE) == before
