"""The board of worker processes on the screen: real clicks on real processes."""

from __future__ import annotations

import re

from playwright.sync_api import Locator, Page, expect

SERVERS = """
import rpclab, time

lab = rpclab.Lab("browser-board")

class Slow(rpclab.RpcServer):
    def __init__(self):
        super().__init__("slow")

    def handle(self, body):
        print("took", body, flush=True)
        time.sleep(float(body))
        return "done"

workers = rpclab.Workers(Slow, count=2)
client = rpclab.RpcClient("slow", timeout=120)
"""
BOARD = "board = rpclab.WorkerBoard(workers); board"
REQUEST = "future = client.submit('3')"


def worker(page: Page, name: str) -> Locator:
    return page.locator(".rpclab-pane tbody tr", has_text=name)


def test_kill_9_is_a_click_and_the_request_goes_to_the_other_process(open_cells, screenshot):
    page: Page = open_cells(SERVERS, BOARD, REQUEST)
    page.set_viewport_size({"width": 1280, "height": 720})
    expect(page.locator(".rpclab-pane tbody tr")).to_have_count(2)

    first = page.locator(".rpclab-pane tbody tr", has_text="working on request 1").first
    expect(first).to_be_visible()
    name = re.search(r"Slow-\d", first.text_content()).group()
    other = "Slow-1" if name == "Slow-0" else "Slow-0"
    first.get_by_role("button", name="kill -9").click()

    expect(worker(page, name)).to_contain_text("dead")
    expect(worker(page, name).get_by_role("button")).to_have_count(0)
    expect(worker(page, other)).to_contain_text("working on request 1")
    expect(worker(page, other).locator("td").nth(3)).to_have_text("1")
    worker(page, name).scroll_into_view_if_needed()
    screenshot("worker_board_killed")
    expect(worker(page, other)).to_contain_text("idle")
    expect(worker(page, other).locator("td").nth(2)).to_have_text("1")


def test_processes_are_added_paused_resumed_and_stopped_with_clicks(open_cells):
    page: Page = open_cells(SERVERS, BOARD)
    expect(page.locator(".rpclab-pane tbody tr")).to_have_count(2)

    page.get_by_role("button", name="+ 1 Slow").click()
    expect(worker(page, "Slow-2")).to_contain_text("idle")

    worker(page, "Slow-2").get_by_role("button", name="pause").click()
    expect(worker(page, "Slow-2")).to_contain_text("paused")
    worker(page, "Slow-2").get_by_role("button", name="resume").click()
    expect(worker(page, "Slow-2")).to_contain_text("idle")

    worker(page, "Slow-2").get_by_role("button", name="stop: Ask").click()
    expect(worker(page, "Slow-2")).to_contain_text("stopped")


def test_every_state_can_be_read_in_both_themes(themes, open_cells, screenshot):
    page: Page = open_cells(
        SERVERS.replace("count=2", "count=6"), BOARD,
        "[client.submit('60') for _ in range(3)]",
        "workers.wait_for_lines('took', 3); busy = [each.name for each in workers if 'took' in str(each.log)]",
        "board.pause(busy[0]); board.kill(busy[1])",
        "workers.wait_for_lines('took', 4); idle = [each.name for each in workers if 'took' not in str(each.log)]",
        "board.stop(idle[0]); board.pause(idle[1]); board.add(); board.wait(); board.pause(busy[1])",
    )
    page.set_viewport_size({"width": 1280, "height": 720})
    for state in ("working on", "paused, holds request", "stopped", "dead", "idle"):
        expect(page.locator(".rpclab-pane tbody tr", has_text=state).first).to_be_visible()
    expect(page.locator(".rpclab-pane")).to_contain_text("there is nothing to pause")
    page.locator(".rpclab-pane").first.scroll_into_view_if_needed()
    for theme in themes():
        assert page.locator(".rpclab-pane").bounding_box()["height"] <= 260
        screenshot(f"worker_board_{theme}")
