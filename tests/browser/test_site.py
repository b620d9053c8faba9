"""The course as a static site, opened as a file, with no server and no network behind it."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import nbformat
import pytest
from in_jupyterlab import ROOT
from playwright.sync_api import BrowserContext, Page, expect

LESSONS = [f"notebooks/{path.stem}" for path in sorted((ROOT / "notebooks").glob("*.ipynb"))]
TEXTS = ["notebooks/glossary", "notebooks/teaching", "notebooks/troubleshooting"]
PAGES = ["index", *LESSONS, *TEXTS]


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """The site as `make site` builds it."""
    target = tmp_path_factory.mktemp("site") / "built"
    done = subprocess.run(
        [sys.executable, ROOT / "website" / "build.py", target], capture_output=True, text=True, check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return target


@pytest.fixture
def complaints() -> list[str]:
    """What the browser's console reports as an error, and whatever is asked of another host."""
    return []


@pytest.fixture
def page(context: BrowserContext, site: Path, complaints: list[str]) -> Iterator[Page]:
    with context.new_page() as opened:
        opened.on("console", lambda said: said.type in ("error", "warning") and complaints.append(said.text))
        opened.on("pageerror", lambda error: complaints.append(str(error)))
        opened.on("request", lambda asked: asked.url.startswith(("file:", "data:")) or complaints.append(asked.url))
        opened.on("requestfailed", lambda asked: complaints.append(f"{asked.url}: {asked.failure}"))
        yield opened
    assert complaints == []


@pytest.fixture
def visit(page: Page, site: Path):
    """Return a function that opens a page of the site, and waits until its diagrams are drawn."""

    def visited(name: str) -> Page:
        page.goto((site / f"{name}.html").as_uri())
        expect(page.locator("pre.diagram")).to_have_count(0)
        return page

    return visited


def drawn_in(lesson: str) -> tuple[int, int]:
    """Return how many diagrams and how many charts a lesson has, in its text and in its outputs."""
    cells = nbformat.read(ROOT / f"{lesson}.ipynb", as_version=4).cells
    shown = [output.get("data", {}) for cell in cells for output in cell.get("outputs", ())]
    fences = sum(len(re.findall(r"^```mermaid$", cell.source, re.MULTILINE)) for cell in cells)
    charts = sum("application/vnd.vegalite.v5+json" in data for data in shown)
    return fences + sum("text/vnd.mermaid" in data for data in shown), charts


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_whole(visit, name):
    page = visit(name)
    if name in LESSONS:
        every_output_is_there_and_no_widget_waits_for_a_kernel(page, name)
        every_widget_that_saw_messages_plays_them(page, name)
    every_picture_is_drawn_in_the_light_and_in_the_dark(page, name)


def every_picture_is_drawn_in_the_light_and_in_the_dark(page: Page, name: str) -> None:
    diagrams, charts = drawn_in(name) if name in LESSONS else (0, 0)
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        expect(page.locator(".drawn:visible > svg")).to_have_count(diagrams)
        expect(page.locator(".cell_output img:visible")).to_have_count(charts)
        heights = page.locator(".drawn:visible > svg").evaluate_all("all => all.map(one => one.clientHeight)")
        assert [height for height in heights if height < 40] == []
    expect(page.locator(".drawn", has_text="Syntax error")).to_have_count(0)
    assert page.locator("article img").evaluate_all("all => all.filter(one => !one.naturalWidth)") == []


def every_output_is_there_and_no_widget_waits_for_a_kernel(page: Page, lesson: str) -> None:
    cells = nbformat.read(ROOT / f"{lesson}.ipynb", as_version=4).cells
    expect(page.locator(".cell")).to_have_count(sum(cell.cell_type == "code" for cell in cells))
    expect(page.locator(".cell:has(.cell_output)")).to_have_count(sum(bool(cell.get("outputs")) for cell in cells))
    assert "jupyter-widgets" not in page.content()


def every_widget_that_saw_messages_plays_them(page: Page, lesson: str) -> None:
    outputs = [output for cell in nbformat.read(ROOT / f"{lesson}.ipynb", as_version=4).cells
               for output in cell.get("outputs", ())]
    kept = sum("rpclab_story" in output.get("metadata", {}) for output in outputs)
    its_own = sum("rpclab-player" in output.get("data", {}).get("text/html", "") for output in outputs)
    players = page.locator(".rpclab-player")
    expect(players).to_have_count(kept + its_own)
    expect(players.locator(".timeline")).to_have_count(kept + its_own)


def test_a_player_shows_a_request_on_its_way_and_back(visit):
    player = visit("notebooks/05_callback_queues").locator(".rpclab-player").last
    player.get_by_role("button", name="One step forward").click()
    expect(player.locator(".timeline")).to_contain_text("step 1 of")
    expect(player.locator(".timeline")).to_contain_text("published by AddClient to addition")
    expect(player.locator(".chips .chip:visible")).to_have_count(1)


def test_a_prediction_shows_its_question_and_what_one_may_choose(visit):
    card = visit("notebooks/04_acknowledging").locator(".cell_output", has_text="What will happen?").first
    expect(card.get_by_role("listitem")).not_to_have_count(0)


def test_a_search_finds_a_word_in_its_lesson(visit):
    page = visit("index")
    page.get_by_placeholder("Search").fill("prefetch")
    page.keyboard.press("Enter")
    found = page.locator("#search-results").get_by_role("link", name="Consuming", exact=True)
    found.first.click()
    expect(page.get_by_role("heading", name="Consuming", level=1)).to_be_visible()


def test_the_light_and_the_dark_can_be_chosen(visit):
    page = visit(LESSONS[0])
    background = "document.defaultView.getComputedStyle(document.body).backgroundColor"
    seen = set()
    for _ in range(3):
        page.locator(".theme-toggle:visible").first.click()
        seen.add((page.locator("body").get_attribute("data-theme"), page.evaluate(background)))
    assert {theme for theme, _ in seen} == {"auto", "light", "dark"}
    assert len({colour for _, colour in seen}) == 2


def test_a_term_leads_to_its_entry_in_the_glossary(visit):
    page = visit("notebooks/05_callback_queues")
    page.get_by_role("link", name="correlation id", exact=True).first.click()
    expect(page.get_by_role("heading", name="correlation id")).to_be_in_viewport()


class Links(HTMLParser):
    """The places that a page links to, with the class of each link, and those that it has."""

    def __init__(self, page: Path):
        super().__init__()
        self.links: list[tuple[str, str]] = []
        self.ids: set[str] = set()
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.ids.add(found.get("id") or "")
        if tag == "a" and found.get("href"):
            self.links.append((found["href"], found.get("class") or ""))


def test_next_leads_from_the_first_page_through_every_lesson_and_previous_back(site):
    pages = [site / f"{name}.html" for name in PAGES]
    for way, order in (("next-page", pages), ("prev-page", pages[::-1])):
        led = [[(page.parent / link).resolve() for link, kind in Links(page).links if kind == way] for page in order]
        assert led == [[page.resolve()] for page in order[1:]] + [[]]


def test_every_link_within_the_site_leads_to_a_page_and_to_a_place_on_it(site):
    parsed = {path: Links(path) for path in site.rglob("*.html")}
    wrong = []
    for page, found in parsed.items():
        for link, _ in found.links:
            parts = urlsplit(link)
            if not parts.scheme:
                target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
                if target not in parsed or unquote(parts.fragment) not in {*parsed[target].ids, ""}:
                    wrong.append(f"{page.name}: {link}")
    assert wrong == []
