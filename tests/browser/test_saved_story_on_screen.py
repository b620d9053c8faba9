"""A story that left the notebook: one file in a browser without a network, and a player in a notebook's output."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from seen import CROSSINGS, OVERFLOWING

from rpclab import Story

HOSTILE = "</script><img src=x onerror=alert(1)>"
# What gets a click in the middle of a message on its way.
UNDER_A_MOVING_CHIP = """(forward) => {
    forward.click();
    const chip = forward.closest(".rpclab-flow").querySelector(".moving > .chip");
    for (const animation of chip.getAnimations()) {
        animation.pause();
        animation.currentTime = 200;
    }
    const { left, right, top, bottom } = chip.getBoundingClientRect();
    return document.elementFromPoint((left + right) / 2, (top + bottom) / 2).className;
}"""
OPEN = """
import rpclab
lab = rpclab.Lab("browser-player")
workers = rpclab.Workers(rpclab.AdditionServer, count=1)
with lab.record() as story, rpclab.AddClient() as client:
    client.call(3, 5)
"""


def message(number: int, body: str, **more) -> dict:
    step = {"order": number, "what": "published", "who": HOSTILE, "queue": HOSTILE, "redelivered": False, "link": 1,
            "pid": None, "cause": "", "time": number / 10}
    return {
        "number": number, "name": f"message {number}", "kind": "message", "publisher": HOSTILE, "exchange": "",
        "routing_key": HOSTILE, "size": len(body), "mandatory": False, "returned": "", "dead_lettered": "",
        "confirmed": False, "time": number / 10, "body": body, "properties": {"message_id": HOSTILE},
        "queues": [HOSTILE], "removed": [], "request": None, "repeats": None, "deliveries": [], "steps": [step], **more,
    }


@pytest.fixture(params=["light", "dark"])
def saved(browser: Browser, request, tmp_path):
    """Return a function that opens a saved story without a network; nothing may go wrong, and nothing be asked for."""
    context = browser.new_context(viewport={"width": 1280, "height": 720}, color_scheme=request.param, offline=True)
    page, said, asked = context.new_page(), [], []
    page.on("console", lambda one: said.append(one.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("dialog", lambda dialog: (said.append(dialog.message), dialog.dismiss()))
    page.on("request", lambda one: asked.append(one.url))

    def opened(story: Story, **options) -> Page:
        path: Path = story.save(tmp_path / "why.html", **options)
        page.goto(path.as_uri())
        return page

    yield opened
    assert said == []
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
    assert len(asked) == 1
    context.close()


def test_at_each_step_the_messages_without_room_are_counted(saved):
    written = {"format": "rpclab story", "version": 1, "length": 1.0, "queues": {},
               "messages": [message(number, "work") for number in range(1, 9)]}
    player = saved(Story.from_json(json.dumps(written))).locator(".rpclab-flow")
    chips = player.locator(".box.queue .chips")
    for number in range(1, 9):
        player.get_by_role("button", name="One step forward").click()
        expect(player.locator(".timeline")).to_contain_text(f"step {number} of 8")
        left = number - chips.locator(".chip:not([hidden])").count()
        expect(chips.locator(".more:visible")).to_have_text([f"+ {left}"] if left else [])
    assert left > 0


def test_a_message_on_its_way_takes_no_click_from_what_it_passes(saved):
    written = {"format": "rpclab story", "version": 1, "length": 1.0, "queues": {}, "messages": [message(1, "work")]}
    forward = saved(Story.from_json(json.dumps(written))).get_by_role("button", name="One step forward")
    under = forward.evaluate(UNDER_A_MOVING_CHIP)
    assert "moving" not in under.split()


def test_the_file_plays_and_hostile_names_are_text(saved, request):
    written = {"format": "rpclab story", "version": 1, "length": 1.0, "queues": {HOSTILE: HOSTILE},
               "messages": [message(number, f"{HOSTILE} {number}") for number in (1, 2, 3)]}
    story = Story.from_json(json.dumps(written))
    page = saved(story)
    player = page.locator(".rpclab-flow")
    expect(player.locator(".box.queue .name")).to_have_text(HOSTILE)
    for number in (1, 2, 3):
        player.get_by_role("button", name="One step forward").click()
        expect(player.locator(".timeline")).to_contain_text(f"step {number} of 3")
    expect(player.locator(".box.queue")).to_contain_text("3 ready")
    player.locator(".chips .chip:visible").first.click()
    expect(player.locator(".content.message")).to_contain_text(HOSTILE)
    assert page.locator("img").count() == 0
    assert player.evaluate(OVERFLOWING) == []
    assert player.evaluate(CROSSINGS) == []
    page.screenshot(path=Path(__file__).parent / "screenshots" / f"saved_{request.node.callspec.id}.png")


@pytest.mark.usefixtures("complaints")
def test_a_player_in_a_notebook_needs_no_kernel(open_cells, page: Page, screenshot):
    open_cells(OPEN, "story.player()")
    player = page.locator(".rpclab-player .rpclab-flow")
    expect(player.locator(".box.worker")).to_be_visible()
    page.get_by_role("menuitem", name="Kernel", exact=True).click()
    page.get_by_text("Shut Down Kernel", exact=True).click()
    expect(page.get_by_text("No Kernel", exact=True)).to_be_visible()
    for _ in range(3):
        player.get_by_role("button", name="One step forward").click()
    expect(player.locator(".timeline")).to_contain_text("step 3 of 5: reply to request 1: published by Addition")
    expect(player.locator(".box.queue").nth(1).locator(".chips .chip")).to_have_text("= 8")
    player.get_by_role("button", name="Messages").click()
    player.get_by_role("button", name="reply to request 1", exact=True).click()
    expect(player.locator(".content.message")).to_contain_text("correlation id")
    screenshot("player_in_a_notebook")
