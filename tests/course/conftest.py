from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from rpclab.broker.environment import URL_VARIABLE
from rpclab.course import record


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make a test of each answer to an exercise that a module lists."""
    for argument, answers in (("mistake", "WRONG"), ("way", "ALSO_RIGHT")):
        if {"id", argument} <= set(metafunc.fixturenames):
            listed = getattr(metafunc.module, answers)
            metafunc.parametrize(("id", argument), [(id, name) for id in listed for name in listed[id]])


@pytest.fixture(autouse=True)
def progress_of_its_own(tmp_path, monkeypatch) -> None:
    """Keep what a test does out of the record that the tests' state folder has, and that all of them share."""
    monkeypatch.setattr(record, "state_folder", lambda: tmp_path)


@pytest.fixture(autouse=True)
def no_lab_is_left_open() -> Iterator[None]:
    """See that no check stays the lab of the tests' process."""
    before = os.environ.get(URL_VARIABLE)
    yield
    assert os.environ.get(URL_VARIABLE) == before
