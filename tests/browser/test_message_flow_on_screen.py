"""The picture of messages on their way, as somebody sees it who looks at it, clicks in it, or has it read out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

SECONDS = 1_000
LONG = "a publisher with a name that is much too long for its box"
HOSTILE = "<img src=x onerror=alert(1)>"

OPEN = """
import os, signal, time, pathlib, pika, rpclab
lab = rpclab.Lab("{name}")
flow = rpclab.MessageFlow()
flow
"""
# A worker that holds what it got until a file appears.
HELD = """
class Held(rpclab.RpcServer):
    def __init__(self):
        super().__init__("work")

    def handle(self, body):
        while not pathlib.Path({gate!r}).exists():
            time.sleep(0.02)
        return body.upper()

workers = rpclab.Workers(Held, count=2)
client = rpclab.RpcClient("work", timeout=600)
"""


@pytest.fixture
def gate(tmp_path) -> Path:
    """A file that lets the held workers go on, once it is there."""
    return tmp_path / "go"


@pytest.fixture
def complaints(page: Page) -> Iterator[list[str]]:
    """What the page's scripts say went wrong, as far as it concerns this widget; there must be nothing."""
    said: list[str] = []
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("dialog", lambda dialog: (said.append(dialog.message), dialog.dismiss()))
    page.on("console", lambda message: said.append(message.text) if "flow" in message.text and
            message.type == "error" else None)
    yield said
    assert said == []


def flow_of(page: Page, position: int = 0) -> Locator:
    return page.locator(".rpclab-flow").nth(position)


def opened(name: str) -> str:
    return OPEN.format(name=f"browser-{name}")


def held(gate: Path) -> str:
    return HELD.format(gate=str(gate))


@pytest.mark.usefixtures("complaints")
def test_requests_wait_are_held_and_come_again_when_their_worker_is_killed(open_cells, gate, screenshot):
    page: Page = open_cells(
        opened("flow-kill"), held(gate),
        "answers = [client.submit(body) for body in ['one', 'two', 'three', 'four']]\n"
        "flow.wait(delivered=2)\nprint('held')",
        f"while not pathlib.Path({str(gate) + '.kill'!r}).exists(): time.sleep(0.02)\n"
        "os.kill(workers[0].pid, signal.SIGKILL)\nflow.wait(published=4); print('killed')",
        f"while not pathlib.Path({str(gate)!r}).exists(): time.sleep(0.02)\n"
        "print([answer.result() for answer in answers])",
    )
    flow = flow_of(page)
    expect(flow.locator(".box.worker")).to_have_count(2, timeout=60 * SECONDS)
    expect(flow.locator(".box.worker").first).to_contain_text("1 unacked", timeout=30 * SECONDS)
    expect(flow.locator(".box.queue").first).to_contain_text("2 waiting · 2 unacked")
    expect(flow.locator("g.chip[role=button]:visible")).to_have_count(4, timeout=10 * SECONDS)
    flow.scroll_into_view_if_needed()
    screenshot("message_flow_held")

    Path(f"{gate}.kill").touch()
    expect(flow.locator(".box.worker.gone")).to_have_count(1, timeout=20 * SECONDS)
    back = flow.locator("g.chip.back[role=button]:visible")
    expect(back).to_have_text(re.compile("↻"), timeout=10 * SECONDS)
    screenshot("message_flow_killed")

    gate.touch()
    expect(flow.locator(".rpclab-flow-totals")).to_have_text(
        re.compile(r"8 published, 9 delivered, 8 acked, 4 replies, 1 redelivered"), timeout=30 * SECONDS
    )
    expect(flow.locator("g.chip")).to_have_count(0, timeout=10 * SECONDS)
    screenshot("message_flow_done")


@pytest.mark.usefixtures("complaints")
def test_a_click_and_the_keyboard_show_properties_and_story(open_cells, gate, screenshot):
    page: Page = open_cells(
        opened("flow-click"), held(gate),
        "answer = client.submit('abc')\nflow.wait(delivered=1)\nprint(answer.correlation_id)",
    )
    identifier = page.locator(".jp-OutputArea-output").filter(has_text=re.compile(r"^[0-9a-f-]{36}\s*$"))
    expect(identifier).to_be_visible(timeout=60 * SECONDS)
    flow = flow_of(page)
    chip = flow.get_by_role("button", name=re.compile("request 1, abc, unacked at Held-"))
    chip.click(timeout=20 * SECONDS)
    details = flow.locator(".rpclab-flow-details")
    expect(details).to_contain_text(identifier.inner_text().strip())
    expect(details).to_contain_text(re.compile(r"\+0\.0 ms\s+published by RpcClient to work"))
    expect(details).to_contain_text(re.compile(r"delivered from work to Held-\d"))
    screenshot("message_flow_details")

    gate.touch()
    expect(flow.locator(".rpclab-flow-totals")).to_contain_text("2 acked", timeout=20 * SECONDS)
    reply = flow.get_by_role("button", name=re.compile("reply to request 1: ABC"))
    reply.focus()
    page.keyboard.press("Enter")
    expect(details.locator("h3")).to_have_text("reply to request 1")
    expect(details).to_contain_text("callback queue of RpcClient")
    expect(details).to_contain_text(re.compile("worker=Held-"))


