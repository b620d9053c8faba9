"""Each lesson as a reader runs it: from top to bottom, in JupyterLab, without an error anywhere."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest
from in_jupyterlab import ROOT, SCRATCH
from playwright.sync_api import ConsoleMessage, Page, expect
from waiting import until

SECONDS = 1_000
PACE_MILLISECONDS = 200
LESSONS = sorted((ROOT / "notebooks").glob("*.ipynb"))
PICTURES = ("text/vnd.mermaid", "application/vnd.vegalite.v5+json")
# What JupyterLab itself complains about, with or without our notebooks.
NOT_OURS = re.compile(r"Failed to load resource|favicon|ResizeObserver", re.IGNORECASE)


@pytest.fixture
def complaints(page: Page) -> list[str]:
    """What the browser's console reports as an error."""
    said: list[str] = []

    def note(message: ConsoleMessage) -> None:
        if message.type == "error" and not NOT_OURS.search(message.text):
            said.append(message.text)

    page.on("console", note)
    page.on("pageerror", lambda error: said.append(str(error)))
    return said


@pytest.fixture(params=LESSONS, ids=lambda path: path.stem)
def copy(request) -> Path:
    """A lesson's cells without their outputs, in a file that may be saved."""
    SCRATCH.mkdir(exist_ok=True)
    path = SCRATCH / f"copy_of_{request.param.name}"
    lesson = nbformat.read(request.param, as_version=4)
    for cell in lesson.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    nbformat.write(lesson, path)
    yield path
    path.unlink(missing_ok=True)


def saved(page: Page, path: Path) -> list | None:
    """Save the notebook and return its code cells, or None while it is being written or a cell has yet to end."""
    page.keyboard.press("Control+s")
    page.wait_for_timeout(PACE_MILLISECONDS)
    text = path.read_text()
    # The file is emptied before it is written.
    if not text.rstrip().endswith("}"):
        return None
    cells = [cell for cell in nbformat.reads(text, as_version=4).cells if cell.cell_type == "code"]
    return cells if all(cell.execution_count for cell in cells) else None


def test_a_lesson_runs_from_top_to_bottom_and_draws_its_pictures(copy, open_notebook, page, screenshot, complaints):
    open_notebook(copy.name, folder="tests/browser/scratch")
    # A folded cell shows no number; where the very last one is folded, the file tells when it has run.
    last = page.locator(".jp-CodeCell", has=page.locator(".jp-InputArea-editor")).last
    last.scroll_into_view_if_needed()
    expect(last.locator(".jp-InputPrompt").first).to_have_text(re.compile(r"\[\d+\]:"), timeout=300 * SECONDS)
    cells = until(lambda: saved(page, copy), timeout=60)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert [output for cell in cells for output in cell.outputs if output.output_type == "error"] == []
    for number, cell in enumerate(cells, 1):
        for output in cell.outputs:
            if any(mime in output.get("data", {}) for mime in PICTURES):
                shown = page.locator(".jp-CodeCell", has_text=f"[{number}]:").first
                shown.scroll_into_view_if_needed()
                expect(shown.locator("svg, canvas, img").first).to_be_visible(timeout=20 * SECONDS)
                screenshot(f"{copy.stem.removeprefix('copy_of_')}_cell_{number:02d}")
    assert complaints == []
