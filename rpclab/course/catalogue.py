"""Find exercises and predictions by their ids; a lesson's are loaded when one of them is needed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from rpclab.course.exercise import Exercise
from rpclab.course.lesson import numbers, read
from rpclab.course.question import Question
from rpclab.course.renamed import current
from rpclab.errors import InvalidOption

if TYPE_CHECKING:
    from rpclab.course.drill import Fault

_Item = TypeVar("_Item", "Exercise", "Question", "Fault")


def exercise(id: str) -> Exercise:
    """Return an exercise; ``rpclab.exercise("04-ack-after-work").question`` shows what to do.

    Parameters
    ----------
    id : str
        The lesson's number and the exercise's name; a name that it had earlier works, too.

    Raises
    ------
    InvalidOption
        If there is none; the message lists those of the lesson.
    """
    return replace(_find(id, "exercise", lambda lesson: read(lesson).exercises))


def question(id: str) -> Question:
    """Return a prediction's question; see `exercise`."""
    return _find(id, "prediction", lambda lesson: read(lesson).questions)


def drill(id: str) -> Fault:
    """Return a drill's fault; see `exercise`."""
    return _find(id, "drill", lambda lesson: read(lesson).drills)


def _find(id: str, kind: str, of_lesson: Callable[[str], Sequence[_Item]]) -> _Item:
    id = current(str(id))
    lesson = id[:2]
    if lesson not in numbers():
        raise InvalidOption(f"There is no {kind} {id!r}: ids begin with a lesson, {', '.join(numbers())}.")
    known = {found.id: found for found in of_lesson(lesson)}
    if id not in known:
        raise InvalidOption(f"There is no {kind} {id!r}. Lesson {lesson} has: {', '.join(known) or 'none'}.")
    return known[id]
