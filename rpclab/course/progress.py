"""A map of the lessons with what has been done of each, for a learner and for a class."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

import ipywidgets as widgets

from rpclab.course import catalogue, record
from rpclab.course.verdict import NOT_ATTEMPTED, RIGHT, WRONG
from rpclab.errors import InvalidOption, LabError
from rpclab.table import Table
from rpclab.widgets import look

_SIGNS = {RIGHT: ("good", "\u2713"), WRONG: ("bad", "\u2715"), NOT_ATTEMPTED: ("calm", "\u25cb")}


class Progress(widgets.VBox):
    """The map. It is kept on this machine only, in one file; nothing is sent anywhere.

    In a notebook it is a widget, so that what one learner has done is not saved in the notebook's outputs.
    """

    def __init__(self):
        self._map = widgets.HTML()
        super().__init__([self._map])
        self.add_class("rpclab-card")
        self._render()

    @property
    def path(self) -> Path:
        """The file that holds it; a copy of it is what `overview` reads."""
        return record.path()

    def table(self) -> Table:
        """Return a row for each exercise and prediction, with its state and the number of tries."""
        done = _read()
        rows = [
            {"lesson": lesson, "id": id, "what": what, "kind": kind.removesuffix("s"), **_entry(done, kind, id)}
            for lesson in catalogue.numbers() for kind, id, what in _items(lesson)
        ]
        return Table(("lesson", "kind", "id", "state", "tries"), rows)

    def reset(self, lesson: str = "") -> Progress:
        """Forget what was done of one lesson, ``"04"``, or of all.

        Raises
        ------
        InvalidOption
            If there is nothing to do in that lesson.
        """
        if lesson and lesson not in catalogue.numbers():
            raise InvalidOption(f"There is no lesson {lesson!r} here: it is one of {', '.join(catalogue.numbers())}.")
        record.forget(lesson)
        self._render()
        return self

    def export(self, target: str | Path) -> Path:
        """Copy the record to a file, to be handed in: ``rpclab.progress().export("anna.json")``.

        Raises
        ------
        LabError
            If nothing was done yet, so that there is nothing to copy.
        """
        if not self.path.exists():
            raise LabError("There is nothing to export yet: no exercise was checked and no prediction compared.")
        return Path(shutil.copyfile(self.path, target))

    def overview(self, paths: Iterable[str | Path]) -> Table:
        """Return how far a class has come: a row for each exported file, and how much is done of each lesson.

        Parameters
        ----------
        paths : iterable of str or pathlib.Path
            The files; each is called by its name without ``.json``.
        """
        numbers = catalogue.numbers()
        rows = [{"name": Path(path).stem, **_summary(Path(path), numbers)} for path in paths]
        return Table(("name", *numbers, "note"), rows, empty="(no files)")

    def __str__(self) -> str:
        done = _read()
        lines = []
        for lesson in catalogue.numbers():
            lines.append(f"{lesson} {catalogue.title(lesson)}: {_count(done, lesson)}")
            for kind, id, _ in _items(lesson):
                state = _entry(done, kind, id)["state"]
                lines.append(f"   {_SIGNS[state][1]} {id} ({kind.removesuffix('s')}): {state}")
        return "\n".join(lines)

    def __repr__(self) -> str:
        return "Progress()"

    def _render(self) -> None:
        done = _read()
        rows = [
            (
                look.text(f"{lesson} {catalogue.title(lesson)}"),
                *(_labels(done, lesson, kind) for kind in (record.EXERCISES, record.PREDICTIONS)),
                look.text(_count(done, lesson)),
            )
            for lesson in catalogue.numbers()
        ]
        legend = look.note("\u2713 right, \u2715 wrong so far, \u25cb not attempted")
        heading = f"{look.STYLE}<div class='rpclab-title'><b>Progress</b></div>"
        self._map.value = heading + look.table(("lesson", "exercises", "predictions", "done"), rows) + legend


def progress() -> Progress:
    """Return the map of the lessons, with the exercises and predictions that were done."""
    return Progress()


def _read() -> dict:
    try:
        return record.read()
    except ValueError as error:
        raise LabError(
            f"The record of your progress, {record.path()}, cannot be read ({error}). Move it away."
        ) from error


def _items(lesson: str) -> list[tuple[str, str, str]]:
    """Return kind, id and words of each thing to do in a lesson."""
    return [(record.EXERCISES, e.id, e.title) for e in catalogue.exercises(lesson)] + [
        (record.PREDICTIONS, q.id, q.asks) for q in catalogue.questions(lesson)
    ]


def _entry(done: dict, kind: str, id: str) -> dict:
    entry = done[kind].get(id, {})
    state = entry.get("state")
    return {"state": state if state in (RIGHT, WRONG) else NOT_ATTEMPTED, "tries": entry.get("tries", 0)}


def _count(done: dict, lesson: str) -> str:
    return "{} of {} done".format(*_counts(done, lesson))


def _counts(done: dict, lesson: str) -> tuple[int, int]:
    """Count what is done: exercises that are right, and predictions that were compared, whatever was predicted."""
    states = [(kind, _entry(done, kind, id)["state"]) for kind, id, _ in _items(lesson)]
    finished = [state for kind, state in states if state == RIGHT or (kind, state) == (record.PREDICTIONS, WRONG)]
    return len(finished), len(states)


def _labels(done: dict, lesson: str, kind: str) -> str:
    """Return a coloured sign for each item, with its name and state as a tooltip."""
    labels = []
    for id in (id for of, id, _ in _items(lesson) if of == kind):
        state = _entry(done, kind, id)["state"]
        (mood, sign), said = _SIGNS[state], f"{look.text(id)}: {state}"
        labels.append(f"<span class='rpclab-state {mood}' role='img' aria-label='{said}' title='{said}'>{sign}</span>")
    return " ".join(labels)


def _summary(path: Path, numbers: list[str]) -> dict[str, str]:
    """Return what one file tells of each lesson; of a file that cannot be read, that it cannot."""
    try:
        if not path.is_file():
            return {"note": "no such file"}
        done = record.read(path)
    except (OSError, ValueError):
        return {"note": "not readable"}
    return {number: "{}/{}".format(*_counts(done, number)) for number in numbers}
