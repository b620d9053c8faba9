"""The request panel under a person's hands: what a click brings to the screen, and how soon."""

from __future__ import annotations

import re
import statistics

import pytest
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.usefixtures("complaints")
CLICKS, WARM_UP = 10, 2
SERVERS = """\
import rpclab
lab = rpclab.Lab("browser-request-panel")
workers = rpclab.Workers(rpclab.AdditionServer, count=2)
client = rpclab.AddClient()
"""
SLOW = """\
import time

def shout_slowly(body):
    time.sleep(1.5)
    return body.upper()
"""
# Measured by the page itself: from the click to the moment when the answer can be painted.
CLICK_AND_WATCH = """
([card, number]) => new Promise((resolve, reject) => {
    const found = () => [...card.querySelectorAll("tbody tr:first-child")].some(
        row => row.cells[0].innerText.trim() === String(number) && row.innerText.includes("answered"));
    const button = [...card.querySelectorAll("button")].find(one => one.innerText.trim() === "Fire");
    const watcher = new MutationObserver(() => {
        if (found()) {
            watcher.disconnect();
            requestAnimationFrame(() => resolve(performance.now() - began));
        }
    });
    watcher.observe(card, {subtree: true, childList: true, characterData: true});
    setTimeout(() => reject(new Error(`request ${number} was not answered on the screen`)), 10_000);
    const began = performance.now();
    button.click();
})
"""


@pytest.fixture
def panel(open_cells):
    page: Page = open_cells(SERVERS, "panel = rpclab.RequestPanel(client)\npanel")
    card = page.locator(".rpclab-pane", has_text="Requests to queue")
    expect(card).to_contain_text("Nothing fired yet")
    return card


def test_an_answer_is_on_the_screen_soon_after_the_click(panel, page):
    card, times = panel.element_handle(), []
    for number in range(1, WARM_UP + CLICKS + 1):
        took = page.evaluate(CLICK_AND_WATCH, [card, number])
        if number > WARM_UP:
            times.append(took)
        page.wait_for_timeout(100)  # a person's pace
    times.sort()
    print(f"click to answer, {len(times)} clicks: median {statistics.median(times):.0f} ms, "
          f"95 % within {times[int(0.95 * len(times))]:.0f} ms, longest {times[-1]:.0f} ms")
    expect(panel).to_contain_text(f"{WARM_UP + CLICKS} fired: {WARM_UP + CLICKS} answered")
    assert len(times) == CLICKS


def test_a_burst_of_a_thousand_is_shown_whole(themes, panel, page, screenshot):
    page.set_viewport_size({"width": 1280, "height": 720})
    panel.get_by_label("Many at once").fill("1000")
    panel.get_by_role("button", name="Burst").click()
    expect(panel.get_by_role("progressbar")).to_be_visible()
    expect(panel).to_contain_text("1000 fired: 1000 answered.")
    expect(panel.get_by_role("progressbar", name="1000 of 1000 done")).to_be_visible()
    expect(panel.locator("tbody tr")).to_have_count(10)
    expect(panel).to_contain_text(re.compile(r"1000 answers: median [\d,.]+ ms, 95 % within [\d,.]+ ms"))
    panel.scroll_into_view_if_needed()
    for theme in themes():
        assert panel.bounding_box()["height"] <= 260
        screenshot(f"request_panel_burst_{theme}")


def test_a_steady_run_is_started_stopped_and_cancelled(panel):
    rate = panel.get_by_label("Requests per second")
    rate.fill("20")
    panel.get_by_role("button", name="Start").click()
    expect(panel).to_contain_text(re.compile(r"[1-9]\d fired: \d+ answered"))
    panel.get_by_role("button", name="Stop", exact=True).click()
    expect(panel.get_by_role("button", name="Start", exact=True)).to_be_visible()
    expect(panel.get_by_role("button", name="Cancel")).to_be_disabled()


def test_what_is_cancelled_says_so_and_the_panel_goes_on(themes, open_cells, page, screenshot):
    open_cells(
        SERVERS,
        SLOW,
        "slow = rpclab.Workers(rpclab.RpcServer, 'slow', shout_slowly, name='Slow', count=2)",
        "panel = rpclab.RequestPanel(rpclab.RpcClient('slow'))\npanel",
    )
    panel = page.locator(".rpclab-pane", has_text="Requests to queue")
    panel.get_by_label("body").fill("hello")
    panel.get_by_label("Many at once").fill("8")
    panel.get_by_role("button", name="Burst").click()
    expect(panel).to_contain_text("→ at Slow-")
    expect(panel).to_contain_text("… queued")
    for theme in themes():
        screenshot(f"request_panel_states_{theme}")
    panel.get_by_role("button", name="Cancel").click()
    expect(panel).to_contain_text(re.compile(r"8 fired: (\d answered, )?\d cancelled\."))
    expect(panel).not_to_contain_text("queued")
    panel.get_by_role("button", name="Fire").click()
    expect(panel.locator("tbody tr").first).to_contain_text("✓ answered")
    expect(panel.locator("tbody tr").first).to_contain_text("HELLO")


def test_hostile_text_is_shown_and_not_interpreted(open_cells, page):
    open_cells(
        SERVERS,
        "shout = rpclab.Workers(rpclab.RpcServer, 'plain', str, name='Plain', count=1)\n"
        "panel = rpclab.RequestPanel(rpclab.RpcClient('plain'))\npanel",
    )
    panel = page.locator(".rpclab-pane", has_text="Requests to queue")
    hostile = "<img src=x onerror=alert(1)>"
    panel.get_by_label("body").fill(hostile)
    panel.get_by_role("button", name="Fire").click()
    row = panel.locator("tbody tr").first
    expect(row).to_contain_text("✓ answered")
    expect(row.locator("td").nth(1)).to_have_text(hostile)
    expect(row.locator("td").nth(3)).to_have_text(hostile)
    expect(panel.locator("img")).to_have_count(0)


def test_export_says_where_the_file_went(panel, lessons):
    panel.get_by_role("button", name="Fire").click()
    expect(panel).to_contain_text("1 fired: 1 answered")
    panel.get_by_role("button", name="Export").click()
    expect(panel).to_contain_text("Wrote 1 rows to addition-requests.csv.")
    written = lessons / "addition-requests.csv"
    assert written.read_text().splitlines()[1].startswith("1,\"3, 5\",answered,8,AdditionServer-")
    written.unlink()
