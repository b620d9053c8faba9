from __future__ import annotations

import itertools
import re
from pathlib import Path

import nbformat
import pytest
from navigation import NOTEBOOKS, line

import rpclab
from rpclab.course import catalogue

ROOT = Path(__file__).resolve().parents[2]
LONGEST_CELL = 20
EXERCISE = re.compile(r'(\w+) = rpclab\.exercise\("([\w-]+)"\)')
PREDICTION = re.compile(r'rpclab\.predict\("([\w-]+)"\)')
DRILL = re.compile(r'rpclab\.drill\("([\w-]+)"\)')
CHECK = re.compile(r"(\w+)\.check\((\w+)\)")
LINK = re.compile(r"\]\(([^)#]+\.(?:ipynb|py|md|png|svg))(?:#[^)]*)?\)")
TERM = re.compile(r"\]\(glossary\.md#([^)]+)\)")

# JupyterLab's anchor of a heading: its text, with dashes for spaces.
GLOSSARY = {heading.replace(" ", "-") for heading in
            re.findall(r"^### (.+)$", (ROOT / "notebooks" / "glossary.md").read_text(), re.MULTILINE)}


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def notebook(request):
    read = nbformat.read(request.param, as_version=4)
    read.path = request.param
    return read


def is_handed_out(target: str) -> bool:
    """Return whether a link leads to a file that a learner has beside the page with the link."""
    found = (ROOT / "notebooks" / target).resolve()
    return found.is_file() and found.parent in (ROOT / "notebooks", ROOT / "notebooks" / "images")


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_there_are_notebooks():
    assert len(NOTEBOOKS) >= 8


def test_a_notebook_is_named_by_number_and_subject(notebook):
    assert re.fullmatch(r"\d\d_[a-z_]+", notebook.path.stem)


def test_the_first_cell_begins_with_the_only_heading_of_the_first_level(notebook):
    headings = [line for cell in notebook.cells if cell.cell_type == "markdown"
                for line in re.sub(r"```.*?```", "", cell.source, flags=re.S).splitlines() if line.startswith("# ")]
    assert len(headings) == 1
    assert notebook.cells[0].source.startswith(headings[0])


def test_the_first_cell_tells_how_long_it_takes(notebook):
    assert re.search(r"\*\d+ minutes\.\*", notebook.cells[0].source)


def test_every_code_cell_was_executed_in_order(notebook):
    counts = [cell.execution_count for cell in code_cells(notebook)]
    assert counts == list(range(1, len(counts) + 1))


def test_no_cell_was_saved_with_an_error(notebook):
    assert not [output for cell in code_cells(notebook) for output in cell.outputs if output.output_type == "error"]


def test_no_output_is_excluded_from_the_comparison(notebook):
    for cell in notebook.cells:
        assert not cell.metadata.get("tags")
        assert "NBVAL" not in cell.source


def test_no_code_cell_is_longer_than_one_reads_at_a_glance(notebook):
    assert max(len(cell.source.splitlines()) for cell in code_cells(notebook)) <= LONGEST_CELL


def test_the_text_before_a_folded_cell_says_what_it_does(notebook):
    folded = [cell.metadata.get("jupyter", {}).get("source_hidden") for cell in notebook.cells]
    for before in itertools.compress(notebook.cells, folded[1:]):
        assert before.cell_type == "markdown"
        assert "folded" in before.source.split("\n\n")[-1]


def test_no_level_of_heading_is_left_out(notebook):
    levels = [len(marks) for cell in notebook.cells if cell.cell_type == "markdown" for marks in
              re.findall(r"^(#+) ", re.sub(r"```.*?```", "", cell.source, flags=re.S), re.MULTILINE)]
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))


def test_a_picture_has_a_text(notebook):
    assert not [cell.id for cell in notebook.cells if re.search(r"!\[\s*\]\(|<img(?![^>]* alt=)", cell.source)]


