from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

SECONDS = 1_000
OPEN = 'import rpclab\nlab = rpclab.Lab("control_room_test")\nroom = rpclab.ControlRoom(lab)\nroom'


@pytest.fixture
def room(open_cells, page: Page) -> Page:
    open_cells(OPEN)
    expect(page.get_by_role("button", name="Start everything")).to_be_visible(timeout=60 * SECONDS)
    return page


def started(page: Page) -> None:
    page.get_by_role("button", name="Start everything").click()
    expect(page.locator(".rpclab-room")).to_contain_text("Everything runs.", timeout=60 * SECONDS)


@pytest.mark.parametrize("size", [(1280, 720), (1920, 1080)], ids=lambda size: f"{size[0]}x{size[1]}")
def test_one_click_starts_everything_and_one_breaks_it(room, screenshot, size):
    room.set_viewport_size({"width": size[0], "height": size[1]})
    started(room)
    room.get_by_role("button", name="Kill a worker at work").click()
    expect(room.locator(".rpclab-room")).to_contain_text("dead", timeout=30 * SECONDS)
    room.locator(".rpclab-room").scroll_into_view_if_needed()
    room.keyboard.press("Control+b")
    screenshot(f"control_room_{size[0]}")
