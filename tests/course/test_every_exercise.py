"""What holds for each exercise of the catalogue, future ones included."""

from __future__ import annotations

import inspect
import re
from collections import Counter
from importlib import import_module

import pytest
from cells import assert_says, cell, changed

import rpclab
from rpclab.course import catalogue, record, renamed
from rpclab.course.attempt_detection import untouched

IDS = [exercise.id for lesson in catalogue.numbers() for exercise in catalogue.read(lesson).exercises]
LONGEST_CELL = 20


@pytest.fixture(params=IDS)
def exercise(request):
    return catalogue.exercise(request.param)


def test_there_are_three_for_each_lesson_that_has_any():
    assert IDS
    counts = {lesson: len(catalogue.read(lesson).exercises) for lesson in catalogue.numbers()}
    assert [lesson for lesson, count in counts.items() if count == 0] == ["11", "15"]  # a cluster; drills
    assert all(count >= 3 for count in counts.values() if count)


def test_an_id_is_its_lesson_and_a_few_words(exercise):
    assert re.fullmatch(r"\d\d(-[a-z]+)+", exercise.id)
    assert len({*IDS}) == len(IDS)


def test_an_old_name_leads_to_the_exercise_or_the_prediction_of_the_new_one():
    assert repr(rpclab.predict("05-two-questions")) == "Prediction('05-two-requests')"
    for old in renamed._NEW:
        find = catalogue.exercise if renamed.current(old) in IDS else catalogue.question
        assert find(old).id == renamed.current(old) != old


def test_the_starter_and_the_solution_fit_a_cell(exercise):
    for source in (exercise.starter, exercise.solved):
        assert len(source.splitlines()) <= LONGEST_CELL
        assert max(map(len, source.splitlines())) <= 110


def test_there_are_several_hints_and_then_the_solution(exercise):
    hints = [exercise.hint() for _ in (*exercise.hints, "the lines that change")]
    assert len(hints) >= 3
    assert hints[0].startswith(f"*Hint 1 of {len(hints)}.*")
    assert len(set(hints)) == len(hints)
    assert "`.solution()`" in exercise.hint()
    assert exercise.solved.strip() in exercise.solution()


def test_the_last_hint_shows_the_lines_that_change_and_no_others(exercise):
    shown = [exercise.hint() for _ in (*exercise.hints, "the lines that change")][-1]
    (lines,) = re.findall(r"The lines that change:\n\n```diff\n(.*)\n```$", shown, re.DOTALL)
    signs = {sign: [line[2:] for line in lines.splitlines() if line[0] == sign] for sign in "-+"}
    left = [Counter(filter(str.strip, code.splitlines())) for code in (exercise.starter, exercise.solved)]
    assert left[0] - Counter(signs["-"]) == left[1] - Counter(signs["+"])
    assert signs["+"]
    assert shown == shown._repr_markdown_() == repr(shown)


def test_each_learner_begins_with_the_first_hint(exercise):
    exercise.hint()
    assert "Hint 1" in catalogue.exercise(exercise.id).hint()


def test_the_solution_is_right(exercise):
    verdict = exercise.check(cell(exercise.solved, exercise.name))
    assert verdict.state == "right", verdict
    assert verdict
    assert record.read()[record.EXERCISES] == {exercise.id: {"state": "right", "tries": 1}}


def test_an_answer_that_is_not_begun_is_not_attempted(exercise):
    starter = cell(exercise.starter, exercise.name)
    empty = f"{'class X' if inspect.isclass(starter) else 'def X(*arguments)'}:\n    '''Nothing yet.'''"
    commented = changed(exercise, ("\n", "  # a comment, and a blank line\n\n"), base="starter")
    for answer in (None, ..., starter, commented, cell(empty, "X"), cell(empty + "\n    ...", "X")):
        verdict = exercise.check(answer)
        assert verdict.state == "not attempted", verdict
        assert not verdict
    assert record.read()[record.EXERCISES] == {}


def test_the_solution_is_not_taken_for_the_starter(exercise):
    assert not untouched(cell(exercise.solved, exercise.name), exercise.starter, exercise.name)


def test_an_answer_of_another_kind_is_wrong_at_once(exercise):
    for answer in (8, "x", object()):
        assert_says(exercise.check(answer), "wrong", r"(class|function) itself, without calling it.*type `\w+`")


def test_at_least_two_wrong_answers_have_a_test_of_their_own(exercise):
    tests = import_module(f"test_exercises_{exercise.id[:2]}")
    words = [words for _, words in tests.WRONG[exercise.id].values()]
    assert len(words) >= 2
    assert len(set(words)) == len(words)


def test_of_an_answer_that_raises_the_line_is_shown(exercise):
    starter = cell(exercise.starter, exercise.name)
    broken = "class X:\n    def __init__(self):\n        1 / 0" if inspect.isclass(starter) else \
        "def X(*arguments):\n    1 / 0"
    words = r"raised `ZeroDivisionError: division by zero` in `(__init__|X)`, at `1 / 0`"
    assert_says(exercise.check(cell(broken, "X")), "wrong", words)
