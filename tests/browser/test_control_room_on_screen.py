from __future__ import annotations

import re
import time
from collections.abc import Callable
from statistics import median, quantiles

import pytest
from playwright.sync_api import Locator, Page, expect
from seen import CROSSINGS, OUTSIDE, OVERFLOWING

OPEN = 'import rpclab\nlab = rpclab.Lab("control_room_test")'
ROOM = "room = rpclab.ControlRoom(lab)\nroom"
CLICKS = 10
# A person looks at an answer before the next click.
LOOKING_MILLISECONDS = 250
BURST = 1_000
BURSTS = 2

# Clicks Fire and returns the milliseconds until the client's last answer begins with a text.
CLICK_AND_WAIT = """(box, text) => new Promise(resolve => {
    const begun = performance.now();
    const look = () => {
        const last = box.querySelector(".answer");
        if (last && last.textContent.startsWith(text)) resolve(performance.now() - begun);
        else requestAnimationFrame(look);
    };
    [...box.querySelectorAll("button")].find(button => button.textContent === "Fire").click();
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


# All that somebody has to see at once.
PARTS = ".bar button, .status, .box, .group, .form input, .form button, .answer, .timeline button, .tabs button, .way"


@pytest.fixture
def opened(open_cells, page: Page) -> Locator:
    open_cells(OPEN, ROOM, "6 * 7")
    expect(page.get_by_role("button", name="Start everything")).to_be_visible()
    return page.locator(".rpclab-flow")


@pytest.fixture
def room(opened) -> Locator:
    opened.get_by_role("button", name="Start everything").click()
    expect(opened.locator(".status")).to_contain_text("Everything runs.")
    return opened


def client(room: Locator, name: str = "AddClient") -> Locator:
    return room.locator(".box.client", has_text=name).first


def line(room: Locator, name: str) -> Locator:
    return room.get_by_role("group", name=re.compile(f"^{name},"))


def redelivered(room: Locator) -> int:
    """Return how many deliveries the room has counted as redelivered."""
    found = re.search(r"(\d+) redelivered", room.locator(".totals").inner_text())
    return int(found[1]) if found else 0


def pressed(where: Locator, name: str) -> None:
    where.get_by_role("button", name=re.compile(f"^{name}(:|$)")).first.click()


@pytest.fixture
def all_is_seen(opened: Locator, themes, screenshot) -> Callable[[str], None]:
    """Return a function that checks in each theme that all is in the window, and keeps pictures under a name."""

    def checked(name: str) -> None:
        for theme in themes():
            opened.evaluate("room => room.scrollIntoView({block: 'start'})")
            assert opened.evaluate(OUTSIDE, PARTS) == []
            assert opened.evaluate(OVERFLOWING) == []
            assert opened.evaluate(CROSSINGS) == []
            screenshot(f"control_room_{theme}_{name}")

    return checked


def test_all_of_it_is_in_the_window_whatever_happens(opened, page, themes, all_is_seen, screenshot):
    page.set_viewport_size({"width": 1280, "height": 720})
    expect(page.locator(".jp-FileBrowser")).to_be_visible()
    all_is_seen("idle")
    pressed(opened, "Start everything")
    expect(opened.locator(".status")).to_contain_text("Everything runs.")
    pressed(client(opened), "Fire")
    expect(client(opened).locator(".answer")).to_contain_text("1 3, 5 ✓ answered 8")
    all_is_seen("answered")
    pressed(opened, "Kill a busy worker")
    expect(opened.locator(".box.dead")).to_have_count(1)
    expect(opened.locator(".totals")).to_contain_text("1 redelivered")
    all_is_seen("killed")
    expect(client(opened, "FibonacciClient").locator(".answer")).to_contain_text("3524578")
    pressed(line(opened, "FibonacciServer-1"), "pause")
    expect(opened.locator(".box.paused")).to_have_count(1)
    for _ in range(3):
        pressed(client(opened, "FibonacciClient"), "Fire")
    expect(opened.locator(".box.paused .chip")).to_be_visible()
    all_is_seen("paused")
    for _ in range(3):
        opened.get_by_role("button", name="One step back").click()
    expect(opened.locator(".timeline")).to_have_class(re.compile("past"))
    all_is_seen("back")
    opened.get_by_role("button", name="Show what happens now").click()
    pressed(opened, "▸ Requests")
    expect(opened.locator(".drawer tbody tr")).to_have_count(5)
    for theme in themes():
        screenshot(f"control_room_{theme}_drawer")
    page.set_viewport_size({"width": 1920, "height": 1080})
    all_is_seen("wide")


def test_what_one_does_in_a_running_room_is_answered_on_it(room, page):
    """One after the other in one room, because opening and starting one takes longer than all of it."""
    it_is_operated_by_keys_alone(room, page)
    each_fault_says_what_to_look_for_and_can_be_repaired(room)
    kill_9_on_a_process_is_a_redelivery_and_the_answer_comes(room)
    a_queue_is_purged_only_when_it_was_said_twice(room, page)


def kill_9_on_a_process_is_a_redelivery_and_the_answer_comes(room):
    before = redelivered(room)
    asking = client(room, "FibonacciClient")
    asking.get_by_label("n", exact=True).fill("34")
    pressed(asking, "Fire")
    busy = room.locator(".box.worker.unacked")
    expect(busy.locator(".chip")).to_have_text("? 34")
    pressed(busy, "kill -9")
    expect(room.locator(".totals")).to_contain_text(f"{before + 1} redelivered")
    expect(asking.locator(".answer").first).to_contain_text("5702887")


def each_fault_says_what_to_look_for_and_can_be_repaired(room):
    for button, sign in (("Reply twice", "drops the second"), ("Skip the ack", "the request stays unacked")):
        pressed(room, button)
        expect(room.locator(".status")).to_contain_text(sign)
        pressed(room, "Repair everything")
        expect(room.locator(".status")).to_contain_text("Everything runs.")
    expect(client(room).locator(".answer").first).to_contain_text("3 3, 5 ✓ answered 8")


def a_queue_is_purged_only_when_it_was_said_twice(room, page):
    pressed(room, "Stop everything")
    expect(room.locator(".status")).to_contain_text("Nothing runs yet.")
    for _ in range(2):
        pressed(client(room), "Fire")
    queue = room.locator(".box.queue", has_text="addition").first
    expect(queue).to_contain_text("2 ready")
    button = queue.locator(".acts button")
    button.click()
    expect(button).to_have_text("purge 2?")
    page.keyboard.press("Tab")
    expect(button).to_have_text("purge")
    expect(queue).to_contain_text("2 ready")
    button.click()
    button.click()
    expect(queue).to_contain_text("0 ready")


def it_is_operated_by_keys_alone(room, page):
    client(room).get_by_label("x", exact=True).focus()
    page.keyboard.type("4")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(client(room).locator(".answer").first).to_contain_text("1 34, 5 ✓ answered 39")
    line(room, "AdditionServer-0").get_by_role("button", name=re.compile("kill -9")).focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    expect(room.locator(".box.paused")).to_have_count(1)
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press(" ")
    expect(room.locator(".box.paused")).to_have_count(0)


def test_answers_and_bursts_are_on_the_screen_soon_with_everything_open(room, page):
    card = client(room)
    times = []
    for number in range(1, CLICKS + 1):
        page.wait_for_timeout(LOOKING_MILLISECONDS)
        times.append(card.evaluate(CLICK_AND_WAIT, f"{number} 3, 5 ✓ answered"))
    print(f"\nclick to answer: median {median(times):.0f} ms, p95 {quantiles(times, n=20)[-1]:.0f} ms")

    card.get_by_label("Many at once").fill(str(BURST))
    card.get_by_label("Many at once").press("Tab")
    fired = range(CLICKS + BURST, CLICKS + BURSTS * BURST + 1, BURST)
    waits, bursts = zip(*(burst_with_another_cell(page, card, count) for count in fired), strict=True)
    print(f"another cell, run during a burst: median {median(waits):.0f} ms, at most {max(waits):.0f} ms")
    print(f"burst of {BURST:,}: median {median(bursts):.2f} s until it is shown whole, at most {max(bursts):.2f} s")


def burst_with_another_cell(page: Page, card, fired: int) -> tuple[float, float]:
    """Return how many milliseconds a cell takes during a burst, and after how many seconds the burst is shown whole."""
    other = page.locator(".jp-CodeCell").last
    other.locator(".cm-content").click()
    prompt = other.locator(".jp-InputPrompt").first.element_handle()
    prompt.evaluate(NOTE_HOW_LONG)
    begun = time.monotonic()
    card.evaluate("card => [...card.querySelectorAll('button')].find(one => one.textContent === 'Burst').click()")
    page.keyboard.press("Control+Enter")
    took = page.wait_for_function("prompt => prompt.dataset.took", arg=prompt).json_value()
    expect(card).to_contain_text(f"{fired:,} published · {fired:,} acked")
    # Where a burst takes longer than the client's timeout, the last replies are late, and shown as late.
    last = re.compile(f"{fired} 3, 5 (✓ answered|✕ answered late) 8")
    expect(card.locator(".answer").first).to_contain_text(last)
    return float(took), time.monotonic() - begun


def test_the_room_is_visible_soon_after_its_cell_starts(open_cells, page):
    open_cells(OPEN, "rpclab.ControlRoom", "pass")
    cell = page.locator(".jp-CodeCell").last
    expect(cell.locator(".jp-InputPrompt").first).to_have_text("[3]:")
    cell.locator(".cm-content").fill(ROOM)
    begun = time.monotonic()
    page.keyboard.press("Control+Enter")
    expect(page.locator(".rpclab-flow .box").first).to_be_visible()
    expect(page.get_by_role("button", name="Use a wrong id")).to_be_visible()
    print(f"\nthe control room is visible after {time.monotonic() - begun:.2f} s")
