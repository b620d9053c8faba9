"""ARCHITECTURE.md is true: which rooms there are, and which way imports run; so are the numbers of the front end."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import rpclab

PACKAGE = Path(rpclab.__file__).parent
ROOT = PACKAGE.parent
TEXT = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
TABLE = TEXT.partition("## Rooms")[2].partition("\n## ")[0]
ROOMS = [room for row in re.findall(r"^\| (`.+?) \|", TABLE, re.MULTILINE) for room in re.findall(r"`(\w+)`", row)]


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(path: Path) -> Iterator[str]:
    """Yield the rooms that a module imports from, in functions and for type checking, too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "rpclab":
            inside = node.module.split(".")[1:]
            yield from inside[:1] or [alias.name for alias in node.names]


def test_each_room_is_in_the_table_once():
    there = {room_of(path) for path in PACKAGE.rglob("*.py")} - {"__init__", "jupyter_settings", "notebooks"}
    assert sorted(ROOMS) == sorted(there)


def test_a_room_imports_only_from_rooms_above_it():
    wrong = [
        f"{path.relative_to(ROOT)} imports from {other}"
        for path in PACKAGE.rglob("*.py") if (room := room_of(path)) in ROOMS
        for other in imported(path) if other not in ROOMS[: ROOMS.index(room) + 1]
    ]
    assert wrong == []


def test_the_files_that_it_names_exist():
    rows = re.findall(r"^\| `(\w+)` \|.*\| `([\w.]+)` \|$", TABLE, re.MULTILINE)
    assert len(rows) > 10
    named = [PACKAGE / room / file for room, file in rows]
    named += [ROOT / path for path in re.findall(r"`((?:rpclab|tests)/[\w/.]+)`", TEXT) if "NN" not in path]
    assert [path for path in named if not path.exists()] == []


def test_a_file_of_the_front_end_uses_only_those_with_a_lower_number():
    comment = re.compile(r"^ *(//|/?\*).*", re.MULTILINE)
    files = {
        path.name: comment.sub("", path.read_text(encoding="utf-8"))
        for path in (PACKAGE / "widgets" / "front_end").glob("*.js")
    }
    made = {
        thing: name for name, text in files.items()
        for thing in re.findall(r"^(?:class|const|function|let) (\w+)", text, re.MULTILINE)
    }
    assert {"keep", "Form", "Ways", "SIGNS", "Room"} <= made.keys()
    wrong = [
        f"{name} uses {thing} of {maker}" for name, text in files.items() for thing, maker in made.items()
        if maker != name and maker[0] >= name[0] and re.search(rf"(?<![.\w]){thing}\b", text)
    ]
    assert wrong == []
