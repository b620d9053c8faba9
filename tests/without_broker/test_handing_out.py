from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import nbformat
import pytest
from nbformat.sign import NotebookNotary

from rpclab import LabError, jupyter, lessons
from rpclab.__main__ import main
from rpclab.lessons import hand_out

LESSON = "01_publishing.ipynb"
BESIDE = "01_publishing.new.ipynb"


def written(path: Path, version: str) -> None:
    """Write a lesson that was run, in this version."""
    cell = nbformat.v4.new_code_cell(
        f"'{version}'", id="one", execution_count=1, outputs=[nbformat.v4.new_output("stream", text=version)],
    )
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# Text", id="text"), cell]), path)


def source(path: Path) -> str:
    return nbformat.read(path, as_version=4).cells[1].source


def cleared(path: Path) -> bool:
    cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    return not any(cell.outputs or cell.execution_count for cell in cells)


@pytest.fixture
def originals(tmp_path) -> Path:
    folder = tmp_path / "originals"
    (folder / "images").mkdir(parents=True)
    written(folder / LESSON, "first version")
    (folder / "glossary.md").write_text("words")
    (folder / "images" / "room.png").write_bytes(b"\x89PNG")
    return folder


@pytest.fixture
def copies(tmp_path, originals) -> Path:
    """What a learner has after the first time."""
    folder = tmp_path / "home" / "lessons"
    hand_out(folder, source=originals)
    return folder


def test_the_first_time_everything_is_handed_out(copies, originals):
    for name in (LESSON, "glossary.md", "images/room.png"):
        assert (copies / name).read_bytes() == (originals / name).read_bytes()
    assert {path.name for path in copies.iterdir()} == {LESSON, "glossary.md", "images", lessons.RECORD}


def test_a_later_time_changes_nothing(originals, copies):
    (copies / LESSON).write_text("mine")
    (copies / "notes.md").write_text("mine too")
    assert hand_out(copies, source=originals) == []
    assert ((copies / LESSON).read_text(), (copies / "notes.md").read_text()) == ("mine", "mine too")


def test_what_is_no_lesson_is_not_handed_out(originals, copies):
    (originals / ".ipynb_checkpoints").mkdir()
    written(originals / ".ipynb_checkpoints" / LESSON, "draft")
    (originals / "lessons").mkdir()
    written(originals / "lessons" / LESSON, "handed out to a folder in here")
    assert hand_out(copies, source=originals) == []


def test_a_new_lesson_appears(originals, copies):
    written(originals / "02_routing.ipynb", "new")
    assert hand_out(copies, source=originals) == ["02_routing.ipynb was handed out"]
    assert source(copies / "02_routing.ipynb") == "'new'"


def test_a_lesson_that_the_learner_has_not_changed_is_replaced_by_its_new_version(originals, copies):
    written(originals / LESSON, "second version")
    assert hand_out(copies, source=originals) == [f"{LESSON} is the new version; you had not changed it"]
    assert source(copies / LESSON) == "'second version'"
    assert not (copies / BESIDE).exists()


def test_a_lesson_that_the_learner_changed_stays_and_its_new_version_is_put_beside_it(originals, copies):
    written(copies / LESSON, "mine")
    written(originals / LESSON, "second version")
    (said,) = hand_out(copies, source=originals)
    assert (source(copies / LESSON), source(copies / BESIDE)) == ("'mine'", "'second version'")
    assert BESIDE in said
    assert hand_out(copies, source=originals) == []


def test_what_the_learner_did_with_a_version_beside_stays_too(originals, copies):
    written(copies / LESSON, "mine")
    written(originals / LESSON, "second version")
    hand_out(copies, source=originals)
    written(copies / BESIDE, "mine as well")
    written(originals / LESSON, "third version")
    hand_out(copies, source=originals)
    assert source(copies / BESIDE) == "'mine as well'"
    assert source(copies / "01_publishing.new2.ipynb") == "'third version'"


