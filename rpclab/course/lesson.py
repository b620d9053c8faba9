"""A lesson's exercises and predictions: their texts in Markdown, the checks of its exercises in a module beside it."""

from __future__ import annotations

import re
from ast import literal_eval
from collections.abc import Callable
from functools import cache
from importlib import import_module
from importlib.resources import files
from re import Match
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from rpclab.course.exercise import Exercise
from rpclab.course.question import Option, Question

if TYPE_CHECKING:
    from rpclab.course.drill import Fault

PACKAGE = "rpclab.course.lessons"
T = TypeVar("T")
_FILE = re.compile(r"lesson_(\d\d)\.md")
_HEADING = re.compile(r"^## (Exercise|Prediction|Drill) ", re.MULTILINE)
_EXERCISE = re.compile(
    r"(?P<id>\S+): (?P<title>[^\n]+)\n\n(?P<task>.+?)\n\n```python\n(?P<starter>.+?)```\n\n(?P<hints>1\. .+?)\n\n"
    r"```python\n(?P<solved>.+?)```\n*", re.DOTALL,
)
_QUESTION = re.compile(r"(?P<id>\S+)\n\n(?P<asks>.+?)\n\n(?P<options>- \[.+)", re.DOTALL)
_OPTION = re.compile(r"\[(?P<right>[ x])\] `(?P<value>[^`]+)`: (?P<says>.+?)\n\n(?P<because>.+)", re.DOTALL)
_DRILL = re.compile(
    r"(?P<id>\S+): (?P<title>[^\n]+)\n\n(?P<says>.+?)\n\n(?P<because>.+?)\n\n"
    r"- With this fault, (?P<would>.+?)\.\n- In other drills, (?P<instead>.+?)\.\n*", re.DOTALL,
)


class Lesson(NamedTuple):
    """What one lesson has, each in the lesson's order.

    Attributes
    ----------
    title : str
        Its title on the map.
    intro : str
        What its drills have in common; most lessons have none.
    exercises : tuple of Exercise
        For learners to write.
    questions : tuple of Question
        Its predictions.
    drills : tuple of Fault
        Its drills; most lessons have none.
    """

    title: str
    intro: str
    exercises: tuple[Exercise, ...]
    questions: tuple[Question, ...]
    drills: tuple[Fault, ...]


def numbers() -> list[str]:
    """Return the numbers of the lessons that have exercises, predictions or drills: ``["04", "05"]``."""
    return sorted(found[1] for path in files(PACKAGE).iterdir() if (found := _FILE.fullmatch(path.name)))


@cache
def read(number: str) -> Lesson:
    """Read a lesson: ``lesson_04.md``, and ``lesson_04.py`` for the judges of its exercises."""
    text = files(PACKAGE).joinpath(f"lesson_{number}.md").read_text("utf-8")
    return parse(text, lambda name: getattr(import_module(f"{PACKAGE}.lesson_{number}"), name))


def parse(text: str, of_module: Callable[[str], Any]) -> Lesson:
    """Return the lesson that a text in Markdown describes; ../course/README.md shows the form.

    Parameters
    ----------
    text : str
        The title, what the drills have in common, and a section for each exercise, prediction and drill.
    of_module : callable
        Returns what the lesson's module has under a name: the judge of ``04-own-channel`` is ``own_channel``, and
        ``drill_a`` makes a `Fault` of the texts of ``15-drill-a``.

    Raises
    ------
    ValueError
        If a section is not of this form; the message says what it should have.
    """
    head, *parts = _HEADING.split(text)
    title, _, intro = head.removeprefix("# ").partition("\n")
    sections = list(zip(parts[::2], parts[1::2], strict=True))
    return Lesson(
        title,
        intro.strip(),
        tuple(_exercise(text, of_module) for kind, text in sections if kind == "Exercise"),
        tuple(_question(text) for kind, text in sections if kind == "Prediction"),
        tuple(_drill(text, of_module) for kind, text in sections if kind == "Drill"),
    )


def _exercise(text: str, of_module: Callable[[str], Any]) -> Exercise:
    found = _match(_EXERCISE, text, "a title, a task, the starter code, hints from 1. on, and the solution")
    hints = tuple(map(_joined, re.split(r"^\d\. ", found["hints"], flags=re.MULTILINE)[1:]))
    names = re.findall(r"^(?:class|def) (\w+)", found["starter"], re.MULTILINE)
    name = _only(names, "class or function to write", text)
    judge = of_module(_name(found["id"]))
    return Exercise(found["id"], found["title"], found["task"], name, found["starter"], found["solved"], hints, judge)


def _question(text: str) -> Question:
    found = _match(_QUESTION, text, "a question and its options")
    options, right = [], []
    for part in re.split(r"^- ", found["options"], flags=re.MULTILINE)[1:]:
        option = _match(_OPTION, part, "the option's value, what it says, and why it is right or wrong")
        options.append(Option(_joined(option["says"]), literal_eval(option["value"]), _joined(option["because"])))
        right += [options[-1].value] * (option["right"] == "x")
    return Question(found["id"], _joined(found["asks"]), tuple(options), _only(right, "option that is right", text))


def _drill(text: str, of_module: Callable[[str], Any]) -> Fault:
    found = _match(_DRILL, text, "a complaint, the fault, what shows it, and what this and other drills show")
    return of_module(_name(found["id"]))(**{part: _joined(said) for part, said in found.groupdict().items()})


def _name(id: str) -> str:
    """Return the name that an exercise or a drill has in the lesson's module."""
    return id[3:].replace("-", "_")


def _match(form: re.Pattern[str], text: str, expected: str) -> Match[str]:
    found = form.fullmatch(text)
    if found is None:
        raise ValueError(f"This section of a lesson should have {expected}:\n{text}")
    return found


def _only(found: list[T], what: str, text: str) -> T:
    if len(found) != 1:
        raise ValueError(f"This section of a lesson should have one {what}, and has {len(found)}:\n{text}")
    return found[0]


def _joined(text: str) -> str:
    """Return a paragraph in one line."""
    return " ".join(text.split())
