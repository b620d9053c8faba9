"""Copies the lessons to a learner's folder, and keeps what the learner changed there."""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import closing
from itertools import chain, count
from pathlib import Path
from typing import Any

import nbformat
from nbformat.sign import NotebookNotary

from rpclab.errors import LabError

# Which version of each file was handed out last (its SHA-256), and whether outputs were cleared.
RECORD = ".handed_out.json"
PARTS = ("*.ipynb", "*.md", "images/*")


def originals() -> Path:
    """Return the folder with the course's own lessons: in the package, or beside it in a clone of the repository."""
    package = Path(__file__).resolve().parent
    inside = package / "notebooks"
    return inside if inside.is_dir() else package.parent / "notebooks"


def hand_out(folder: Path, *, clear: bool | None = None, source: Path | None = None) -> list[str]:
    """Update a learner's folder, and return a line for each change.

    Missing lessons are copied. A lesson that the learner has not changed is replaced by its new version. The new
    version of one that the learner has changed is put beside it, as ``01_publishing.new.ipynb``. Other files and
    the course's own folder are not changed.

    Parameters
    ----------
    folder : pathlib.Path
        The learner's folder; created if it does not exist.
    clear : bool, optional
        Whether to copy notebooks without the outputs of an earlier run; by default as last time.
    source : pathlib.Path, optional
        The folder with the lessons; by default the course's own.

    Raises
    ------
    LabError
        If a file cannot be written there.
    """
    source = source or originals()
    lessons = sorted(path for part in PARTS for path in source.glob(part) if path.is_file())
    if not lessons:
        raise LabError(f"There are no lessons in {source}. Install rpclab again, or clone the repository again.")
    if folder.resolve() == source.resolve():
        if clear is not None:
            raise LabError(f"{folder} has the course's own lessons, whose outputs are kept. Name another folder.")
        return []
    if folder.exists() and not folder.is_dir():
        raise LabError(f"Could not hand out the lessons: {folder} is a file. Name a folder.")
    try:
        return _bring_up_to_date(folder, lessons, source, clear)
    except OSError as error:
        raise LabError(
            f"Could not hand out the lessons to {folder}: {error.strerror} ({error.filename}). "
            "Name a folder in which you may write: python -m rpclab lab FOLDER"
        ) from error


def trust(folder: Path) -> None:
    """Let JupyterLab run the scripts in saved outputs of notebooks that the learner has not changed."""
    known = _read(folder / RECORD)["files"]
    notary = NotebookNotary()
    with closing(notary.store):
        for name in known:
            notebook = folder / name
            if notebook.suffix == ".ipynb" and notebook.is_file() and _digest(notebook.read_bytes()) == known[name]:
                notary.sign(nbformat.read(notebook, as_version=4))


def _bring_up_to_date(folder: Path, lessons: list[Path], source: Path, clear: bool | None) -> list[str]:
    folder.mkdir(parents=True, exist_ok=True)
    record = folder / RECORD
    before = _read(record)
    now: dict[str, Any] = {"cleared": before["cleared"] if clear is None else clear, "files": dict(before["files"])}
    form = None if now["cleared"] == before["cleared"] else "without outputs" if now["cleared"] else "with outputs"
    done = []
    for lesson in lessons:
        name = lesson.relative_to(source).as_posix()
        new = _content(lesson, cleared=now["cleared"])
        known = before["files"].get(name)
        # Cleared or not, the learner has this version if in last time's form it equals what was handed out.
        same = known == _digest(_content(lesson, cleared=before["cleared"]))
        done += _hand_out_one(folder / name, new, known, form if same else None, same_version=same)
        now["files"][name] = _digest(new)
    if now != before:
        _write(record, json.dumps(now, indent=1).encode())
    return done if before["files"] else [f"{len(done)} files were handed out"]


def _read(record: Path) -> dict:
    try:
        found = json.loads(record.read_text(encoding="utf-8"))
        return {"cleared": bool(found["cleared"]), "files": dict(found["files"])}
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        # Then nothing is known, so every file that differs counts as changed.
        return {"cleared": False, "files": {}}


def _hand_out_one(copy: Path, new: bytes, known: str | None, form: str | None, *, same_version: bool) -> list[str]:
    if not copy.exists():
        _write(copy, new)
        return [f"{copy.name} was handed out"]
    found = copy.read_bytes()
    if found == new:
        return []
    if _digest(found) == known:
        _write(copy, new)
        what = f"was handed out again {form}" if form else "is the new version"
        return [f"{copy.name} {what}; you had not changed it"]
    if same_version:
        return [f"{copy.name} is yours and was kept as it is, not handed out {form}"] if form else []
    beside = _beside(copy, new)
    if beside.exists():
        return []
    _write(beside, new)
    return [f"{copy.name} is yours and was kept; the new version is {beside.name}"]


def _beside(copy: Path, new: bytes) -> Path:
    """Return where to write the new version, or where it is; the learner may have changed an earlier one there."""
    names = (copy.with_suffix(f".new{number or ''}{copy.suffix}") for number in chain([0], count(2)))
    return next(name for name in names if not name.exists() or name.read_bytes() == new)


def _content(lesson: Path, *, cleared: bool) -> bytes:
    if not cleared or lesson.suffix != ".ipynb":
        return lesson.read_bytes()
    notebook = json.loads(lesson.read_text(encoding="utf-8"))
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            cell["outputs"], cell["execution_count"] = [], None
    return (json.dumps(notebook, indent=1, ensure_ascii=False) + "\n").encode()


def _write(path: Path, content: bytes) -> None:
    """Write the whole file or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}.draft")
    try:
        draft.write_bytes(content)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