def test_a_lesson_that_the_learner_deleted_comes_back_as_it_was(originals, copies):
    (copies / LESSON).unlink()
    hand_out(copies, source=originals)
    assert source(copies / LESSON) == "'first version'"


@pytest.mark.parametrize("text", ['{"01_publ', "[]", '{"cleared": 1, "files": 2}'])
def test_a_record_that_cannot_be_read_costs_the_learner_nothing(originals, copies, text):
    (copies / lessons.RECORD).write_text(text)
    written(copies / LESSON, "mine")
    hand_out(copies, source=originals)
    assert source(copies / LESSON) == "'mine'"


# --- without outputs


def test_cleared_lessons_have_neither_outputs_nor_execution_counts_and_are_otherwise_the_same(tmp_path, originals):
    hand_out(tmp_path / "class", clear=True, source=originals)
    assert cleared(tmp_path / "class" / LESSON)
    assert source(tmp_path / "class" / LESSON) == "'first version'"
    assert (tmp_path / "class" / "images" / "room.png").read_bytes() == b"\x89PNG"


def test_a_cleared_lesson_counts_as_unchanged_and_stays_cleared_in_a_new_version(tmp_path, originals):
    folder = tmp_path / "class"
    hand_out(folder, clear=True, source=originals)
    assert hand_out(folder, source=originals) == []
    written(originals / LESSON, "second version")
    assert hand_out(folder, source=originals) == [f"{LESSON} is the new version; you had not changed it"]
    assert source(folder / LESSON) == "'second version'"
    assert cleared(folder / LESSON)


def test_outputs_are_cleared_later_and_brought_back_only_where_the_learner_changed_nothing(originals, copies):
    written(originals / "02_routing.ipynb", "other")
    hand_out(copies, source=originals)
    written(copies / LESSON, "mine")
    for clear, form in ((True, "without outputs"), (False, "with outputs")):
        assert hand_out(copies, clear=clear, source=originals) == [
            f"{LESSON} is yours and was kept as it is, not handed out {form}",
            f"02_routing.ipynb was handed out again {form}; you had not changed it",
        ]
        assert cleared(copies / "02_routing.ipynb") is clear
        assert source(copies / LESSON) == "'mine'"
        assert not (copies / BESIDE).exists()


def test_every_lesson_of_the_course_can_be_handed_out_without_outputs(tmp_path):
    hand_out(tmp_path, clear=True)
    names = [path.name for path in lessons.originals().glob("*.ipynb")]
    assert len(names) >= 13
    for name in names:
        nbformat.validate(nbformat.read(tmp_path / name, as_version=4))
        assert cleared(tmp_path / name)


# --- what may go wrong


def test_an_interrupted_time_leaves_no_half_lesson_and_the_next_one_completes_it(
    tmp_path, originals, monkeypatch
):
    def interrupted(draft: Path, target: Path):
        raise KeyboardInterrupt

    folder = tmp_path / "lessons"
    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", interrupted)
        with pytest.raises(KeyboardInterrupt):
            hand_out(folder, source=originals)
    assert list(folder.iterdir()) == []
    hand_out(folder, source=originals)
    assert source(folder / LESSON) == "'first version'"


def test_a_time_interrupted_before_the_record_does_not_put_a_version_beside_twice(originals, copies, monkeypatch):
    record = (copies / lessons.RECORD).read_bytes()
    written(copies / LESSON, "mine")
    written(originals / LESSON, "second version")
    hand_out(copies, source=originals)
    (copies / lessons.RECORD).write_bytes(record)
    assert hand_out(copies, source=originals) == []
    assert sorted(path.name for path in copies.glob("*.ipynb")) == [LESSON, BESIDE]


def test_a_file_in_place_of_the_folder_is_named(tmp_path, originals):
    (tmp_path / "lessons").write_text("a file")
    with pytest.raises(LabError, match=r"lessons is a file\. Name a folder"):
        hand_out(tmp_path / "lessons", source=originals)
    with pytest.raises(LabError, match="Name a folder in which you may write"):
        hand_out(tmp_path / "lessons" / "mine", source=originals)


