"""``python -m rpclab mark``: run the answers of handed-in notebooks through the checks, and write a table."""

from __future__ import annotations

import argparse
import csv
import json
import multiprocessing
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from rpclab.broker.find import find
from rpclab.errors import InvalidOption

PURPOSE = "mark the exercises of handed-in notebooks; this runs other people's code"
DESCRIPTION = """Run the answers in handed-in notebooks through the checks of their exercises, and write name, exercise,
state and diagnosis as CSV. Each notebook has its own process, each check its own virtual host, and your own progress
stays as it is."""
WARNING = """\
These notebooks are other people's code. It runs on this machine with your rights: it can read and change your files.
To keep it away from them, put the notebooks into the folder handed_in, and run them in the container:

    docker compose --profile lab run --rm -T --volume "$PWD/handed_in:/handed_in:ro" --volume /home/learner lab \\
        python -m rpclab mark /handed_in > marks.csv
"""
COLUMNS = ("name", "exercise", "state", "diagnosis")
SECONDS = 60.0
END_SECONDS = 5.0
# A spreadsheet runs what begins with one of these as a formula.
_FORMULA = tuple("=+-@\t")

Row = tuple[str, str, str, str]


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Add the command to those of ``python -m rpclab``."""
    mark = commands.add_parser("mark", help=PURPOSE, description=DESCRIPTION)
    mark.set_defaults(run=_run)
    mark.add_argument("notebooks", nargs="+", type=Path, metavar="NOTEBOOK", help="a notebook, or a folder of them")
    mark.add_argument("--csv", type=Path, metavar="FILE", help="write the table to this file instead of the terminal")
    mark.add_argument(
        "--timeout", type=float, default=SECONDS, metavar="SECONDS",
        help=f"how long one exercise may take ({SECONDS:g})",
    )


def rows(notebooks: Iterable[Path], seconds: float = SECONDS) -> Iterator[Row]:
    """Return name, exercise, state and diagnosis of each exercise of each notebook, one notebook after the other.

    Parameters
    ----------
    notebooks : iterable of pathlib.Path
        Notebooks, and folders that have some.
    seconds : float
        How long one exercise may take. A check takes up to 15 s.
    """
    from rpclab.classroom import handed_in

    for name, path in _each(notebooks):
        try:
            cells = handed_in.code_cells(path)
        except ValueError as error:
            yield name, "", handed_in.NOT_MARKED, str(error)
            continue
        found = handed_in.tasks(cells)
        if not found:
            yield name, "", handed_in.NOT_MARKED, "It has no exercise and no prediction of the course."
        there = [task for task in found if task.end]
        marked = dict(zip(there, _marked(cells, there, seconds), strict=True))
        for task in found:
            missing = "missing", f'The notebook has no cell with rpclab.exercise("{task.id}").'
            yield name, task.id, *marked.get(task, missing)


def _run(asked: argparse.Namespace) -> None:
    if not asked.timeout > 0:
        raise InvalidOption(f"--timeout {asked.timeout:g}: it is a number of seconds, more than 0.")
    find()  # without a broker no notebook can be marked
    print(WARNING, file=sys.stderr)
    if asked.csv is None:
        _write(sys.stdout, rows(asked.notebooks, asked.timeout))
        return
    try:
        with asked.csv.open("w", encoding="utf-8", newline="") as file:
            _write(file, rows(asked.notebooks, asked.timeout))
    except OSError as error:
        raise InvalidOption(f"{asked.csv} cannot be written: {error.strerror}.") from error


def _write(file: IO[str], found: Iterable[Row]) -> None:
    table = csv.writer(file, lineterminator="\n")
    table.writerow(COLUMNS)
    for row in found:
        cells = [" ".join("".join(c if c.isprintable() else " " for c in cell).split()) for cell in row]
        table.writerow([f"'{cell}" if cell.startswith(_FORMULA) else cell for cell in cells])
        file.flush()


def _each(notebooks: Iterable[Path]) -> Iterator[tuple[str, Path]]:
    """Return each notebook with its name: its path as given, or within the folder that was given."""
    for given in notebooks:
        if not given.is_dir():
            yield str(given.with_suffix("")), given
            continue
        for path in sorted(given.rglob("*.ipynb")):
            if ".ipynb_checkpoints" not in path.parts:
                yield str(path.relative_to(given).with_suffix("")), path


def _marked(cells: Sequence[str], tasks: Sequence, seconds: float) -> Iterator[tuple[str, str]]:
    """Return state and diagnosis of each task; when an answer ends its process or does not end, another goes on."""
    from rpclab.classroom import handed_in
    from rpclab.course.verdict import WRONG
    from rpclab.lab import Lab

    left = list(tasks)
    context = multiprocessing.get_context("spawn")
    while left:
        receiver, sender = context.Pipe(duplex=False)
        process = context.Process(target=handed_in.mark, args=(sender, cells, left))
        process.start()
        sender.close()
        trouble = ""
        try:
            while left and not trouble:
                if not receiver.poll(seconds):
                    trouble = f"It was not finished after {seconds:g} s: does the cell with the answer end?"
                    break
                try:
                    state, diagnosis = json.loads(receiver.recv_bytes())
                except EOFError:
                    process.join(END_SECONDS)
                    trouble = f"The answer ended the process that ran it (exit code {process.exitcode})."
                    break
                left.pop(0)
                yield state, diagnosis
        finally:
            _end(process)
            receiver.close()
        if trouble:
            # The check that was broken off has left its virtual host.
            Lab(f"check-{left[0].id}").close()
            left.pop(0)
            yield WRONG, trouble


def _end(process: multiprocessing.process.BaseProcess) -> None:
    """End a process with all that it has started."""
    import psutil

    with suppress(psutil.NoSuchProcess):
        whole = psutil.Process(process.pid)
        for one in (*whole.children(recursive=True), whole):
            with suppress(psutil.NoSuchProcess):
                one.kill()
    process.join()
    process.close()
