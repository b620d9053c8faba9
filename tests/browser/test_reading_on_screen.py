"""What a reader does besides running cells: follow a link, look up a word."""

from __future__ import annotations

from in_jupyterlab import TOKEN
from playwright.sync_api import Page, expect

SECONDS = 1_000


def test_a_term_leads_to_its_entry_in_the_glossary(open_notebook, page: Page):
    open_notebook("05_callback_queues.ipynb", run=False)
    link = page.get_by_role("link", name="correlation id", exact=True)
    link.scroll_into_view_if_needed()
    link.click()
    entry = page.locator(".jp-MarkdownViewer").get_by_role("heading", name="correlation id")
    expect(entry).to_be_in_viewport(timeout=20 * SECONDS)


def test_the_line_of_links_leads_to_the_next_lesson_and_to_the_map(open_notebook, page: Page):
    open_notebook("05_callback_queues.ipynb", run=False)
    page.get_by_role("link", name="Request and reply", exact=True).first.click()
    expect(page.get_by_role("heading", name="Request and reply", level=1)).to_be_visible(timeout=20 * SECONDS)
    page.locator(".jp-Notebook:visible").get_by_role("link", name="Map", exact=True).first.click()
    page.get_by_role("link", name="What comes in which lesson?").click(timeout=20 * SECONDS)
    expect(page.get_by_role("heading", name="The lessons")).to_be_in_viewport(timeout=20 * SECONDS)


def test_the_course_opens_on_the_first_lesson_in_a_layout_to_read_in(page: Page, jupyterlab: str, screenshot):
    page.goto(f"{jupyterlab}/lab?token={TOKEN}&reset")
    page.goto(f"{jupyterlab}/?token={TOKEN}")
    paragraph = page.locator(".jp-RenderedMarkdown > p", has_text="This course teaches one thing thoroughly")
    expect(paragraph).to_be_visible(timeout=60 * SECONDS)
    files = page.locator(".jp-DirListing-item")
    # The list of files follows to the lesson's folder once the lesson is open.
    expect(files.filter(has_text="12_error_clinic.ipynb")).to_be_visible(timeout=20 * SECONDS)
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
    expect(page.locator(".jp-TableOfContents").get_by_text("A first message")).to_be_visible(timeout=20 * SECONDS)
