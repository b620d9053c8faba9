"""What a learner has done, in one small file of the lab's state folder, shared by all kernels."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock

from rpclab.broker.paths import state_folder
from rpclab.course.renamed import current
from rpclab.course.verdict import RIGHT

EXERCISES, PREDICTIONS = "exercises", "predictions"
VERSION = 1
LOCK_SECONDS = 10


def path() -> Path:
    """Return the record's file; it exists once something was done."""
    return state_folder() / "progress.json"


def read(source: Path | None = None) -> dict[str, dict[str, dict]]:
    """Return a record: for each kind and current id, the ``state`` and the number of ``tries``.

    A prediction also has what was ``chosen`` first, if it was made since choices are recorded.

    Raises
    ------
    ValueError
        If `note` did not write the file.
    """
    source = source or path()
    if not source.exists():
        return {EXERCISES: {}, PREDICTIONS: {}}
    found = json.loads(source.read_text(encoding="utf-8"))
    if not isinstance(found, dict) or found.get("version") != VERSION:
        raise ValueError(f"no record of version {VERSION}")
    return {kind: _entries(found.get(kind)) for kind in (EXERCISES, PREDICTIONS)}


def note(kind: str, id: str, state: str, chosen: str = "") -> None:
    """Record one try, and what was chosen in the first one; what was right once stays right."""
    with _changing() as record:
        first = {"state": "", "tries": 0} | ({"chosen": chosen} if chosen else {})
        entry: dict = record[kind].setdefault(id, first)
        if entry["state"] != RIGHT:
            entry.update(state=state, tries=entry["tries"] + 1)


def forget(lesson: str = "") -> None:
    """Delete the record of one lesson, or of all."""
    with _changing() as record:
        for entries in record.values():
            for id in [id for id in entries if id.startswith(lesson)]:
                del entries[id]


@contextmanager
def _changing() -> Iterator[dict]:
    """Read the record, yield it to be changed, and write it whole, under a lock between processes."""
    target = path()
    with FileLock(target.with_suffix(".lock"), timeout=LOCK_SECONDS):
        try:
            record = read(target)
        except ValueError:  # damaged or not ours: kept beside the new one, because it may be worth repairing
            os.replace(target, target.with_suffix(".unreadable.json"))
            record = read(target)
        yield record
        written = target.with_suffix(".new")
        written.write_text(json.dumps({"version": VERSION, **record}, indent=1, sort_keys=True), encoding="utf-8")
        os.replace(written, target)


def _entries(found: object) -> dict[str, dict]:
    if not isinstance(found, dict):
        raise ValueError("no entries")
    kept: dict[str, dict] = {}
    for id, entry in found.items():
        # Exercises and old records have no choice.
        if not isinstance(entry, dict) or [
            type(value) for value in (entry.get("state"), entry.get("tries"), entry.get("chosen", ""))
        ] != [str, int, str]:
            raise ValueError("no entry")
        # A file that an older course has written to again has both names.
        if current(id) not in kept or entry["state"] == RIGHT:
            kept[current(id)] = entry
    return kept
