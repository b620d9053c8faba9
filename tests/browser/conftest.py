"""A real JupyterLab in a real browser, for what only a person's eyes and clicks can check."""

from __future__ import annotations

import json
import os
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from in_jupyterlab import FLAGS, SCRATCH, chromium, end_kernels, open_in, serving
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

# Notebooks are tests; those that an interrupted run has left behind are not.
collect_ignore = [SCRATCH.name]
SCREENSHOTS = Path(__file__).parent / "screenshots"
# Without it, JupyterLab asks which kernel to use.
METADATA = {"kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}}


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
def jupyterlab(tmp_path_factory) -> Iterator[str]:
    with serving(tmp_path_factory.mktemp("jupyterlab")) as address:
        yield address


@pytest.fixture(scope="session")
def context(browser: Browser) -> Iterator[BrowserContext]:
    """What the pages share: JupyterLab's scripts, because reading them is half of the work of opening a page."""
    with browser.new_context(viewport={"width": 1280, "height": 900}) as shared:
        yield shared


@pytest.fixture
def page(context: BrowserContext, jupyterlab: str, endings: dict[str, threading.Thread]) -> Iterator[Page]:
    with context.new_page() as opened:
        yield opened
    end_kernels(jupyterlab, endings)


@pytest.fixture(scope="session")
def endings(jupyterlab: str) -> Iterator[dict[str, threading.Thread]]:
    """Who shuts down the kernel of which session: Jupyter takes seconds for it, and the next test need not wait."""
    begun: dict[str, threading.Thread] = {}
    yield begun
    for each in begun.values():
        each.join()


@pytest.fixture(params=["light", "dark"])
def theme(page: Page, request) -> str:
    """JupyterLab's theme, set in what the server answers to the page, so that nobody's settings change."""

    def chosen(route) -> None:
        answer = route.fetch()
        said = answer.json()
        for one in said.get("settings", [said]):
            if one.get("id") == "@jupyterlab/apputils-extension:themes":
                one["raw"] = json.dumps({"theme": f"JupyterLab {request.param.title()}"})
        route.fulfill(response=answer, json=said)

    page.route(re.compile("/lab/api/settings"), chosen)
    return request.param


@pytest.fixture
def open_cells(open_notebook, request) -> Iterator:
    """Return a function that opens a notebook of these cells, and runs them; the notebook is removed at the end."""
    SCRATCH.mkdir(exist_ok=True)
    path = SCRATCH / f"{re.sub(r'[^a-z0-9_]+', '_', request.node.name.lower())[:80]}.ipynb"

    def opened(*sources: str) -> Page:
        cells = [nbformat.v4.new_code_cell(source) for source in sources]
        nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=METADATA), path)
        return open_notebook(path.name, folder="tests/browser/scratch")

    yield opened
    path.unlink(missing_ok=True)


@pytest.fixture
def open_notebook(page: Page, jupyterlab: str):
    """Return a function that opens a notebook and runs all its cells, or none."""

    def opened(name: str, *, folder: str = "notebooks", run: bool = True) -> Page:
        open_in(page, f"{jupyterlab}/lab/tree/{folder}/{name}", run=run)
        return page

    return opened


@pytest.fixture
def screenshot(page: Page):
    """Return a function that keeps a picture for somebody to look at."""
    SCREENSHOTS.mkdir(exist_ok=True)
    return lambda name: page.screenshot(path=SCREENSHOTS / f"{name}.png")
