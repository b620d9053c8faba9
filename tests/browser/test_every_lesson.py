"""Each lesson in JupyterLab: what its cells do there, and what one sees.

What is proven where:

- Every cell of every lesson runs without an error and shows what is saved: nbval, in a kernel like JupyterLab's.
- A lesson runs from top to bottom in JupyterLab, with its widgets alive, draws its pictures and can be saved: here, for
  all lessons but those of `AS_SAVED`.
- Those keep processors busy for longer than all others together, with nodes that they start, kill and restart, programs
  of their own and a bench. JupyterLab has no part in that, so here they are opened as they were saved, and what they
  show must be drawn. Their widgets are alive elsewhere: predictions in `test_predictions_on_screen`, the queue monitor
  in `test_queue_monitor_on_screen`, the bench's chart below.
"""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest
from in_jupyterlab import ROOT
from nbformat import NotebookNode
from playwright.sync_api import Page, expect

AS_SAVED = ("09", "10", "11", "12")
LESSONS = sorted((ROOT / "notebooks").glob("*.ipynb"))
RUN_HERE = [path for path in LESSONS if not path.name.startswith(AS_SAVED)]
# Where JupyterLab draws what.
PICTURES = {
    "text/vnd.mermaid": ".jp-RenderedMermaid img",
    "application/vnd.vegalite.v5+json": ".vega-embed .marks",
}
WIDGET = "application/vnd.jupyter.widget-view+json"
CHART = """\
from rpclab.bench.notebook_chart import Chart
from rpclab.bench.report import Row
Chart([Row.compared("calls, one after the other", [900.0], [1000.0], at_least=0.8)])
"""
pytestmark = pytest.mark.usefixtures("complaints")


def code_cells(path: Path) -> list[NotebookNode]:
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]


def assert_pictures_are_drawn(page: Page, lesson: Path, cells: list[NotebookNode], screenshot) -> None:
    """Check that each diagram and chart in the outputs of these cells is on the screen."""
    for number, cell in enumerate(cells, 1):
        shown = [mime for output in cell.outputs for mime in PICTURES if mime in output.get("data", {})]
        for mime in set(shown):
            drawn = page.locator(".jp-CodeCell").nth(number - 1).locator(PICTURES[mime]).filter(visible=True)
            expect(drawn).to_have_count(shown.count(mime))
            drawn.first.scroll_into_view_if_needed()
            screenshot(f"{lesson.stem}_cell_{number:02d}")


def assert_it_runs(page: Page, lesson: Path, copy: Path, screenshot) -> None:
    """Wait until a lesson that was opened has run; check that no cell failed, and what it shows."""
    page.wait_for_function("ran.then(() => true)", timeout=300_000)
    page.wait_for_function("jupyterapp.commands.execute('docmanager:save').then(() => true)")
    cells = code_cells(copy)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert [output for cell in cells for output in cell.outputs if output.output_type == "error"] == []
    assert_pictures_are_drawn(page, lesson, cells, screenshot)


@pytest.mark.parametrize("lesson", [path for path in RUN_HERE if "05" not in path.name], ids=lambda path: path.stem)
def test_a_lesson_runs_from_top_to_bottom_and_draws_its_pictures(lesson, lessons, open_notebook, screenshot):
    assert_it_runs(open_notebook(lesson.name), lesson, lessons / lesson.name, screenshot)


def test_lesson_05_runs_too_and_its_panel_and_its_feed_show_who_answered(lessons, open_notebook, screenshot):
    (lesson,) = (path for path in RUN_HERE if "05" in path.name)
    page = open_notebook(lesson.name)
    assert_it_runs(page, lesson, lessons / lesson.name, screenshot)

    panel = page.locator(".rpclab-pane", has_text="Requests to queue")
    # The lesson itself fires two requests, one of which the service cannot read.
    expect(panel).to_contain_text("2 fired: 1 answered, 1 failed.")
    panel.get_by_label("x", exact=True).fill("40")
    panel.get_by_label("y", exact=True).fill("2")
    panel.get_by_role("button", name="Fire").click()
    row = panel.locator("tbody tr").first
    answered = re.compile(r"3\s*40, 2\s*✓ answered\s*42\s*AdditionServer-0\s*[\d.]+ ms")
    expect(row).to_have_text(answered)
    panel.scroll_into_view_if_needed()
    screenshot("request_panel")

    feed = page.locator(".rpclab-pane", has_text="Messages on callback queue")
    expect(feed).to_contain_text("3 arrived.")
    expect(feed.locator("tbody tr").first).to_contain_text("AdditionCallbackWorker-0")
    expect(feed.locator("tbody tr").first).to_contain_text("acknowledged")
    feed.scroll_into_view_if_needed()
    screenshot("callback_feed")


@pytest.mark.parametrize("lesson", [path for path in LESSONS if path not in RUN_HERE], ids=lambda path: path.stem)
def test_a_lesson_is_shown_as_it_was_saved(lesson, lessons, open_notebook, screenshot):
    copy = lessons / f"saved_{lesson.name}"
    notebook = nbformat.read(lesson, as_version=4)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    # Of a widget, a file has the text alone; JupyterLab would look for the rest in the kernel.
    for output in (output for cell in cells for output in cell.outputs):
        output.get("data", {}).pop(WIDGET, None)
    nbformat.write(notebook, copy)
    page = open_notebook(copy.name, run=False)
    outputs = page.locator(".jp-OutputArea-output")
    expect(outputs).to_have_count(sum(len(cell.outputs) for cell in cells))
    assert_pictures_are_drawn(page, lesson, cells, screenshot)
    copy.unlink()


def test_the_chart_of_lesson_11_is_shown(open_cells):
    page = open_cells(CHART)
    card = page.locator(".jp-CodeCell .rpclab-card")
    expect(card).to_contain_text("0.90")
    expect(card).to_contain_text("ratio >= 0.80")
    expect(card).to_contain_text("✓ met")
    expect(card.locator("svg.bars rect")).to_be_visible()
