"""The tests of the answers that a module lists: those in `WRONG`, and those in `ALSO_RIGHT`; see `conftest`."""

from __future__ import annotations

from cells import assert_says, cell, changed

from rpclab.course import catalogue


def test_a_mistake_gets_its_own_diagnosis(request, id, mistake):
    exercise = catalogue.exercise(id)
    changes, words = request.module.WRONG[id][mistake]
    assert_says(exercise.check(changed(exercise, *changes)), "wrong", words)


def test_another_good_way_is_right_as_well(request, id, way):
    exercise = catalogue.exercise(id)
    assert_says(exercise.check(cell(request.module.ALSO_RIGHT[id][way], exercise.name)), "right", "")
