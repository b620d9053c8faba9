"""What a reader does besides running cells: follow a link, look up a word."""

from __future__ import annotations

from in_jupyterlab import TOKEN, asked
from playwright.sync_api import Locator, Page, expect


def link(page: Page, text: str) -> Locator:
    """Return a link in the notebook that is shown; to look for its role takes a second in a page of this size."""
    return page.locator(".jp-Notebook:visible .jp-RenderedMarkdown a").get_by_text(text, exact=True).first


def test_links_lead_to_the_glossary_to_the_next_lesson_and_to_the_map(open_notebook, page: Page):
    open_notebook("05_callback_queues.ipynb", run=False)
    link(page, "correlation id").click()
    entry = page.locator(".jp-MarkdownViewer h3", has_text="correlation id")
    expect(entry).to_be_in_viewport()
    page.evaluate("jupyterapp.shell.currentWidget.dispose()")
    link(page, "Request and reply").click()
    expect(page.locator("h1:visible", has_text="Request and reply")).to_be_visible()
    link(page, "Map").click()
    link(page, "What comes in which lesson?").click()
    expect(page.locator("h2:visible", has_text="The lessons")).to_be_in_viewport()


def test_the_course_opens_on_the_first_lesson_in_a_layout_to_read_in(page: Page, jupyterlab: str, screenshot):
    # What other tests had open is forgotten.
    page.goto("about:blank")
    if "default" in asked("GET", f"{jupyterlab}/lab/api/workspaces").json()["workspaces"]["ids"]:
        asked("DELETE", f"{jupyterlab}/lab/api/workspaces/default")
    page.goto(f"{jupyterlab}/?token={TOKEN}")
    paragraph = page.locator(".jp-RenderedMarkdown > p", has_text="This course teaches one thing thoroughly")
    expect(paragraph).to_be_visible()
    files = page.locator(".jp-DirListing-item")
    # The list of files follows to the lesson's folder once the lesson is open.
    expect(files.filter(has_text="12_error_clinic.ipynb")).to_be_visible()
    listed = files.all_inner_texts()
    assert [name for name in listed if not name.endswith((".ipynb", ".md"))] == []
    assert sum(name.endswith(".ipynb") for name in listed) >= 12
    for width in (1280, 1920):
        page.set_viewport_size({"width": width, "height": 720 if width == 1280 else 1080})
        style = paragraph.evaluate("one => [one.clientWidth, parseFloat(getComputedStyle(one).fontSize)]")
        assert style[1] >= 15
        assert style[0] <= 54 * style[1]
        screenshot(f"make_lab_{width}")
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.get_by_role("tab", name="Table of Contents").click()
    expect(page.locator(".jp-TableOfContents").get_by_text("A first message")).to_be_visible()
    # Another test has saved this lesson with widgets. JupyterLab soon reports that they are gone, and the next test
    # would take that for its own complaint.
    page.goto("about:blank")
