"""The queue monitor on the screen: numbers that change, and a purge that asks first."""

from __future__ import annotations

from playwright.sync_api import Locator, Page, expect

QUEUES = """
import rpclab

lab = rpclab.Lab("browser-queues")
channel = lab.connect().channel()
channel.confirm_delivery()
for queue, count in {"addition": 5, "fibonacci": 12, "<b>bold</b>": 1}.items():
    channel.queue_declare(queue, durable=True)
    for _ in range(count):
        channel.basic_publish("", queue, "x")
for _ in range(4):
    channel.basic_get("fibonacci")
"""
MONITOR = "monitor = rpclab.QueueMonitor(); monitor"
MORE = "client = rpclab.AddClient()\nfor _ in range(3):\n    channel.basic_publish('', 'addition', 'x')"


def row(page: Page, name: str) -> Locator:
    return page.locator(".rpclab-pane tbody tr", has_text=name)


def numbers(line: Locator) -> Locator:
    """Return the cells of ready, unacked and consumers."""
    return line.locator("td:nth-child(n + 3):nth-child(-n + 5)")


def test_a_purge_asks_first_and_going_away_leaves_everything(open_cells, screenshot):
    page: Page = open_cells(QUEUES, MONITOR)
    page.set_viewport_size({"width": 1280, "height": 720})
    addition = row(page, "addition")
    expect(numbers(addition)).to_have_text(["5", "0", "0"])
    button = addition.get_by_role("button")
    button.click()
    expect(button).to_have_text("purge 5 messages?")
    addition.scroll_into_view_if_needed()
    screenshot("queue_monitor_asking")
    page.keyboard.press("Tab")
    expect(button).to_have_text("purge")
    expect(numbers(addition).first).to_have_text("5")

    button.click()
    button.click()
    expect(numbers(addition).first).to_have_text("0")
    expect(numbers(row(page, "fibonacci")).first).to_have_text("8")
    assert page.locator(".rpclab-pane").bounding_box()["height"] <= 260


def test_figures_move_by_themselves_and_rows_stand_in_the_order_of_their_names(open_cells):
    page: Page = open_cells(QUEUES, MONITOR, MORE)
    expect(numbers(row(page, "addition"))).to_have_text(["8", "0", "0"])
    expect(numbers(row(page, "fibonacci"))).to_have_text(["8", "4", "0"])
    expect(numbers(row(page, "callback queue of AddClient"))).to_have_text(["0", "0", "1"])
    names = ["<b>bold</b>", "addition", "callback queue of AddClient", "fibonacci"]
    tops = [row(page, name).bounding_box()["y"] for name in names]
    assert tops == sorted(tops)


def test_the_monitor_can_be_read_in_both_themes(themes, open_cells, screenshot):
    page: Page = open_cells(QUEUES, MONITOR, MORE, "monitor.purge('nonsense')")
    page.set_viewport_size({"width": 1280, "height": 720})
    expect(numbers(row(page, "addition")).first).to_have_text("8")
    expect(page.locator(".rpclab-pane")).to_contain_text("purge nonsense: There is no queue")
    row(page, "fibonacci").get_by_role("button").click()
    page.locator(".rpclab-pane").scroll_into_view_if_needed()
    for theme in themes():
        expect(numbers(row(page, "addition")).first).to_be_visible()
        screenshot(f"queue_monitor_{theme}")
