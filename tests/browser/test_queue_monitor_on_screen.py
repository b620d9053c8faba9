"""The queue monitor on the screen: figures that move, and a purge that asks first."""

from __future__ import annotations

from playwright.sync_api import Locator, Page, expect

SECONDS = 1_000
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
    return page.locator(".rpclab-queue", has=page.locator("code", has_text=name)).locator("visible=true")


def test_a_purge_asks_first_and_a_no_leaves_everything(open_cells, screenshot):
    page: Page = open_cells(QUEUES, MONITOR)
    page.set_viewport_size({"width": 1280, "height": 720})
    addition = row(page, "addition")
    expect(addition).to_contain_text("5 ready", timeout=60 * SECONDS)

    addition.get_by_role("button", name="Purge").click()
    expect(addition).to_contain_text("Really purge 5 messages?")
    addition.scroll_into_view_if_needed()
    screenshot("queue_monitor_asking")
    addition.get_by_role("button", name="No").click()
    expect(addition.get_by_role("button", name="Purge")).to_be_visible()
    expect(addition).to_contain_text("5 ready")

    addition.get_by_role("button", name="Purge").click()
    addition.get_by_role("button", name="Yes").click()
    expect(addition).to_contain_text("0 ready", timeout=10 * SECONDS)
    expect(row(page, "fibonacci")).to_contain_text("8 ready")


def test_figures_move_by_themselves_and_rows_stand_in_the_order_of_their_names(open_cells):
    page: Page = open_cells(QUEUES, MONITOR, MORE)
    expect(row(page, "addition")).to_contain_text("8 ready", timeout=60 * SECONDS)
    expect(row(page, "fibonacci")).to_contain_text("4 unacked")
    expect(row(page, "callback queue of AddClient")).to_contain_text("1 consumer", timeout=10 * SECONDS)
    names = ["<b>bold</b>", "addition", "callback queue of AddClient", "fibonacci"]
    tops = [row(page, name).bounding_box()["y"] for name in names]
    assert tops == sorted(tops)


def test_the_monitor_can_be_read_in_both_themes(theme, open_cells, screenshot):
    page: Page = open_cells(QUEUES, MONITOR, MORE, "monitor.purge('nonsense')")
    page.set_viewport_size({"width": 1280, "height": 720})
    expect(row(page, "addition")).to_contain_text("8 ready", timeout=60 * SECONDS)
    expect(page.locator(".rpclab-card")).to_contain_text("purge nonsense: There is no queue")
    expect(page.locator("body")).to_have_attribute("data-jp-theme-name", f"JupyterLab {theme.title()}")
    button = row(page, "addition").get_by_role("button", name="Purge")
    assert button.bounding_box()["y"] < row(page, "callback queue of AddClient").bounding_box()["y"]
    row(page, "fibonacci").get_by_role("button", name="Purge").click()
    page.wait_for_function("document.querySelector('.rpclab-spark path').getBBox().width > 30", timeout=30 * SECONDS)
    page.locator(".rpclab-card").scroll_into_view_if_needed()
    screenshot(f"queue_monitor_{theme}")