def test_what_was_sent_is_shown_as_text_and_never_run(open_cells, complaints, screenshot):
    page: Page = open_cells(
        opened("flow-hostile"),
        f"connection = lab.connect({HOSTILE!r})\nchannel = connection.channel()\n"
        f"channel.queue_declare({HOSTILE!r}, durable=True)\n"
        f"channel.basic_publish('', {HOSTILE!r}, {HOSTILE!r}, pika.BasicProperties(message_id={HOSTILE!r}))\n"
        "flow.wait(published=1)\nprint(flow.select('message 1'))",
    )
    flow = flow_of(page)
    expect(flow.locator(".rpclab-flow-details")).to_contain_text(HOSTILE, timeout=60 * SECONDS)
    expect(flow.locator(".box.queue .name")).to_have_text(HOSTILE)
    expect(flow.locator("g.chip[role=button]:visible")).to_contain_text("• <img sr")
    assert flow.locator("img, script").count() == 0
    flow.scroll_into_view_if_needed()
    screenshot("message_flow_hostile")


@pytest.mark.usefixtures("complaints")
def test_a_returned_message_says_so_before_it_goes(open_cells):
    page: Page = open_cells(
        opened("flow-returned"),
        "channel = lab.connect('tester').channel()\nchannel.basic_publish('', 'nowhere', 'lost', mandatory=True)",
    )
    flow = flow_of(page)
    expect(flow.locator(".chip.moving.bad")).to_contain_text("returned", timeout=60 * SECONDS)
    expect(flow.locator(".chip")).to_have_count(0, timeout=10 * SECONDS)
    expect(flow.locator(".rpclab-flow-totals")).to_contain_text("1 returned")
    expect(flow.locator(".box.queue")).to_contain_text("not declared in sight")


@pytest.mark.usefixtures("complaints")
def test_it_is_legible_in_both_themes(theme, open_cells, gate, page, screenshot):
    open_cells(
        opened(f"flow-{theme}"), held(gate),
        "for body in ['3,5', '20,22', '1,1', '7,8', '100,200']: client.send(body, reply_to='sums_callback')\n"
        "taker = rpclab.Workers(rpclab.CallbackWorker, 'sums_callback', count=1, name='Taker')\n"
        "flow.wait(delivered=2)\n_ = flow.select('request 1')",
    )
    flow = flow_of(page)
    expect(flow.locator(".box.client").filter(has_text="Taker-0")).to_be_visible(timeout=60 * SECONDS)
    expect(flow.locator("g.chip[role=button]:visible").first).to_be_visible(timeout=10 * SECONDS)
    expect(page.locator("body")).to_have_attribute("data-jp-theme-name", f"JupyterLab {theme.title()}")
    flow.scroll_into_view_if_needed()
    for width, height in ((1280, 720), (1920, 1080)):
        page.set_viewport_size({"width": width, "height": height})
        expect(flow.locator("svg")).to_be_visible()
        screenshot(f"message_flow_{theme}_{width}")
    ink, paper = flow.locator(".box .name").first.evaluate(
        "node => [getComputedStyle(node).fill, getComputedStyle(node.closest('.rpclab-flow')).backgroundColor]"
    )
    assert _contrast(ink, paper) > 4.5


@pytest.mark.parametrize("width", [1280, 1920])
@pytest.mark.usefixtures("complaints")
def test_no_text_is_clipped_and_none_is_small(open_cells, page, width, screenshot):
    page.set_viewport_size({"width": width, "height": 720 if width == 1280 else 1080})
    open_cells(
        opened(f"flow-{width}"),
        f"connection = lab.connect({LONG!r})\n"
        "channel = connection.channel()\n"
        "channel.exchange_declare('events', 'fanout')\n"
        "for queue in ['mail', 'log', 'a queue with a name that is much too long for its box as well']:\n"
        "    channel.queue_declare(queue, durable=True); channel.queue_bind(queue, 'events')\n"
        "for number in range(12): channel.basic_publish('events', '', str(number))\n"
        "flow.wait(published=12); channel.basic_get('mail'); flow.wait(delivered=1)\nprint('published')",
    )
    flow = flow_of(page)
    expect(flow.locator(".box.queue")).to_have_count(3, timeout=60 * SECONDS)
    expect(flow.locator(".box.queue").filter(has_text="mail")).to_contain_text("11 waiting · 1 unacked")
    expect(flow.locator(".box.queue .more").first).to_contain_text("+ ")
    expect(flow.locator(".box.client .name title")).to_have_text(LONG)
    flow.scroll_into_view_if_needed()
    screenshot(f"message_flow_{width}")
    beyond = flow.evaluate(
        """flow => [...flow.querySelectorAll('.box')].flatMap(box => {
            const frame = box.querySelector('.frame').getBoundingClientRect();
            return [...box.querySelectorAll('text')].filter(text => text.textContent &&
                text.getBoundingClientRect().right > frame.right + 1).map(text => text.textContent);
        })"""
    )
    assert beyond == []
    smallest = flow.evaluate(
        """flow => Math.min(...[...flow.querySelectorAll('svg text')].map(text =>
            parseFloat(getComputedStyle(text).fontSize) * text.getScreenCTM().a))"""
    )
    assert smallest >= 13


