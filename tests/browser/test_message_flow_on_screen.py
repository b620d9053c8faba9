"""The picture of messages on their way, as somebody sees it who looks at it, clicks in it, or has it read out."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect
from seen import CROSSINGS, OVERFLOWING

pytestmark = pytest.mark.usefixtures("complaints")
WINDOWS = (1280, 720), (1920, 1080)
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


def flow_of(page: Page, position: int = 0) -> Locator:
    return page.locator(".rpclab-flow").nth(position)


def opened(name: str) -> str:
    return OPEN.format(name=f"browser-{name}")


def held(gate: Path) -> str:
    return HELD.format(gate=str(gate))


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
    expect(flow.locator(".box.worker")).to_have_count(2)
    expect(flow.locator(".box.worker.unacked")).to_have_count(2)
    expect(flow.locator(".box.queue").first).to_contain_text("2 ready · 2 unacked")
    expect(flow.locator(".chips button.chip:visible")).to_have_count(4)
    flow.scroll_into_view_if_needed()
    screenshot("message_flow_held")

    Path(f"{gate}.kill").touch()
    expect(flow.locator(".box.worker.gone")).to_have_count(1)
    back = flow.locator(".chips button.chip.back:visible")
    expect(back).to_have_text(re.compile("↻"))
    screenshot("message_flow_killed")

    gate.touch()
    expect(flow.locator(".totals")).to_have_text(
        re.compile(r"8 published, 9 delivered, 8 acked, 4 replies, 1 redelivered")
    )
    expect(flow.locator(".chips .chip:visible")).to_have_count(0)
    screenshot("message_flow_done")


def test_a_click_and_the_keyboard_show_properties_and_story(open_cells, gate, screenshot):
    page: Page = open_cells(
        opened("flow-click"), held(gate),
        "answer = client.submit('abc')\nflow.wait(delivered=1)\nprint(answer.correlation_id)",
    )
    identifier = page.locator(".jp-OutputArea-output").filter(has_text=re.compile(r"^[0-9a-f-]{36}\s*$"))
    expect(identifier).to_be_visible()
    flow = flow_of(page)
    chip = flow.get_by_role("button", name=re.compile("request 1, abc, unacked at Held-"))
    chip.click()
    details = flow.locator(".content.message")
    expect(details).to_contain_text(identifier.inner_text().strip())
    expect(details).to_contain_text(re.compile(r"\+0\.0 ms\s+published by RpcClient to work"))
    expect(details).to_contain_text(re.compile(r"delivered from work to Held-\d"))
    screenshot("message_flow_details")

    gate.touch()
    expect(flow.locator(".totals")).to_contain_text("2 acked")
    flow.get_by_role("button", name="Messages").click()
    reply = flow.get_by_role("button", name="reply to request 1")
    reply.focus()
    page.keyboard.press("Enter")
    expect(details.locator("h3")).to_have_text("reply to request 1")
    expect(details).to_contain_text("callback queue of RpcClient")
    expect(details).to_contain_text(re.compile("worker=Held-"))


def test_what_was_sent_is_shown_as_text_and_never_run(open_cells, screenshot):
    page: Page = open_cells(
        opened("flow-hostile"),
        f"connection = lab.connect({HOSTILE!r})\nchannel = connection.channel()\n"
        f"channel.queue_declare({HOSTILE!r}, durable=True)\n"
        f"channel.basic_publish('', {HOSTILE!r}, {HOSTILE!r}, pika.BasicProperties(message_id={HOSTILE!r}))\n"
        "flow.wait(published=1)\nprint(flow.select('message 1'))",
    )
    flow = flow_of(page)
    expect(flow.locator(".content.message")).to_contain_text(HOSTILE)
    expect(flow.locator(".box.queue .name")).to_have_text(HOSTILE)
    expect(flow.locator(".chips button.chip:visible")).to_contain_text("• <img sr")
    assert flow.locator("img, script").count() == 0
    flow.scroll_into_view_if_needed()
    screenshot("message_flow_hostile")


def test_a_returned_message_says_so_before_it_goes(open_cells):
    page: Page = open_cells(
        opened("flow-returned"),
        "channel = lab.connect('tester').channel()\nchannel.basic_publish('', 'nowhere', 'lost', mandatory=True)",
    )
    flow = flow_of(page)
    expect(flow.locator(".chip.moving.bad")).to_contain_text("returned")
    expect(flow.locator(".chips .chip, .moving .chip")).to_have_count(0)
    expect(flow.locator(".totals")).to_contain_text("1 returned")
    expect(flow.locator(".box.queue")).to_contain_text("not declared in sight")


def test_it_is_legible_in_both_themes(themes, open_cells, gate, page, screenshot):
    open_cells(
        opened("flow-themes"), held(gate),
        "for body in ['3,5', '20,22', '1,1', '7,8', '100,200']: client.send(body, reply_to='sums_callback')\n"
        "taker = rpclab.Workers(rpclab.CallbackWorker, 'sums_callback', count=1, name='Taker')\n"
        "flow.wait(delivered=2)\n_ = flow.select('request 1')",
    )
    flow = flow_of(page)
    expect(flow.locator(".group", has_text="Taker").locator(".box.callback")).to_be_visible()
    expect(flow.locator(".chips button.chip:visible").first).to_be_visible()
    flow.scroll_into_view_if_needed()
    for theme in themes():
        for width, height in WINDOWS:
            page.set_viewport_size({"width": width, "height": height})
            expect(flow.locator(".picture")).to_be_visible()
            screenshot(f"message_flow_{theme}_{width}")
        ink, paper = flow.locator(".box .name").first.evaluate(
            "node => [getComputedStyle(node).color, getComputedStyle(node.closest('.rpclab-flow')).backgroundColor]"
        )
        assert _contrast(ink, paper) > 4.5


def test_no_text_is_clipped_and_none_is_small(open_cells, page, screenshot):
    open_cells(
        opened("flow-text"),
        f"connection = lab.connect({LONG!r})\n"
        "channel = connection.channel()\n"
        "channel.exchange_declare('events', 'fanout')\n"
        "for queue in ['mail', 'log', 'a queue with a name that is much too long for its box as well']:\n"
        "    channel.queue_declare(queue, durable=True); channel.queue_bind(queue, 'events')\n"
        "for number in range(12): channel.basic_publish('events', '', str(number))\n"
        "flow.wait(published=12); channel.basic_get('mail'); flow.wait(delivered=1)\nprint('published')",
    )
    flow = flow_of(page)
    expect(flow.locator(".box.queue")).to_have_count(3)
    expect(flow.locator(".box.queue").filter(has_text="mail")).to_contain_text("11 ready · 1 unacked")
    expect(flow.locator(".box.queue .more").first).to_contain_text("+ ")
    expect(flow.locator(".box.client .name").first).to_have_text(LONG)
    for width, height in WINDOWS:
        page.set_viewport_size({"width": width, "height": height})
        flow.scroll_into_view_if_needed()
        screenshot(f"message_flow_{width}")
        assert flow.evaluate(OVERFLOWING) == []
        assert flow.evaluate(CROSSINGS) == []
        smallest = flow.evaluate(
            """flow => Math.min(...[...flow.querySelectorAll('.picture span')]
                .filter(one => one.offsetHeight && one.textContent)
                .map(one => parseFloat(getComputedStyle(one).fontSize) * one.getBoundingClientRect().height /
                    one.offsetHeight))"""
        )
        assert smallest >= 11


def test_a_burst_ends_with_exact_totals_and_an_idle_browser(open_cells, page, screenshot):
    open_cells(
        opened("flow-burst"),
        "workers = rpclab.Workers(rpclab.AdditionServer, count=2)\nclient = rpclab.AddClient(timeout=120)\n"
        "futures = [client.submit(number, number) for number in range(1000)]\n"
        "print(sum(future.result() for future in futures))",
    )
    flow = flow_of(page)
    expect(flow.locator(".chip.many").first).to_be_attached()
    flow.scroll_into_view_if_needed()
    screenshot("message_flow_burst")
    expect(flow.locator(".totals")).to_have_text("2,000 published, 2,000 delivered, 2,000 acked, 1,000 replies")
    expect(flow.locator(".chips .chip:visible")).to_have_count(0)
    expect(flow.locator(".box.client").first).to_contain_text("1,000 acked")
    page.wait_for_function("() => !document.getAnimations().some(one => one.effect.target.closest?.('.rpclab-flow'))")


def test_it_is_wound_back_step_by_step_and_plays_again(open_cells):
    page: Page = open_cells(
        opened("flow-time"),
        "workers = rpclab.Workers(rpclab.AdditionServer, count=1)\nclient = rpclab.AddClient()\nclient.call(3, 5)",
    )
    flow, line = flow_of(page), flow_of(page).locator(".timeline")
    expect(flow.locator(".totals")).to_contain_text("2 acked, 1 reply")
    for number in (4, 3):
        line.get_by_role("button", name="One step back").click()
        expect(line).to_contain_text(f"step {number} of 5")
    expect(flow.locator(".box.queue").nth(1).locator(".chips .chip")).to_have_text("= 8")
    expect(flow.locator(".box.worker .chips .chip")).to_have_text("? 3,5")
    line.get_by_role("slider").fill("1")
    expect(line).to_contain_text("step 1 of 5: request 1: published by AddClient to addition")
    expect(flow.locator(".box.queue").first.locator(".chips .chip")).to_have_text("? 3,5")
    flow.locator(".chips .chip").click()
    # Whether the server's acknowledgement or the reply's delivery comes first is chance, and either may be step 4.
    flow.locator(".content.message").get_by_role("button", name="delivered").first.click()
    expect(line).to_contain_text("step 2 of 5")
    line.get_by_role("button", name="Go on from here").click()
    expect(line).to_contain_text("step 5 of 5")
    expect(line).to_have_class(re.compile("past"))
    line.get_by_role("button", name="Show what happens now").click()
    expect(line).not_to_have_class(re.compile("past"))


def test_two_views_show_the_same_and_closing_says_so(open_cells, gate):
    page: Page = open_cells(
        opened("flow-two"), held(gate), "answer = client.submit('abc')\nflow.wait(delivered=1)\nflow",
        "other = rpclab.MessageFlow()\nother", "print('all shown')",
        f"while not pathlib.Path({str(gate)!r}).exists(): time.sleep(0.02)\nflow.close(); print('closed')",
    )
    expect(page.locator(".rpclab-flow")).to_have_count(3)
    for position in range(3):
        chip = flow_of(page, position).locator(".chips button.chip:visible")
        expect(chip).to_have_text("? abc")
    gate.touch()
    for position, text in enumerate(["Closed: the picture is as it was.", "Closed: the picture is as it was.", ""]):
        expect(flow_of(page, position).locator(".status")).to_have_text(text)
    expect(flow_of(page, 2).locator(".totals")).to_contain_text("2 acked")


def test_it_comes_up_again_when_the_kernel_is_restarted_and_all_is_run(open_cells):
    page: Page = open_cells(
        opened("flow-again"),
        "workers = rpclab.Workers(rpclab.AdditionServer, count=1)\nclient = rpclab.AddClient()",
        "print(client.call(3, 5), 'for process', os.getpid())",
    )
    answer = page.locator(".jp-OutputArea-output").filter(has_text="for process")
    expect(answer).to_be_visible()
    first = answer.inner_text()
    page.get_by_role("menuitem", name="Kernel", exact=True).click()
    page.get_by_text(re.compile("Restart Kernel and Run All Cells")).click()
    page.get_by_role("button", name="Confirm Kernel Restart").click()
    expect(answer).not_to_have_text(first)
    expect(answer).to_be_visible()
    expect(flow_of(page).locator(".totals")).to_have_text(
        "2 published, 2 delivered, 2 acked, 1 reply"
    )
    expect(page.locator(".rpclab-flow")).to_have_count(1)


def test_without_animation_only_what_rests_is_shown(open_cells, page):
    page.emulate_media(reduced_motion="reduce")
    open_cells(
        opened("flow-still"),
        "workers = rpclab.Workers(rpclab.AdditionServer, count=1)\nclient = rpclab.AddClient()\nclient.call(3, 5)",
    )
    flow = flow_of(page)
    expect(flow.locator(".totals")).to_contain_text("2 acked, 1 reply")
    expect(flow.locator(".moving .chip")).to_have_count(0)


def _contrast(ink: str, paper: str) -> float:
    """Return the contrast of two colours as WCAG defines it."""

    def luminance(colour: str) -> float:
        parts = [float(part) / 255 for part in re.findall(r"[\d.]+", colour)[:3]]
        linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    light, dark = sorted((luminance(ink), luminance(paper)), reverse=True)
    return (light + 0.05) / (dark + 0.05)