def test_what_an_exercise_checks_is_its_starter_as_it_is(notebook):
    sources = [cell.source for cell in code_cells(notebook)]
    ids = {name: identifier for source in sources for name, identifier in EXERCISE.findall(source)}
    checks = [(position, *found) for position, source in enumerate(sources) for found in CHECK.findall(source)]
    assert [name for _, name, _ in checks] == list(ids)
    for position, name, answer in checks:
        exercise = rpclab.exercise(ids[name])
        assert (answer, sources[position - 1]) == (exercise.name, exercise.starter.strip("\n"))
        assert f"{exercise.id}: not attempted" in code_cells(notebook)[position].outputs[0].data["text/plain"]


def test_an_exercise_has_its_title_as_a_heading_so_that_the_contents_and_an_empty_copy_show_it(notebook):
    for before, cell in itertools.pairwise(notebook.cells):
        for _, identifier in EXERCISE.findall(cell.source if cell.cell_type == "code" else ""):
            assert before.source == f"### {rpclab.exercise(identifier).title}"


def test_every_exercise_and_prediction_of_a_lesson_is_in_it(notebook):
    sources = "\n".join(cell.source for cell in code_cells(notebook))
    lesson = notebook.path.stem[:2]
    known = lesson in catalogue.numbers()
    exercises = [one.id for one in catalogue.read(lesson).exercises] if known else []
    assert [identifier for _, identifier in EXERCISE.findall(sources)] == exercises
    predictions = [one.id for one in catalogue.read(lesson).questions] if known else []
    assert sorted(PREDICTION.findall(sources)) == sorted(predictions)


def test_every_drill_of_a_lesson_is_there_and_is_named_in_it(notebook):
    lesson = notebook.path.stem[:2]
    drills = {one.id for one in catalogue.read(lesson).drills} if lesson in catalogue.numbers() else set()
    text = "\n".join(cell.source for cell in notebook.cells)
    assert set(DRILL.findall(text)) <= drills
    first, *_, last = sorted(drills) or ("", "")
    assert first in text
    assert last in text


def test_links_to_other_files_lead_somewhere(notebook):
    targets = [target for cell in notebook.cells for target in LINK.findall(cell.source) if "://" not in target]
    assert targets
    assert not [target for target in targets if not is_handed_out(target)]


def test_the_links_to_the_lessons_around_it_are_under_the_title_and_at_the_end(notebook):
    _, blank, links, *_ = notebook.cells[0].source.splitlines()
    assert (blank, links) == ("", line(notebook.path))
    assert notebook.cells[-1].source.splitlines()[-1] == links


def test_a_term_is_linked_once_and_is_in_the_glossary(notebook):
    linked = [term for cell in notebook.cells for term in TERM.findall(cell.source)]
    assert len(linked) >= 3
    assert len(set(linked)) == len(linked)
    assert set(linked) <= GLOSSARY


def test_every_lesson_is_on_the_map_and_in_the_readme(notebook):
    start = nbformat.read(ROOT / "notebooks" / "00_start_here.ipynb", as_version=4)
    everything = "\n".join(cell.source for cell in start.cells)
    assert f"notebooks/{notebook.path.name}" in (ROOT / "README.md").read_text()
    assert notebook.path.name in everything or notebook.path.stem == "00_start_here"


@pytest.mark.parametrize("page", ["glossary.md", "teaching.md"])
def test_the_links_of_a_page_lead_somewhere(page):
    targets = [target for target in LINK.findall((ROOT / "notebooks" / page).read_text()) if "://" not in target]
    assert targets
    assert not [target for target in targets if not is_handed_out(target)]


def test_a_teacher_is_told_of_every_exercise_prediction_and_drill():
    told = (ROOT / "notebooks" / "teaching.md").read_text()
    ids = [one.id for number in catalogue.numbers()
           for one in (*catalogue.read(number).exercises, *catalogue.read(number).questions)]
    assert ids
    assert not [one for one in ids if one not in told]
    drills = [f"| `{one.id}` | {one.says}" for one in catalogue.read("15").drills if not one.example]
    assert len(drills) >= 6
    assert not [row for row in drills if row not in told]


def test_no_secret_of_the_machine_it_ran_on_is_in_it(notebook):
    text = notebook.path.read_text()
    assert not re.search(r"amqp://[^\"\\ ]+:[^\"\\ ]+@127", text)
    assert "/root/" not in text
    assert "/home/" not in text
