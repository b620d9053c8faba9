"""Hand the course's files out to a reader, and again after an update, without losing what the reader changed.

``python hand_out.py ORIGINALS COPIES`` copies what is missing, replaces what the reader left as it was, and puts the
new version of a file that the reader changed beside it, as ``01_publishing.new.ipynb``. Files of the reader's own are
left alone. To have a lesson as it was, delete it and start the container again.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from itertools import chain, count
from pathlib import Path

# Which version of each file was handed out last: its SHA-256.
RECORD = ".handed_out.json"


def hand_out(originals: Path, copies: Path) -> list[str]:
    """Bring the copies up to date, and return a line for each thing that was done.

    Parameters
    ----------
    originals : pathlib.Path
        The folder with the course's files as they are in this version.
    copies : pathlib.Path
        The reader's folder; made if it is not there.
    """
    copies.mkdir(parents=True, exist_ok=True)
    record = copies / RECORD
    handed_out = _read(record)
    done = []
    for original in sorted(path for path in originals.rglob("*") if path.is_file()):
        name = original.relative_to(originals).as_posix()
        done += _hand_out_one(original, copies / name, handed_out.get(name))
        handed_out[name] = _digest(original)
    draft = record.with_suffix(".draft")
    draft.write_text(json.dumps(handed_out, indent=1))
    draft.replace(record)
    return done


def _read(record: Path) -> dict[str, str]:
    try:
        return json.loads(record.read_text())
    except (FileNotFoundError, ValueError):  # nothing is known then, so every file that differs counts as changed
        return {}


def _hand_out_one(original: Path, copy: Path, last: str | None) -> list[str]:
    new = _digest(original)
    if not copy.exists():
        _copy(original, copy)
        return [f"{copy.name} was handed out"]
    if new == last or _digest(copy) == new:
        return []
    if _digest(copy) == last:
        _copy(original, copy)
        return [f"{copy.name} is the new version; you had not changed it"]
    beside = _free_name(copy)
    _copy(original, beside)
    return [f"{copy.name} is yours and was kept; the new version is {beside.name}"]


def _free_name(copy: Path) -> Path:
    """Return where the new version goes; what was put beside earlier may have been worked on too."""
    names = (copy.with_suffix(f".new{number or ''}{copy.suffix}") for number in chain([0], count(2)))
    return next(name for name in names if not name.exists())


def _copy(original: Path, copy: Path) -> None:
    copy.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(original, copy)


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


if __name__ == "__main__":
    for line in hand_out(Path(sys.argv[1]), Path(sys.argv[2])):
        print(line, flush=True)
