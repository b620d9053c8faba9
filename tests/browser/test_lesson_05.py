from __future__ import annotations

import re

from playwright.sync_api import Page, expect

SECONDS = 1_000


def test_a_click_on_the_panel_of_lesson_05_is_answered_on_the_screen(open_notebook, screenshot):
    page: Page = open_notebook("05_callback_queues.ipynb")
    panel = page.locator(".rpclab-card", has_text="Requests to queue")
    # The lesson itself fires two requests, one of which the service cannot read.
    expect(panel).to_contain_text("2 fired: 1 answered, 1 failed.", timeout=60 * SECONDS)

    panel.get_by_label("x", exact=True).fill("40")
    panel.get_by_label("y", exact=True).fill("2")
    panel.get_by_role("button", name="Fire").click()

    row = panel.locator("tbody tr").first
    answered = re.compile(r"3\s*40, 2\s*✓ answered\s*42\s*AdditionServer-0\s*[\d.]+ ms")
    expect(row).to_have_text(answered, timeout=10 * SECONDS)
    panel.scroll_into_view_if_needed()
    screenshot("request_panel")


def test_the_feed_of_lesson_05_names_the_processes(open_notebook, screenshot):
    page: Page = open_notebook("05_callback_queues.ipynb")
    feed = page.locator(".rpclab-card", has_text="Messages on callback queue")
    expect(feed).to_contain_text("3 arrived.", timeout=60 * SECONDS)
    expect(feed.locator("tbody tr").first).to_contain_text("AdditionCallbackWorker-0")
    expect(feed.locator("tbody tr").first).to_contain_text("✓ acknowledged")
    feed.scroll_into_view_if_needed()
    screenshot("callback_feed")
