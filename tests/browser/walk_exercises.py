"""Work through exercises and drills in a browser, and print what a learner is told: wrong first, then right.

Run by hand, for somebody to read: ``python tests/browser/walk_exercises.py [LESSON ...]``. A copy of each lesson is run
from top to bottom; behind the check of each starter come the first wrong answer of ``tests/course`` and the solution,
each with a check of its own. Behind a lesson's last cell come its drills, each named wrongly, named, checked without a
repair, and repaired. A picture of each answer is kept beside those of the tests.
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
from in_jupyterlab import FLAGS, RECORD, chromium, open_in, serving  # noqa: E402
from playwright.sync_api import Page, expect, sync_playwright  # noqa: E402
from test_drills import MY_SERVER  # noqa: E402

from rpclab.course import catalogue  # noqa: E402
from rpclab.course.drill import Fault  # noqa: E402

SCREENSHOTS = Path(__file__).parent / "screenshots"
PATIENCE = 300_000
CHECK = re.compile(r"(\w+)\.check\((\w+)\)")
ADD_SERVER = f'{MY_SERVER}\ndrill.workers["MyServer"] = rpclab.Workers(MyServer, count=1)'
REPLACE_SERVER = f'drill.workers["AdditionServer"].stop()\n{ADD_SERVER}'
REPAIRS = {
    "15-drill-a": ADD_SERVER,
    "15-drill-b": "drill.client = rpclab.AddClient()",
    "15-drill-c": REPLACE_SERVER,
    "15-drill-d": REPLACE_SERVER,
    "15-drill-e": "drill.client.timeout = 5",
    "15-drill-f": 'drill.lab.ctl("set_vm_memory_high_watermark", "0.4")',
}


def answered(lesson: str, folder: Path) -> tuple[Path, list[tuple[str, str, int]]]:
    """Write the copy of a lesson into a folder; return it, and for each answer its task, name and verdict's cell."""
    (path,) = (ROOT / "notebooks").glob(f"{lesson}_*.ipynb")
    notebook = nbformat.read(path, as_version=4)
    wrong = import_module(f"test_exercises_{lesson}").WRONG if catalogue.read(lesson).exercises else {}
    exercises = iter(catalogue.read(lesson).exercises)
    cells, answers = [nbformat.v4.new_code_cell(RECORD)], []
    for cell in notebook.cells:
        cells.append(cell)
        if cell.cell_type == "code" and CHECK.fullmatch(cell.source):
            exercise = next(exercises)
            mistake, (changes, _) = next(iter(wrong[exercise.id].items()))
            for name, source in ((mistake, altered(exercise, *changes)), ("the solution", exercise.solved)):
                cells += [nbformat.v4.new_code_cell(source), nbformat.v4.new_code_cell(cell.source)]
                answers.append((exercise.id, name, len(cells) - 1))
    for fault in (each for each in catalogue.read(lesson).drills if not each.example):
        for name, source in worked(fault):
            cells.append(nbformat.v4.new_code_cell(source))
            answers.append((fault.id, name, len(cells) - 1))
        cells.append(nbformat.v4.new_code_cell("drill.close()"))
    notebook.cells = cells
    for cell in cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    copy = folder / f"walk_{path.name}"
    nbformat.write(notebook, copy)
    return copy, answers


def walked(lesson: str) -> bool:
    """Return whether a lesson has something to work through."""
    return bool(catalogue.read(lesson).exercises or catalogue.read(lesson).drills)


def worked(fault: Fault) -> list[tuple[str, str]]:
    """Return what a learner does with a drill: what each cell is for, and the cell."""
    other = next(each for each in catalogue.read(fault.id[:2]).drills if each is not fault)
    return [
        ("the question", f'drill = rpclab.drill("{fault.id}")\ndrill.question'),
        ("checked before anything is named", "drill.check()"),
        ("named wrongly", f'drill.name_fault("{other.says}")'),
        ("named", f'drill.name_fault("{fault.says}")'),
        ("checked before it is repaired", "drill.check()"),
        ("repaired", f"{REPAIRS[fault.id]}\ndrill.check()"),
    ]


def walk(page: Page, address: str, lesson: str, folder: Path) -> None:
    """Run a lesson with its answers, print what a learner is told of each, and keep a picture of it."""
    copy, answers = answered(lesson, folder)
    open_in(page, address, copy.name, run=True)
    for exercise, name, number in answers:
        cell = page.locator(".jp-Notebook .jp-Cell").nth(number)
        expect(cell.locator(".jp-InputPrompt").first).to_have_text(re.compile(r"\[\d+\]:"), timeout=PATIENCE)
        print(f"\n## {exercise}: {name}\n")
        print(cell.locator(".jp-OutputArea").inner_text().strip(), flush=True)
        cell.scroll_into_view_if_needed()
        cell.screenshot(path=SCREENSHOTS / f"walk_{exercise}_{re.sub(r'[^a-z0-9]+', '_', name.lower())[:40]}.png")


if __name__ == "__main__":
    SCREENSHOTS.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as made, sync_playwright() as playwright:
        settings, lessons = Path(made) / "settings", Path(made) / "lessons"
        browser = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        with serving(lessons, settings) as served:
            for chosen in sys.argv[1:] or filter(walked, catalogue.numbers()):
                with browser.new_page(viewport={"width": 1280, "height": 1400}) as opened:
                    walk(opened, served, chosen, lessons)
        browser.close()
