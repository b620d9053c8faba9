from __future__ import annotations

import re
from pathlib import Path

from cells import assert_says, cell

import rpclab
from rpclab.course import catalogue

README = (Path(rpclab.__file__).parent / "course" / "README.md").read_text(encoding="utf-8")


def test_the_example_for_contributors_is_an_exercise_that_works():
    (source,) = re.findall(r"```python\n(\"\"\"Everything that waits.*?)^```", README, re.DOTALL | re.MULTILINE)
    exercise = cell(source, "EXERCISE")
    assert exercise.check(cell(exercise.starter, exercise.name)).state == "not attempted"
    assert_says(exercise.check(cell(exercise.solved, exercise.name)), "right", "Three letters")
    forgetful = cell("def on_letter(ch, method, props, body):\n    print(body)\n", "on_letter")
    assert_says(exercise.check(forgetful), "wrong", "1 letter is unacked")


def test_the_ids_that_it_names_are_there():
    (shown,) = re.findall(r'rpclab\.exercise\("(.+?)"\)', README)
    assert catalogue.exercise(shown).name in README
    (asked,) = re.findall(r'rpclab\.predict\("(.+?)"\)', README)
    assert catalogue.question(asked)
