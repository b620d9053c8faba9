from __future__ import annotations

import json
import multiprocessing

import pytest

from rpclab import InvalidOption, LabError
from rpclab.course import catalogue, record
from rpclab.course.prediction import predict
from rpclab.course.progress import progress

EXERCISE, OTHER = "04-ack-after-work", "05-fix-the-client"


def test_at_first_nothing_is_done_and_no_file_is_there():
    seen = progress()
    assert set(seen.table().column("state")) == {"not attempted"}
    assert "04 Acknowledging: 0 of 5 done\n   \u25cb 04-ack-after-work (exercise): not attempted\n" in str(seen)
    assert not seen.path.exists()


def test_the_map_has_each_exercise_drill_and_prediction_of_each_lesson():
    wanted = [
        one.id for lesson in map(catalogue.read, catalogue.numbers())
        for one in (*lesson.exercises, *lesson.drills, *lesson.questions)
        if one.id != "15-example"
    ]
    assert progress().table().column("id") == wanted


def test_what_was_right_once_stays_right():
    for state in ("wrong", "wrong", "right", "wrong"):
        record.note(record.EXERCISES, EXERCISE, state)
    row = progress().table().where(id=EXERCISE)[0]
    assert (row["state"], row["tries"]) == ("right", 3)
    assert "   \u2713 04-ack-after-work (exercise): right" in str(progress())


def test_what_was_done_under_an_old_name_counts_under_the_new_one(tmp_path):
    old = {"version": 1, "exercises": {"05-mend-the-client": {"state": "right", "tries": 4}},
           "predictions": {"05-two-questions": {"state": "wrong", "tries": 1}}}
    progress().path.write_text(json.dumps(old))
    rows = {row["id"]: (row["state"], row["tries"]) for row in progress().table() if row["tries"]}
    assert rows == {"05-fix-the-client": ("right", 4), "05-two-requests": ("wrong", 1)}
    assert progress().overview([progress().export(tmp_path / "anna.json")])[0]["05"] == "2/5"
    record.note(record.EXERCISES, "05-fix-the-client", "wrong")
    assert json.loads(progress().path.read_text())["exercises"] == {"05-fix-the-client": {"state": "right", "tries": 4}}


@pytest.mark.parametrize("right", ["05-mend-the-client", "05-fix-the-client"])
def test_of_an_old_and_a_new_name_in_one_record_the_right_answer_counts(right):
    names = ["05-mend-the-client", "05-fix-the-client"]
    entries = {name: {"state": "right" if name == right else "wrong", "tries": 1} for name in names}
    progress().path.write_text(json.dumps({"version": 1, "exercises": entries, "predictions": {}}))
    assert progress().table().where(id="05-fix-the-client")[0]["state"] == "right"


def test_a_prediction_is_done_when_it_was_compared_whatever_it_was():
    record.note(record.PREDICTIONS, "04-auto-ack", "wrong")
    record.note(record.EXERCISES, EXERCISE, "wrong")
    assert "04 Acknowledging: 1 of 5 done\n   \u2715 04-ack-after-work (exercise): wrong\n" in str(progress())


def test_in_a_notebook_only_the_widget_differs_from_learner_to_learner():
    before = progress()
    record.note(record.EXERCISES, EXERCISE, "right")
    after = progress()
    assert repr(before) == repr(after) == "Progress()"
    assert not hasattr(after, "_repr_html_")
    assert before._map.value != after._map.value
    assert "1 of 5 done" in after._map.value


def test_one_lesson_or_everything_can_be_forgotten():
    for id in (EXERCISE, OTHER):
        record.note(record.EXERCISES, id, "right")
    assert progress().reset("04").table().where(state="right").column("id") == [OTHER]
    assert not progress().reset().table().where(state="right")
    with pytest.raises(InvalidOption, match=r"one of .*04, 05"):
        progress().reset("77")


