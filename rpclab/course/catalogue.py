"""Finding exercises and predictions by their ids; a lesson's are loaded when one of them is asked for."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from pkgutil import iter_modules

from rpclab.course import lessons
from rpclab.course.exercise import Exercise
from rpclab.course.question import Question
from rpclab.errors import InvalidOption

_PREFIX = "lesson_"


def numbers() -> list[str]:
    """Return the numbers of the lessons that have something to do, as they begin the ids: ``["04", "05"]``."""
    names = (module.name for module in iter_modules(lessons.__path__))
    return sorted(name.removeprefix(_PREFIX) for name in names if name.startswith(_PREFIX))


def title(lesson: str) -> str:
    """Return a lesson's title."""
    return _module(lesson).TITLE


def exercises(lesson: str) -> tuple[Exercise, ...]:
    """Return a lesson's exercises, in the order of the lesson."""
    return _module(lesson).EXERCISES


def questions(lesson: str) -> tuple[Question, ...]:
    """Return a lesson's predictions, in the order of the lesson."""
    return _module(lesson).PREDICTIONS


def exercise(id: str) -> Exercise:
    """Return an exercise; ``rpclab.exercise("04-ack-after-work").question`` shows what to do.

    Parameters
    ----------
    id : str
        The lesson's number and the exercise's name.

    Raises
    ------
    InvalidOption
        If there is none; the message lists those of the lesson.
    """
    return replace(_find(id, "exercise", exercises))


def question(id: str) -> Question:
    """Return what a prediction asks; see `exercise`."""
    return _find(id, "prediction", questions)


def _find(id: str, kind: str, of_lesson):
    lesson = str(id)[:2]
    if lesson not in numbers():
        raise InvalidOption(f"There is no {kind} {id!r}: ids begin with a lesson, {', '.join(numbers())}.")
    known = {found.id: found for found in of_lesson(lesson)}
    if id not in known:
        raise InvalidOption(f"There is no {kind} {id!r}. Lesson {lesson} has: {', '.join(known) or 'none'}.")
    return known[id]


def _module(lesson: str):
    return import_module(f"{lessons.__name__}.{_PREFIX}{lesson}")
