from __future__ import annotations

import re
from pathlib import Path

import pytest
from cells import assert_says, cell

import rpclab
from rpclab.course import catalogue
from rpclab.course.lesson import parse

README = (Path(rpclab.__file__).parent / "course" / "README.md").read_text(encoding="utf-8")


def test_the_example_for_contributors_is_a_lesson_that_works():
    (text,) = re.findall(r"````markdown\n(.*?)^````", README, re.DOTALL | re.MULTILINE)
    (source,) = re.findall(r"```python\n(from rpclab.course.evidence.*?)^```", README, re.DOTALL | re.MULTILINE)
    lesson = parse(text, lambda name: cell(source, name))
    assert (lesson.title, lesson.questions[0].happens) == ("Consuming", "requeued")
    (exercise,) = lesson.exercises
    assert exercise.check(cell(exercise.starter, exercise.name)).state == "not attempted"
    assert_says(exercise.check(cell(exercise.solved, exercise.name)), "right", "Three letters")
    forgetful = cell("def on_letter(ch, method, properties, body):\n    print(body)\n", "on_letter")
    assert_says(exercise.check(forgetful), "wrong", "1 letter is unacked")


@pytest.mark.parametrize(("wanted", "changed", "lacks"), [
    ("1. What does", "What does", "hints from 1. on"),
    ("def on_letter(ch, method, properties, body):\n    ...", "x = 1", "one class or function to write, and has 0"),
    ("- [x]", "- [ ]", "one option that is right, and has 0"),
    ("- [ ]", "- [x]", "one option that is right, and has 2"),
    (": It is lost.", " It is lost.", "the option's value"),
])
def test_a_section_of_another_form_is_refused_with_what_it_lacks(wanted, changed, lacks):
    (text,) = re.findall(r"````markdown\n(.*?)^````", README, re.DOTALL | re.MULTILINE)
    assert wanted in text
    with pytest.raises(ValueError, match=lacks):
        parse(text.replace(wanted, changed, 1), lambda name: name)


def test_the_example_of_a_drill_has_the_texts_of_a_fault():
    (text,) = re.findall(r"^```markdown\n(## Drill.*?)^```", README, re.DOTALL | re.MULTILINE)
    lesson = parse(f"# Drills\n\nFind out why.\n\n{text}", lambda name: {"drill_a": dict}[name])
    assert (lesson.title, lesson.intro) == ("Drills", "Find out why.")
    (drill,) = lesson.drills
    assert drill["because"].endswith("that the clients use.")
    assert (drill["would"], drill["instead"]) == ("`addition` would have no consumer", "it had a consumer")
    with pytest.raises(ValueError, match="what this and other drills show"):
        parse(text.replace("- In other drills, it", "- It"), lambda name: dict)


def test_the_ids_that_it_names_are_there():
    (shown,) = re.findall(r'rpclab\.exercise\("(.+?)"\)', README)
    assert catalogue.exercise(shown).name in README
    (asked,) = re.findall(r'rpclab\.predict\("(.+?)"\)', README)
    assert catalogue.question(asked)