def test_a_folder_in_place_of_a_lesson_is_named(tmp_path, originals):
    (tmp_path / "mine" / LESSON).mkdir(parents=True)
    with pytest.raises(LabError, match=LESSON):
        hand_out(tmp_path / "mine", source=originals)


def test_a_folder_that_cannot_be_written_to_is_named():
    if not os.access("/proc/self", os.R_OK):
        pytest.skip("this system has no /proc, in which not even root may write")
    with pytest.raises(LabError, match=r"/proc/self/lessons: .*Name a folder in which you may write"):
        hand_out(Path("/proc/self/lessons"))


def test_the_courses_own_folder_can_be_opened_and_stays_as_it_is(originals):
    before = {path: path.stat().st_mtime_ns for path in originals.rglob("*")}
    assert hand_out(originals, source=originals) == []
    assert {path: path.stat().st_mtime_ns for path in originals.rglob("*")} == before
    with pytest.raises(LabError, match="Name another folder"):
        hand_out(originals, source=originals, clear=True)


def test_a_course_without_lessons_is_no_empty_folder(tmp_path):
    with pytest.raises(LabError, match=f"There are no lessons in {tmp_path}"):
        hand_out(tmp_path / "lessons", source=tmp_path)


# --- the command


@pytest.fixture(autouse=True)
def notary(tmp_path_factory, monkeypatch) -> Iterator[NotebookNotary]:
    """What knows the notebooks that JupyterLab trusts; not those of the person who runs the tests."""
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path_factory.mktemp("jupyter")))
    found = NotebookNotary()
    with closing(found.store):
        yield found


def test_jupyterlab_trusts_the_outputs_of_a_lesson_that_the_learner_has_not_changed(originals, copies, notary):
    written(originals / "02_routing.ipynb", "other")
    hand_out(copies, source=originals)
    written(copies / LESSON, "mine")
    lessons.trust(copies)
    trusted = {path.name: notary.check_signature(nbformat.read(path, as_version=4)) for path in copies.glob("*.ipynb")}
    assert trusted == {LESSON: False, "02_routing.ipynb": True}


def test_the_command_hands_out_to_the_named_folder_or_to_rpclab_lessons(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["lab", "--no-jupyter"]) == 0
    assert f"Your lessons are in {tmp_path / 'rpclab-lessons'}\n" in capsys.readouterr().out
    assert main(["lab", "mine", "--no-jupyter", "--clear"]) == 0
    assert not cleared(tmp_path / "rpclab-lessons" / LESSON)
    assert cleared(tmp_path / "mine" / LESSON)
    assert json.loads((tmp_path / "mine" / lessons.RECORD).read_text())["cleared"]


def test_what_cannot_be_handed_out_is_an_error_and_no_traceback(tmp_path, capsys):
    (tmp_path / "mine").write_text("a file")
    assert main(["lab", str(tmp_path / "mine")]) == 1
    assert "is a file" in capsys.readouterr().err


@pytest.mark.parametrize(("typed", "folder", "clear", "jupyters"), [
    ("", "rpclab-lessons", None, []),
    ("mine --no-browser", "mine", None, ["--no-browser"]),
    ("--clear mine --port 8889", "mine", True, ["--port", "8889"]),
    ("--port 8889 --no-clear", "rpclab-lessons", False, ["--port", "8889"]),
    ("mine -- --ServerApp.port=1 --debug", "mine", None, ["--ServerApp.port=1", "--debug"]),
])
def test_from_the_first_option_that_is_not_ours_on_all_is_jupyterlabs(typed, folder, clear, jupyters):
    asked, passed_on = jupyter._parse(typed.split())
    assert (str(asked.folder), asked.clear, passed_on) == (folder, clear, jupyters)
