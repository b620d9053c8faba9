"""What a learner has done, in one small file of the lab's state folder, shared by all kernels."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock

from rpclab.broker.state import state_folder
from rpclab.course.verdict import RIGHT

EXERCISES, PREDICTIONS = "exercises", "predictions"
VERSION = 1
LOCK_SECONDS = 10


def path() -> Path:
    """Return where the record is kept; the file is there once something was done."""
    return state_folder() / "progress.json"


def read(source: Path | None = None) -> dict[str, dict[str, dict]]:
    """Return a record: for each kind and id, the ``state`` and the number of ``tries``.

    Raises
    ------
    ValueError
        If the file is none that `note` has written.
    """
    source = source or path()
    if not source.exists():
        return {EXERCISES: {}, PREDICTIONS: {}}
    found = json.loads(source.read_text(encoding="utf-8"))
    if not isinstance(found, dict) or found.get("version") != VERSION:
        raise ValueError(f"no record of version {VERSION}")
    return {kind: _entries(found.get(kind)) for kind in (EXERCISES, PREDICTIONS)}


def note(kind: str, id: str, state: str) -> None:
    """Take note of one try; what was right once stays right."""
    with _changing() as record:
        entry = record[kind].get(id, {"state": "", "tries": 0})
        if entry["state"] != RIGHT:
            record[kind][id] = {"state": state, "tries": entry["tries"] + 1}


def forget(lesson: str = "") -> None:
    """Drop what was noted of one lesson, or everything."""
    with _changing() as record:
        for entries in record.values():
            for id in [id for id in entries if id.startswith(lesson)]:
                del entries[id]


@contextmanager
def _changing() -> Iterator[dict]:
    """Read the record, let it be changed, and write it whole, while no other process does the same."""
    target = path()
    with FileLock(target.with_suffix(".lock"), timeout=LOCK_SECONDS):
        try:
            record = read(target)
        except ValueError:  # somebody else's, or half of one: kept beside, because it may be dear to somebody
            os.replace(target, target.with_suffix(".unreadable.json"))
            record = read(target)
        yield record
        written = target.with_suffix(".new")
        written.write_text(json.dumps({"version": VERSION, **record}, indent=1, sort_keys=True), encoding="utf-8")
        os.replace(written, target)


def _entries(found: object) -> dict[str, dict]:
    if not isinstance(found, dict):
        raise ValueError("no entries")
    for entry in found.values():
        if not isinstance(entry, dict) or [type(entry.get(key)) for key in ("state", "tries")] != [str, int]:
            raise ValueError("no entry")
    return found