@pytest.mark.usefixtures("complaints")
def test_a_burst_ends_with_exact_totals_and_an_idle_browser(open_cells, page, screenshot):
    open_cells(
        opened("flow-burst"),
        "workers = rpclab.Workers(rpclab.AdditionServer, count=2)\nclient = rpclab.AddClient(timeout=120)\n"
        "futures = [client.submit(number, number) for number in range(1000)]\n"
        "print(sum(future.result() for future in futures))",
    )
    flow = flow_of(page)
    expect(flow.locator(".chip.many").first).to_be_attached(timeout=60 * SECONDS)
    flow.scroll_into_view_if_needed()
    screenshot("message_flow_burst")
    expect(flow.locator(".rpclab-flow-totals")).to_have_text(
        "2,000 published, 2,000 delivered, 2,000 acked, 1,000 replies", timeout=60 * SECONDS
    )
    expect(flow.locator("g.chip")).to_have_count(0, timeout=20 * SECONDS)
    expect(flow.locator(".box.client").first).to_contain_text("1,000 acked")
    assert page.evaluate("document.getAnimations().filter(a => a.effect.target.closest?.('.rpclab-flow')).length") == 0


@pytest.mark.usefixtures("complaints")
def test_two_views_show_the_same_and_closing_says_so(open_cells, gate):
    page: Page = open_cells(
        opened("flow-two"), held(gate), "answer = client.submit('abc')\nflow.wait(delivered=1)\nflow",
        "other = rpclab.MessageFlow()\nother", "print('all shown')",
        f"while not pathlib.Path({str(gate)!r}).exists(): time.sleep(0.02)\nflow.close(); print('closed')",
    )
    expect(page.locator(".rpclab-flow")).to_have_count(3, timeout=60 * SECONDS)
    for position in range(3):
        chip = flow_of(page, position).locator("g.chip[role=button]:visible")
        expect(chip).to_have_text("? abc", timeout=10 * SECONDS)
    gate.touch()
    for position, text in enumerate(["Closed: the picture is as it was.", "Closed: the picture is as it was.", ""]):
        expect(flow_of(page, position).locator(".rpclab-flow-status")).to_have_text(text, timeout=20 * SECONDS)
    expect(flow_of(page, 2).locator(".rpclab-flow-totals")).to_contain_text("2 acked", timeout=20 * SECONDS)


@pytest.mark.usefixtures("complaints")
def test_it_comes_up_again_when_the_kernel_is_restarted_and_all_is_run(open_cells):
    page: Page = open_cells(
        opened("flow-again"),
        "workers = rpclab.Workers(rpclab.AdditionServer, count=1)\nclient = rpclab.AddClient()",
        "print(client.call(3, 5), 'for process', os.getpid())",
    )
    answer = page.locator(".jp-OutputArea-output").filter(has_text="for process")
    expect(answer).to_be_visible(timeout=60 * SECONDS)
    first = answer.inner_text()
    page.get_by_role("menuitem", name="Kernel", exact=True).click()
    page.get_by_text(re.compile("Restart Kernel and Run All Cells")).click()
    page.get_by_role("button", name="Confirm Kernel Restart").click()
    expect(answer).not_to_have_text(first, timeout=60 * SECONDS)
    expect(answer).to_be_visible(timeout=60 * SECONDS)
    expect(flow_of(page).locator(".rpclab-flow-totals")).to_have_text(
        "2 published, 2 delivered, 2 acked, 1 reply", timeout=20 * SECONDS
    )
    expect(page.locator(".rpclab-flow")).to_have_count(1)


@pytest.mark.usefixtures("complaints")
def test_without_animation_only_what_rests_is_shown(open_cells, page):
    page.emulate_media(reduced_motion="reduce")
    open_cells(
        opened("flow-still"),
        "workers = rpclab.Workers(rpclab.AdditionServer, count=1)\nclient = rpclab.AddClient()\nclient.call(3, 5)",
    )
    flow = flow_of(page)
    expect(flow.locator(".rpclab-flow-totals")).to_contain_text("2 acked, 1 reply", timeout=60 * SECONDS)
    expect(flow.locator(".moving")).to_have_count(0)


def _contrast(ink: str, paper: str) -> float:
    """Return the contrast of two colours as WCAG defines it."""

    def luminance(colour: str) -> float:
        parts = [float(part) / 255 for part in re.findall(r"[\d.]+", colour)[:3]]
        linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    light, dark = sorted((luminance(ink), luminance(paper)), reverse=True)
    return (light + 0.05) / (dark + 0.05)
