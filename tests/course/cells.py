"""Answers as learners write them: code in a cell of a notebook."""

from __future__ import annotations

import itertools
import linecache
import re

import pika

import rpclab
from rpclab.course.exercise import Exercise
from rpclab.course.verdict import Verdict

_numbers = itertools.count(1)


def cell(source: str, name: str, **names) -> object:
    """Run a cell as a notebook does, which keeps its lines, and return what it defines under a name."""
    file = f"<cell {next(_numbers)}>"
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
    namespace = {"__name__": "__main__", "pika": pika, "rpclab": rpclab, **names}
    exec(compile(source, file, "exec", dont_inherit=True), namespace)
    return namespace[name]


def changed(exercise: Exercise, *changes: tuple[str, str], base: str = "solved") -> object:
    """Return what an exercise's solution, or its starter, defines when some of its text is replaced."""
    return cell(altered(exercise, *changes, base=base), exercise.name)


def altered(exercise: Exercise, *changes: tuple[str, str], base: str = "solved") -> str:
    """Return an exercise's solution, or its starter, with some of its text replaced."""
    source = getattr(exercise, base)
    for old, new in changes:
        assert old in source, f"{old!r} is not in the {base} of {exercise.id}"
        source = source.replace(old, new)
    return source


def assert_says(verdict: Verdict, state: str, words: str) -> None:
    """See that a verdict has a state, and words that match a regular expression."""
    assert verdict.state == state, verdict
    assert re.search(words, verdict.text, re.DOTALL), verdict
