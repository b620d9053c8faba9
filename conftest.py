"""How the notebooks and the tests are handed to processes."""

from __future__ import annotations

import os

import pytest

# By what they take, beginning with a cluster of three nodes; the others follow as they are numbered.
LONGEST_LESSONS = ("11", "09", "12", "13", "08", "14", "07")


def pytest_xdist_auto_num_workers() -> int:
    """Return two more than there are processors: tests wait for brokers, processes and pages most of the time."""
    return (os.cpu_count() or 1) + 2


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the lessons that take longest: one that began last would keep a single process busy to the end."""
    last = len(LONGEST_LESSONS)
    places = {number: place for place, number in enumerate(LONGEST_LESSONS)}
    items.sort(key=lambda item: places.get(item.path.name[:2], last) if item.path.suffix == ".ipynb" else last)
