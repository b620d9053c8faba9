"""A real JupyterLab in a real browser, for what only a person's eyes and clicks can check."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import nbformat
import pytest
from in_jupyterlab import FLAGS, chromium, end_kernels, leave, open_in, serving
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Dialog, Page, expect, sync_playwright

SCREENSHOTS = Path(__file__).parent / "screenshots"
# Without it, JupyterLab asks which kernel to use.
METADATA = {"kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}}
WINDOW = {"width": 1280, "height": 900}
# What JupyterLab itself complains about, with or without our notebooks.
NOT_OURS = re.compile(r"Failed to load resource|favicon|ResizeObserver", re.IGNORECASE)
# In milliseconds, and long enough for a busy machine: what is expected is seen as soon as it is there.
PATIENCE = 60_000
expect.set_options(timeout=PATIENCE)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    executable = chromium()
    if executable is None:
        if os.environ.get("CI"):
            pytest.fail("CI needs Chromium: apt-get install chromium")
        pytest.skip("no Chromium or Chrome on this machine: install one to run the browser tests")
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=executable, args=FLAGS)
        yield launched
        launched.close()


@pytest.fixture(scope="session")
def lessons(tmp_path_factory) -> Path:
    """The folder that JupyterLab shows, as a learner has it, with all lessons handed out without outputs."""
    return tmp_path_factory.mktemp("lessons")


@pytest.fixture(scope="session")
def jupyterlab(lessons: Path, tmp_path_factory) -> Iterator[str]:
    with serving(lessons, tmp_path_factory.mktemp("jupyterlab")) as address:
        yield address


@pytest.fixture(scope="session")
def context(browser: Browser) -> Iterator[BrowserContext]:
    with browser.new_context(viewport=WINDOW) as shared:
        yield shared


@pytest.fixture(scope="session")
def tab(context: BrowserContext) -> Iterator[Page]:
    with context.new_page() as opened:
        opened.set_default_timeout(PATIENCE)
        yield opened


@pytest.fixture
def page(tab: Page, jupyterlab: str, endings: dict[str, threading.Thread]) -> Iterator[Page]:
    """The one page of all tests, with nothing open: loading JupyterLab takes longer than most tests.

    What a test has opened is closed behind it, and its kernel shut down.
    """
    yield tab
    leave(tab)
    end_kernels(jupyterlab, endings)
    tab.set_viewport_size(WINDOW)
    tab.emulate_media(reduced_motion="no-preference")


@pytest.fixture(scope="session")
def endings(jupyterlab: str) -> Iterator[dict[str, threading.Thread]]:
    """Who shuts down the kernel of which session: Jupyter takes seconds for it, and the next test need not wait."""
    begun: dict[str, threading.Thread] = {}
    yield begun
    for each in begun.values():
        each.join()


@pytest.fixture
def complaints(page: Page) -> Iterator[None]:
    """Errors in the page's console, uncaught ones, and dialogs that a script opened: there must be none."""
    said: list[str] = []

    def heard(message: ConsoleMessage) -> None:
        if message.type == "error" and not NOT_OURS.search(message.text):
            said.append(message.text)

    def asked(dialog: Dialog) -> None:
        said.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    listeners = {"console": heard, "pageerror": lambda error: said.append(str(error)), "dialog": asked}
    for event, listener in listeners.items():
        page.on(event, listener)
    yield
    for event, listener in listeners.items():
        page.remove_listener(event, listener)
    assert said == []


@pytest.fixture
def themes(page: Page) -> Iterator[Callable[[], Iterator[str]]]:
    """Return a function that goes through JupyterLab's themes: what is open is shown in one, then in the other.

    It begins with the one that is shown, because JupyterLab takes most of a second to change it.
    """
    names = ["Light", "Dark"]

    def chosen(name: str) -> str:
        page.evaluate("theme => jupyterapp.commands.execute('apputils:change-theme', {theme})", f"JupyterLab {name}")
        expect(page.locator("body")).to_have_attribute("data-jp-theme-name", f"JupyterLab {name}")
        expect(page.locator("#jupyterlab-splash")).to_have_count(0)
        return name.lower()

    def each() -> Iterator[str]:
        yield from map(chosen, tuple(names))
        names.reverse()

    yield each
    chosen("Light")


@pytest.fixture
def open_cells(open_notebook, lessons, request) -> Iterator:
    """Return a function that opens a notebook of these cells and begins to run them; it is removed at the end."""
    path = lessons / f"{re.sub(r'[^a-z0-9_]+', '_', request.node.name.lower())[:80]}.ipynb"

    def opened(*sources: str) -> Page:
        cells = [nbformat.v4.new_code_cell(source) for source in sources]
        nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=METADATA), path)
        return open_notebook(path.name)

    yield opened
    path.unlink(missing_ok=True)


@pytest.fixture
def open_notebook(page: Page, jupyterlab: str):
    """Return a function that opens a notebook and begins to run all its cells, or none."""

    def opened(name: str, *, run: bool = True) -> Page:
        open_in(page, jupyterlab, name, run=run)
        return page

    return opened


@pytest.fixture
def screenshot(page: Page):
    """Return a function that keeps a picture for somebody to look at."""
    SCREENSHOTS.mkdir(exist_ok=True)
    return lambda name: page.screenshot(path=SCREENSHOTS / f"{name}.png")
