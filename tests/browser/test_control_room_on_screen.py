from __future__ import annotations

import time
from statistics import median, quantiles

import pytest
from playwright.sync_api import Page, expect

SECONDS = 1_000
OPEN = 'import rpclab\nlab = rpclab.Lab("control_room_test")'
ROOM = "room = rpclab.ControlRoom(lab)\nroom"
CLICKS = 40
# A person looks at an answer before the next click.
LOOKING_MILLISECONDS = 250
BURST = 1_000
BURSTS = 5

# Clicks Fire and returns the milliseconds until the first row of the panel's table begins with a text.
CLICK_AND_WAIT = """(card, text) => new Promise(resolve => {
    const begun = performance.now();
    const look = () => {
        const row = card.querySelector("tbody tr");
        if (row && row.textContent.startsWith(text)) resolve(performance.now() - begun);
        else requestAnimationFrame(look);
    };
    [...card.querySelectorAll("button")].find(button => button.textContent === "Fire").click();
    look();
})"""
# Notes on a cell's prompt how many milliseconds after the key Enter it has its number.
NOTE_HOW_LONG = """prompt => {
    delete prompt.dataset.took;
    let begun = Infinity;
    const note = event => {
        if (event.key === "Enter") begun = performance.now();
    };
    document.addEventListener("keydown", note, {capture: true});
    const watch = new MutationObserver(() => {
        if (!/\\d/.test(prompt.textContent)) return;
        prompt.dataset.took = performance.now() - begun;
        watch.disconnect();
        document.removeEventListener("keydown", note, {capture: true});
    });
    watch.observe(prompt, {childList: true, characterData: true, subtree: true});
}"""


@pytest.fixture
def room(open_cells, page: Page) -> Page:
    open_cells(OPEN, ROOM, "6 * 7")
    expect(page.get_by_role("button", name="Start everything")).to_be_visible(timeout=60 * SECONDS)
    page.get_by_role("button", name="Start everything").click()
    expect(page.locator(".rpclab-room")).to_contain_text("Everything runs.", timeout=60 * SECONDS)
    return page


def panel(page: Page):
    return page.locator(".rpclab-card", has_text="Requests to queue addition").first


@pytest.mark.parametrize("size", [(1280, 720), (1920, 1080)], ids=lambda size: f"{size[0]}x{size[1]}")
def test_one_click_starts_everything_and_one_kills_a_worker_at_work(theme, room, screenshot, size):
    room.set_viewport_size({"width": size[0], "height": size[1]})
    room.keyboard.press("Control+b")
    room.get_by_role("button", name="Kill a worker at work").click()
    expect(room.locator(".rpclab-room")).to_contain_text("dead", timeout=30 * SECONDS)
    expect(room.locator(".rpclab-flow")).to_contain_text("1 redelivered", timeout=30 * SECONDS)
    room.get_by_role("button", name="Start everything").scroll_into_view_if_needed()
    screenshot(f"control_room_{theme}_{size[0]}")
    room.locator(".rpclab-worker").first.scroll_into_view_if_needed()
    screenshot(f"control_room_{theme}_{size[0]}_board")


def test_kill_9_on_the_board_is_a_redelivery_in_the_flow(room):
    room.get_by_role("tab", name="Fibonacci", exact=True).click()
    asking = room.locator(".rpclab-card", has_text="Requests to queue fibonacci").first
    asking.get_by_label("n", exact=True).fill("35")
    asking.get_by_role("button", name="Fire").click()
    worker = room.locator(".rpclab-worker", has_text="working on request 1")
    worker.get_by_role("button", name="kill -9").click(timeout=20 * SECONDS)
    expect(room.locator(".rpclab-flow")).to_contain_text("1 redelivered", timeout=20 * SECONDS)
    expect(asking).to_contain_text("1 fired: 1 answered", timeout=30 * SECONDS)
    expect(asking.locator("tbody tr").first).to_contain_text("9227465")


def test_each_fault_says_what_to_look_for_and_can_be_mended(room):
    for button, sign in (
        ("Answer twice", "drops the second"), ("Forget to acknowledge", "the request stays unacked"),
    ):
        room.get_by_role("button", name=button).click()
        expect(room.locator(".rpclab-room")).to_contain_text(sign, timeout=30 * SECONDS)
        room.get_by_role("button", name="Mend everything").click()
        expect(room.locator(".rpclab-room")).to_contain_text("Everything runs.", timeout=30 * SECONDS)
    expect(panel(room)).to_contain_text("2 fired: 2 answered", timeout=30 * SECONDS)


def test_answers_and_bursts_are_on_the_screen_soon_with_everything_open(room):
    card = panel(room)
    times = []
    for number in range(1, CLICKS + 1):
        room.wait_for_timeout(LOOKING_MILLISECONDS)
        times.append(card.evaluate(CLICK_AND_WAIT, f"{number}3, 5\u2713 answered"))
    print(f"\nclick to answer: median {median(times):.0f} ms, p95 {quantiles(times, n=20)[-1]:.0f} ms")

    card.get_by_label("Many at once:").fill(str(BURST))
    card.get_by_label("Many at once:").press("Tab")
    fired = range(CLICKS + BURST, CLICKS + BURSTS * BURST + 1, BURST)
    waits, bursts = zip(*(burst_with_another_cell(room, card, count) for count in fired), strict=True)
    print(f"another cell, run during a burst: median {median(waits):.0f} ms, at most {max(waits):.0f} ms")
    print(f"burst of {BURST:,}: median {median(bursts):.2f} s until it is shown whole, at most {max(bursts):.2f} s")


def burst_with_another_cell(room: Page, card, fired: int) -> tuple[float, float]:
    """Return how many milliseconds a cell takes during a burst, and after how many seconds the burst is shown whole."""
    other = room.locator(".jp-CodeCell").last
    other.locator(".cm-content").click()
    prompt = other.locator(".jp-InputPrompt").first.element_handle()
    prompt.evaluate(NOTE_HOW_LONG)
    begun = time.monotonic()
    card.evaluate("card => [...card.querySelectorAll('button')].find(one => one.textContent === 'Burst').click()")
    room.keyboard.press("Control+Enter")
    took = room.wait_for_function("prompt => prompt.dataset.took", arg=prompt, timeout=20 * SECONDS).json_value()
    expect(card).to_contain_text(f"{fired} fired: {fired} answered", timeout=60 * SECONDS)
    return float(took), time.monotonic() - begun


def test_the_room_is_visible_soon_after_its_cell_starts(open_cells, page):
    open_cells(OPEN, "rpclab.ControlRoom", "pass")
    cell = page.locator(".jp-CodeCell").last
    expect(cell.locator(".jp-InputPrompt").first).to_have_text("[3]:", timeout=60 * SECONDS)
    cell.locator(".cm-content").fill(ROOM)
    begun = time.monotonic()
    page.keyboard.press("Control+Enter")
    expect(page.locator(".rpclab-flow svg")).to_be_visible(timeout=20 * SECONDS)
    expect(page.get_by_role("button", name="Wrong correlation id")).to_be_visible(timeout=20 * SECONDS)
    print(f"\nthe control room is visible after {time.monotonic() - begun:.2f} s")
