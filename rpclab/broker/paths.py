"""The lab's folder, which outlives a notebook and which only its owner can read."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs
from platformdirs.unix import Unix


def state_folder() -> Path:
    """Return the lab's folder, created with mode 0700 if it does not exist.

    ``RPCLAB_HOME`` names another one. On macOS it is the same as on Linux: Erlang's start scripts fail on
    the space in ``Application Support``.
    """
    chosen = os.environ.get("RPCLAB_HOME")
    if chosen:
        folder = Path(chosen).expanduser().resolve()
    elif os.name == "posix":
        folder = Unix("rpclab").user_state_path
    else:
        folder = platformdirs.user_state_path("rpclab", appauthor=False)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def write_privately(path: Path, text: str, mode: int = 0o600) -> None:
    """Write the whole file or nothing, readable by its owner alone."""
    draft = path.with_suffix(path.suffix + ".new")
    draft.unlink(missing_ok=True)
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w", encoding="utf-8") as file:
        file.write(text)
    draft.replace(path)
