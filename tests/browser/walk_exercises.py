"""Work through the exercises in a browser, and print what a learner is told: of a wrong answer, then of a right one.

Run by hand, for somebody to read: ``python tests/browser/walk_exercises.py [LESSON ...]``. A copy of each lesson is run
from top to bottom; behind the check of each starter come the first wrong answer of ``tests/course`` and the solution,
each with a check of its own.
"""

from __future__ import annotations

import re
import sys
import tempfile
from importlib import import_module
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path += [str(ROOT / "tests"), str(ROOT / "tests" / "course")]

import nbformat  # noqa: E402
from cells import altered  # noqa: E402
from in_jupyterlab import FLAGS, RECORD, SCRATCH, chromium, open_in, serving  # noqa: E402
from playwright.sync_api import Page, expect, sync_playwright  # noqa: E402

from rpclab.course import catalogue  # noqa: E402

PATIENCE = 300_000
CHECK = re.compile(r"(\w+)\.check\((\w+)\)")


def answered(lesson: str) -> tuple[Path, list[tuple[str, str, int]]]:
    """Write the copy of a lesson; return it, and for each answer its exercise, its name and its check's cell."""
    (path,) = (ROOT / "notebooks").glob(f"{lesson}_*.ipynb")
    notebook = nbformat.read(path, as_version=4)
    wrong = import_module(f"test_exercises_{lesson}").WRONG
    exercises = iter(catalogue.exercises(lesson))
    cells, answers = [nbformat.v4.new_code_cell(RECORD)], []
    for cell in notebook.cells:
        cells.append(cell)
        if cell.cell_type == "code" and CHECK.fullmatch(cell.source):
            exercise = next(exercises)
            mistake, (changes, _) = next(iter(wrong[exercise.id].items()))
            for name, source in ((mistake, altered(exercise, *changes)), ("the solution", exercise.solved)):
                cells += [nbformat.v4.new_code_cell(source), nbformat.v4.new_code_cell(cell.source)]
                answers.append((exercise.id, name, len(cells) - 1))
    notebook.cells = cells
    for cell in cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    SCRATCH.mkdir(exist_ok=True)
    copy = SCRATCH / f"walk_{path.name}"
    nbformat.write(notebook, copy)
    return copy, answers


def walk(page: Page, address: str, lesson: str) -> None:
    """Run a lesson with its answers, and print what the checks say."""
    copy, answers = answered(lesson)
    try:
        open_in(page, f"{address}/lab/tree/tests/browser/scratch/{copy.name}", run=True)
        for exercise, name, number in answers:
            cell = page.locator(".jp-Notebook .jp-Cell").nth(number)
            expect(cell.locator(".jp-InputPrompt").first).to_have_text(re.compile(r"\[\d+\]:"), timeout=PATIENCE)
            print(f"\n## {exercise}: {name}\n")
            print(cell.locator(".jp-OutputArea").inner_text().strip(), flush=True)
    finally:
        copy.unlink()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as settings, serving(Path(settings)) as served, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        for chosen in sys.argv[1:] or catalogue.numbers():
            with browser.new_page(viewport={"width": 1280, "height": 900}) as opened:
                walk(opened, served, chosen)
        browser.close()
