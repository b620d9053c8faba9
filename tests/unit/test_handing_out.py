from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from rpclab.broker import compose

SCRIPT = compose.compose_file().parent / "docker" / "hand_out.py"
LESSON = "01_publishing.ipynb"


@pytest.fixture(scope="module")
def hand_out():
    """The container's own script, which is no part of the package."""
    spec = importlib.util.spec_from_file_location("hand_out", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.hand_out


@pytest.fixture
def originals(tmp_path) -> Path:
    folder = tmp_path / "originals"
    (folder / "images").mkdir(parents=True)
    (folder / LESSON).write_text("first version")
    (folder / "images" / "room.png").write_bytes(b"\x89PNG")
    return folder


@pytest.fixture
def copies(tmp_path, originals, hand_out) -> Path:
    """What a reader has after the first start."""
    folder = tmp_path / "home" / "notebooks"
    hand_out(originals, folder)
    return folder


def test_the_first_start_hands_everything_out(copies):
    assert (copies / LESSON).read_text() == "first version"
    assert (copies / "images" / "room.png").read_bytes() == b"\x89PNG"


def test_a_later_start_changes_nothing(hand_out, originals, copies):
    (copies / LESSON).write_text("mine")
    (copies / "notes.md").write_text("mine too")
    assert hand_out(originals, copies) == []
    assert ((copies / LESSON).read_text(), (copies / "notes.md").read_text()) == ("mine", "mine too")


def test_a_new_lesson_appears(hand_out, originals, copies):
    (originals / "02_routing.ipynb").write_text("new")
    assert hand_out(originals, copies) == ["02_routing.ipynb was handed out"]
    assert (copies / "02_routing.ipynb").read_text() == "new"


def test_a_lesson_that_the_reader_left_as_it_was_is_replaced_by_its_new_version(hand_out, originals, copies):
    (originals / LESSON).write_text("second version")
    hand_out(originals, copies)
    assert (copies / LESSON).read_text() == "second version"


def test_a_lesson_that_the_reader_changed_stays_and_its_new_version_lies_beside_it(hand_out, originals, copies):
    (copies / LESSON).write_text("mine")
    (originals / LESSON).write_text("second version")
    (said,) = hand_out(originals, copies)
    assert (copies / LESSON).read_text() == "mine"
    assert (copies / "01_publishing.new.ipynb").read_text() == "second version"
    assert "01_publishing.new.ipynb" in said
    assert hand_out(originals, copies) == []


def test_what_the_reader_did_with_a_version_beside_stays_too(hand_out, originals, copies):
    (copies / LESSON).write_text("mine")
    (originals / LESSON).write_text("second version")
    hand_out(originals, copies)
    (copies / "01_publishing.new.ipynb").write_text("mine as well")
    (originals / LESSON).write_text("third version")
    hand_out(originals, copies)
    assert (copies / "01_publishing.new.ipynb").read_text() == "mine as well"
    assert (copies / "01_publishing.new2.ipynb").read_text() == "third version"


def test_a_lesson_that_the_reader_deleted_comes_back_as_it_was(hand_out, originals, copies):
    (copies / LESSON).unlink()
    hand_out(originals, copies)
    assert (copies / LESSON).read_text() == "first version"


def test_a_record_that_cannot_be_read_costs_the_reader_nothing(hand_out, originals, copies):
    (copies / ".handed_out.json").write_text('{"01_publ')
    (copies / LESSON).write_text("mine")
    hand_out(originals, copies)
    assert (copies / LESSON).read_text() == "mine"