def test_a_class_is_seen_at_a_glance(tmp_path):
    record.note(record.EXERCISES, EXERCISE, "right")
    anna = progress().export(tmp_path / "anna.json")
    record.note(record.EXERCISES, OTHER, "right")
    ben = progress().export(tmp_path / "ben.json")
    (tmp_path / "eve.json").write_text("<script>")
    (tmp_path / "joe.json").write_text('{"version": 1, "exercises": {"x": 3}, "predictions": {}}')
    (tmp_path / "kim.json").write_bytes(b"\xff\xfe")
    files = [anna, ben, *(tmp_path / f"{name}.json" for name in ("eve", "joe", "kim", "zoe"))]
    seen = progress().overview(files)
    assert seen.columns == ("name", *catalogue.numbers(), "note")
    assert [(row["name"], row.get("04"), row.get("05"), row.get("note")) for row in seen] == [
        ("anna", "1/5", "0/5", None),
        ("ben", "1/5", "1/5", None),
        ("eve", None, None, "not readable"),
        ("joe", None, None, "not readable"),
        ("kim", None, None, "not readable"),
        ("zoe", None, None, "no such file"),
    ]


def test_a_class_shows_which_ideas_it_holds(tmp_path):
    for name, option in (("anna", 1), ("ben", 3), ("eve", 1)):
        progress().reset()
        predict("04-killed-worker").commit(option).reveal()
        progress().export(tmp_path / f"{name}.json")
    # Handed in by an older course, which did not record choices; compared again since, it stays without one.
    record.path().write_text(json.dumps(
        {"version": 1, "exercises": {}, "predictions": {"04-killed-worker": {"state": "wrong", "tries": 1}}}
    ))
    predict("04-killed-worker").commit(2).reveal()
    predict("04-auto-ack").commit(2)  # not compared
    progress().export(tmp_path / "old.json")
    (tmp_path / "joe.json").write_text("{")
    (tmp_path / "kim.json").write_text(
        '{"version": 1, "exercises": {}, "predictions": {"04-auto-ack": {"state": "wrong", "tries": 1, "chosen": 0}}}'
    )
    seen = progress().choices(tmp_path / f"{name}.json" for name in ("anna", "ben", "eve", "old", "joe", "kim", "zoe"))
    assert [(row["chosen"], row["right"], row["option"]) for row in seen] == [
        (2, False, "It is lost with the worker."),
        (0, False, "It stays unacked, until a person deals with it."),
        (1, True, "It is ready again, for any other worker."),
        (0, False, "It goes to the dead-letter queue."),
    ]
    assert set(seen.column("prediction")) == {"04-killed-worker"}
    assert str(progress().choices([])) == "(no predictions)"


def test_there_is_nothing_to_export_before_something_was_done(tmp_path):
    with pytest.raises(LabError, match="nothing to export yet"):
        progress().export(tmp_path / "anna.json")


def test_the_file_is_json_that_a_person_can_read():
    record.note(record.EXERCISES, EXERCISE, "wrong")
    path = progress().path
    assert json.loads(path.read_text()) == {
        "version": 1, "exercises": {EXERCISE: {"state": "wrong", "tries": 1}}, "predictions": {},
    }


def test_a_damaged_file_is_reported_and_kept_aside_by_the_next_check():
    progress().path.write_text("{")
    with pytest.raises(LabError, match=r"progress\.json, cannot be read"):
        progress()
    record.note(record.EXERCISES, EXERCISE, "right")
    assert progress().table().where(state="right")
    assert progress().path.with_suffix(".unreadable.json").read_text() == "{"


def note_many(folder, kernel: int) -> None:
    record.state_folder = lambda: folder
    for number in range(20):
        record.note(record.EXERCISES, f"04-{kernel}-{number}", "right")


def test_several_kernels_note_at_the_same_time_and_nothing_is_lost(tmp_path):
    context = multiprocessing.get_context("spawn")
    kernels = [context.Process(target=note_many, args=(tmp_path, kernel)) for kernel in range(3)]
    for kernel in kernels:
        kernel.start()
    for kernel in kernels:
        kernel.join()
    assert len(record.read()[record.EXERCISES]) == 60
    assert not list(tmp_path.glob("*.new"))


def test_closing_twice_is_fine():
    seen = progress()
    seen.close()
    seen.close()
