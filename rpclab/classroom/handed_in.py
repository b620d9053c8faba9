"""A notebook that was handed in: its exercises, the code that each answer needs, and their checks, in one process."""

from __future__ import annotations

import ast
import json
import linecache
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from multiprocessing.connection import Connection
from pathlib import Path

import pika

import rpclab
from rpclab.course import catalogue
from rpclab.course.exercise import Exercise
from rpclab.course.renamed import current
from rpclab.course.verdict import NOT_ATTEMPTED, WRONG
from rpclab.errors import LabError
from rpclab.table import shortened

NOT_MARKED = "not marked"
LONGEST_BYTES = 50_000_000
LONGEST_ERROR = 200
_IDS = re.compile(r"rpclab\.(?:exercise|predict)\(\s*[\"']([\w-]+)[\"']")
_OPENED = re.compile(r"rpclab\.exercise\(\s*[\"']([\w-]+)[\"']")
_CHECKED = re.compile(r"\.check\(\s*(\w+)\s*\)")
# A command for IPython or a shell, as in %time or !pip; not an operator at the beginning of a line.
_MAGIC = re.compile(r"^([ \t]*)(?:%%?[A-Za-z]|!(?!=)).*$", re.MULTILINE)
_DEFINITIONS = ast.Import | ast.ImportFrom | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


@dataclass(frozen=True)
class Task:
    """One exercise of a notebook.

    Attributes
    ----------
    id : str
        The exercise's id.
    begin, end : int
        Its code cells: from the one with ``rpclab.exercise`` to the next exercise. Both are 0 if it is missing.
    first : int
        Where the notebook's first exercise begins, after the lesson itself.
    """

    id: str
    begin: int = 0
    end: int = 0
    first: int = 0


def code_cells(notebook: Path) -> list[str]:
    """Return the sources of a notebook's code cells.

    Raises
    ------
    ValueError
        If that is no notebook; the message says why.
    """
    if not notebook.is_file():
        raise ValueError("There is no such file.")
    try:
        if notebook.stat().st_size > LONGEST_BYTES:
            raise ValueError("It is larger than 50 MB.")
        cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
        return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    except OSError as error:
        raise ValueError(f"It cannot be read: {error.strerror}.") from error
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError("It is not JSON.") from error
    except (KeyError, TypeError) as error:
        raise ValueError("It is JSON, but not a notebook.") from error


def tasks(cells: Sequence[str]) -> list[Task]:
    """Return the exercises of a notebook's lessons in their order, missing ones included."""
    opened = [(number, current(id)) for number, source in enumerate(cells) for id in _OPENED.findall(source)]
    ends = {number: end for (number, _), (end, _) in pairwise([*opened, (len(cells), "")])}
    there = {id: Task(id, number, ends[number], opened[0][0]) for number, id in opened}
    lessons = sorted({id[:2] for source in cells for id in _IDS.findall(source)} & {*catalogue.numbers()})
    return [there.get(one.id, Task(one.id)) for lesson in lessons for one in catalogue.read(lesson).exercises]


def mark(sender: Connection, cells: Sequence[str], tasks: Sequence[Task]) -> None:
    """Mark exercises, and send state and diagnosis of each when it is known, as JSON."""
    # What the learner's code prints is not the teacher's table.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(nowhere, stream)
    for task in tasks:
        sender.send_bytes(json.dumps(_marked(task, cells)).encode())


def answer(exercise: Exercise, task: Task, cells: Sequence[str]) -> object:
    """Return what a learner wrote for an exercise, or None if there is nothing. It runs the learner's code.

    The lesson's cells were run in the learner's lab, which is gone: of these, only imports, functions and classes are
    run. Of the exercise's own cells, plain assignments are, too, and of those with the answer all but calls. Cells of
    other exercises are not run.

    Raises
    ------
    BaseException
        Whatever the definition of the answer raises; what other statements raise is left to the check, which shows what
        the answer misses.
    """
    own = cells[task.begin:task.end]
    name = ([exercise.name] + [name for source in own for name in _CHECKED.findall(source)])[-1]
    defines = re.compile(rf"^(?:(?:async )?def|class) {name}\b|^{name}\s*=", re.MULTILINE)
    if not any(map(defines.search, own)):
        return None
    namespace: dict = {"__name__": "__main__", "pika": pika, "rpclab": rpclab}
    for number in (*range(task.first), *range(task.begin, task.end)):
        source = cells[number]
        has_answer = number >= task.begin and bool(defines.search(source))
        for statement in _statements(source, number, must_compile=has_answer):
            if isinstance(statement, _DEFINITIONS) or (number >= task.begin and _is_kept(statement, has_answer)):
                code = compile(ast.Module([statement], []), _file(number), "exec", dont_inherit=True)
                if defines.search(ast.unparse(statement)) and has_answer:
                    exec(code, namespace)
                else:
                    with suppress(Exception):
                        exec(code, namespace)
    return namespace.get(name)


def _marked(task: Task, cells: Sequence[str]) -> tuple[str, str]:
    exercise = catalogue.exercise(task.id)
    try:
        written = answer(exercise, task, cells)
    except BaseException as error:  # noqa: BLE001  every error is reported to its author
        said = shortened(f"{type(error).__name__}: {error}", LONGEST_ERROR)
        return WRONG, f"The cell with the answer raises `{said}`."
    try:
        verdict = exercise.verdict(written)
    except LabError as error:
        return NOT_MARKED, str(error)
    # What a verdict says of an answer that is not there is for the learner.
    return verdict.state, verdict.text if verdict.state != NOT_ATTEMPTED else ""


def _statements(source: str, number: int, *, must_compile: bool) -> Iterator[ast.stmt]:
    """Return a cell's statements; none of a cell that does not compile, unless it has the answer."""
    code = _MAGIC.sub(r"\1pass", source)
    try:
        found = ast.parse(code, _file(number)).body
    except (SyntaxError, ValueError):
        if must_compile:
            raise
        return
    # Here an error looks for the learner's line.
    linecache.cache[_file(number)] = (len(code), None, code.splitlines(keepends=True), _file(number))
    yield from found


def _is_kept(statement: ast.stmt, has_answer: bool) -> bool:
    """Return whether a statement of an exercise's own cells is run, which is not yet a definition."""
    if has_answer:
        return not isinstance(statement, ast.Expr) and not _CHECKED.search(ast.unparse(statement))
    calls = any(isinstance(part, ast.Call) for part in ast.walk(statement))
    return isinstance(statement, ast.Assign | ast.AnnAssign) and not calls


def _file(number: int) -> str:
    return f"<cell {number + 1}>"
