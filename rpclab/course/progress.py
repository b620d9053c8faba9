"""A map of the lessons and what is done in each, for a learner and for a class."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import ipywidgets as widgets

from rpclab import theme
from rpclab.course import catalogue, record
from rpclab.course.text import unmarked
from rpclab.course.verdict import NOT_ATTEMPTED, RIGHT, WRONG
from rpclab.errors import InvalidOption, LabError
from rpclab.table import Table

EXERCISE, PREDICTION = "exercise", "prediction"
_SIGNS = {RIGHT: ("good", "\u2713"), WRONG: ("bad", "\u2715"), NOT_ATTEMPTED: ("calm", "\u25cb")}


class Progress(widgets.VBox):
    """The map. It is kept in one file on this machine; nothing is sent anywhere.

    In a notebook it is a widget, so that a learner's progress is not saved in the notebook's outputs.
    """

    def __init__(self) -> None:
        self._map = widgets.HTML()
        super().__init__([self._map])
        self.add_class("rpclab-card")
        self._render()

    @property
    def path(self) -> Path:
        """The file that holds it; `overview` reads copies of it."""
        return record.path()

    def table(self) -> Table:
        """Return a row for each exercise and prediction, with its state and the number of tries."""
        done = _read()
        rows = [row for lesson in catalogue.numbers() for row in _rows(done, lesson)]
        return Table(("lesson", "kind", "id", "state", "tries"), rows)

    def reset(self, lesson: str = "") -> Progress:
        """Forget what was done in one lesson, ``"04"``, or in all.

        Raises
        ------
        InvalidOption
            If that lesson has no exercises and no predictions.
        """
        if lesson and lesson not in catalogue.numbers():
            raise InvalidOption(f"There is no lesson {lesson!r} here: it is one of {', '.join(catalogue.numbers())}.")
        record.forget(lesson)
        self._render()
        return self

    def export(self, target: str | Path) -> Path:
        """Copy the record to a file, to hand it in: ``rpclab.progress().export("anna.json")``.

        Raises
        ------
        LabError
            If nothing was done yet.
        """
        if not self.path.exists():
            raise LabError("There is nothing to export yet: check an exercise or compare a prediction first.")
        return Path(shutil.copyfile(self.path, target))

    def overview(self, paths: Iterable[str | Path]) -> Table:
        """Return a class's progress: a row for each exported file, with how much is done in each lesson.

        Parameters
        ----------
        paths : iterable of str or pathlib.Path
            The files; a row's name is the file's without ``.json``.
        """
        rows = [{"name": Path(path).stem, **_summary(_handed_in(path))} for path in paths]
        return Table(("name", *catalogue.numbers(), "note"), rows, empty="(no files)")

    def choices(self, paths: Iterable[str | Path]) -> Table:
        """Return which ideas a class holds: how many chose which option of a prediction, when they made it first.

        Parameters
        ----------
        paths : iterable of str or pathlib.Path
            The files, as for `overview`, which reports the ones that cannot be read.
        """
        records = [done for done in map(_handed_in, paths) if isinstance(done, dict)]
        rows: list[dict] = []
        for question in (question for lesson in catalogue.numbers() for question in catalogue.read(lesson).questions):
            chosen = Counter(done[record.PREDICTIONS].get(question.id, {}).get("chosen") for done in records)
            if any(chosen[option.key] for option in question.options):
                rows += [
                    {"prediction": question.id, "chosen": chosen[option.key], "right": option.value == question.happens,
                     "option": unmarked(option.says)}
                    for option in question.options
                ]
        return Table(("prediction", "chosen", "right", "option"), rows, empty="(no predictions)")

    def __str__(self) -> str:
        done = _read()
        lines = []
        for lesson in catalogue.numbers():
            rows = _rows(done, lesson)
            lines.append(f"{_titled(lesson)}: {_count(rows)} done")
            lines += [f"   {_SIGNS[row['state']][1]} {row['id']} ({row['kind']}): {row['state']}" for row in rows]
        return "\n".join(lines)

    def __repr__(self) -> str:
        return "Progress()"

    def _render(self) -> None:
        done = _read()
        lessons = [(theme.text(_titled(lesson)), _rows(done, lesson)) for lesson in catalogue.numbers()]
        cells = [
            (title, _labels(rows, EXERCISE), _labels(rows, PREDICTION), theme.text(f"{_count(rows)} done"))
            for title, rows in lessons
        ]
        legend = theme.note("\u2713 right, \u2715 wrong so far, \u25cb not attempted")
        columns = ("lesson", "exercises", "predictions", "done")
        self._map.value = theme.title("Progress") + theme.table(columns, cells) + legend


def progress() -> Progress:
    """Return the map of the lessons, with what is done of their exercises and predictions."""
    return Progress()


def _read() -> dict:
    try:
        return record.read()
    except ValueError as error:
        raise LabError(
            f"The record of your progress, {record.path()}, cannot be read ({error}). Move it away."
        ) from error


def _titled(lesson: str) -> str:
    return f"{lesson} {catalogue.read(lesson).title}"


def _rows(done: dict, lesson: str) -> list[dict]:
    """Return a row for each thing to do in a lesson, with its state and the number of tries."""
    has, exercises, rows = catalogue.read(lesson), done[record.EXERCISES], []
    items = [(EXERCISE, one.id, exercises) for one in has.exercises]
    items += [(EXERCISE, one.id, exercises) for one in has.drills if not one.example]
    items += [(PREDICTION, one.id, done[record.PREDICTIONS]) for one in has.questions]
    for kind, id, entries in items:
        entry = entries.get(id, {})
        state = entry["state"] if entry.get("state") in (RIGHT, WRONG) else NOT_ATTEMPTED
        rows.append({"lesson": lesson, "kind": kind, "id": id, "state": state, "tries": entry.get("tries", 0)})
    return rows


def _count(rows: list[dict], between: str = " of ") -> str:
    """Count what is done of a lesson: exercises that are right, and predictions that were compared, right or wrong."""
    done = [row for row in rows if row["state"] == RIGHT or (row["kind"], row["state"]) == (PREDICTION, WRONG)]
    return f"{len(done)}{between}{len(rows)}"


def _labels(rows: list[dict], kind: str) -> str:
    """Return a coloured sign for each row of a kind, with its name and state as a tooltip."""
    return " ".join(
        theme.label(*_SIGNS[row["state"]], f"{row['id']}: {row['state']}") for row in rows if row["kind"] == kind
    )


def _handed_in(path: str | Path) -> dict | str:
    """Return a record that was handed in, or a note that it cannot be read."""
    try:
        return record.read(Path(path)) if Path(path).is_file() else "no such file"
    except (OSError, ValueError):
        return "not readable"


def _summary(done: dict | str) -> dict[str, str]:
    """Return what one record says of each lesson, or the note that there is none."""
    if isinstance(done, str):
        return {"note": done}
    return {lesson: _count(_rows(done, lesson), "/") for lesson in catalogue.numbers()}
