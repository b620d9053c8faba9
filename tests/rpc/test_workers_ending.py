"""How processes that run servers end, and what happens to their work."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

import pytest
from waiting import ended, until

from rpclab import RpcClient, RpcServer, Workers

PARENT = """
import sys
import rpclab


class Echo(rpclab.RpcServer):
    def __init__(self):
        super().__init__("echo")

    def handle(self, body):
        return body


if __name__ == "__main__":
    workers = rpclab.Workers(Echo, count=2)
    print(*workers.pids, flush=True)
    sys.stdin.read()
"""


class Echo(RpcServer):
    """Answers with what it was asked."""

    def __init__(self):
        super().__init__("echo")

    def handle(self, body: str) -> str:
        return body


class Many(Echo):
    """Takes many requests at a time."""

    def __init__(self):
        RpcServer.__init__(self, "echo", prefetch=50)


class Stuck(Echo):
    """Takes a request and never finishes it."""

    def handle(self, body: str) -> str:
        print("took it", flush=True)
        threading.Event().wait()


class Waiting(Echo):
    """Works on a request until something is written into the named pipe that the request names."""

    def handle(self, body: str) -> str:
        print("working", flush=True)
        with open(body) as pipe:
            return pipe.read()


def deliveries(lab) -> list[tuple[str, bool]]:
    taken = [event for event in list(lab.tap.events) if event.name == "Basic.Deliver" and event.method.redelivered]
    return [(event.link.name, event.method.redelivered) for event in taken]


def test_what_a_killed_process_was_working_on_is_done_by_another(lab):
    with Workers(Stuck, count=1) as stuck, RpcClient("echo") as client:
        future = client.submit("hello", timeout=60)
        stuck.wait_for_lines("took it")
        with Workers(Echo, count=1):
            stuck.kill(0)
            assert (stuck[0].state, stuck[0].exitcode) == ("dead", -signal.SIGKILL)
            assert stuck.pids == []
            assert future.result(60) == "hello"
            assert future.worker == "Echo-0"
            assert deliveries(lab) == [("Echo-0", True)]


def test_a_killed_process_can_be_replaced(lab):
    with Workers(Echo, count=1) as echo, RpcClient("echo") as client:
        echo.kill(0)
        echo.scale(1)
        assert client.call("hello") == "hello"
        assert [row["state"] for row in echo.table()] == ["dead", "running"]
        assert echo.names == ["Echo-0", "Echo-1"]


def test_a_process_that_is_told_to_stop_answers_first_what_it_has_taken(lab, tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with Workers(Waiting, count=1) as waiting, RpcClient("echo") as client:
        future = client.submit(str(pipe), timeout=60)
        waiting.wait_for_lines("working")
        waiting[0].terminate()
        pipe.write_text("done all the same")
        assert future.result(60) == "done all the same"
        waiting.stop()
        assert (waiting[0].state, waiting[0].exitcode) == ("stopped", 0)
        lab.wait_for("echo", ready=0, unacked=0, consumers=0)


def test_a_process_that_is_told_to_stop_under_load_hands_back_what_it_has_not_begun(lab):
    with Workers(Many, count=2) as many, RpcClient("echo") as client:
        futures = [client.submit(str(number), timeout=60) for number in range(2000)]
        futures[100].result(60)
        many[0].terminate()
        assert [future.result(60) for future in futures] == [str(number) for number in range(2000)]
        many[0].join(60)
        assert (many[0].state, many[0].exitcode) == ("stopped", 0)
        assert client.stats.duplicate == 0


def test_a_process_that_does_not_stop_in_time_is_killed_and_its_message_kept(lab, monkeypatch):
    monkeypatch.setattr("rpclab.rpc.workers.STOP_SECONDS", 0.3)
    with Workers(Stuck, count=1) as stuck, RpcClient("echo") as client:
        client.submit("hello", timeout=60)
        stuck.wait_for_lines("took it")
        stuck.stop()
        assert stuck[0].exitcode == -signal.SIGKILL
        lab.wait_for("echo", ready=1, unacked=0, consumers=0)


def test_stopping_twice_does_nothing_more(lab):
    with Workers(Echo, count=1) as echo:
        echo.stop()
        echo.stop()
        assert (echo[0].state, echo[0].exitcode) == ("stopped", 0)
    assert ended(echo[0].pid)


def test_processes_that_are_told_to_stop_as_soon_as_they_consume_do_so_in_good_order(lab):
    with Workers(Echo, count=4) as echo:
        echo.stop()
        assert [worker.exitcode for worker in echo] == [0] * 4


def test_a_server_that_was_told_to_stop_before_it_started_comes_to_an_end(lab):
    server = RpcServer("echo", str)
    server.stop()
    running = threading.Thread(target=server.start, daemon=True)
    running.start()
    running.join(60)
    assert not running.is_alive()


def test_an_interrupted_cell_leaves_the_workers_alone(lab):
    with Workers(Echo, count=1) as echo, RpcClient("echo") as client:
        before = echo.pids
        os.kill(before[0], signal.SIGINT)
        assert client.call("hello") == "hello"
        assert echo.pids == before


def let_it_come_to_its_end(process: subprocess.Popen) -> None:
    process.stdin.close()


@pytest.mark.parametrize("end", [subprocess.Popen.kill, subprocess.Popen.terminate, let_it_come_to_its_end])
def test_no_worker_survives_the_program_that_started_it(lab, tmp_path, end):
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    command = [sys.executable, str(script)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(pids) == 2
        assert not any(map(ended, pids))
        end(parent)
        parent.wait()
    until(lambda: all(map(ended, pids)))


def test_a_worker_whose_connection_breaks_comes_back(lab):
    with Workers(Echo, count=1) as echo, RpcClient("echo") as client:
        assert client.call("one") == "one"
        lab.tap.cut("Echo-0")
        echo.wait_for_lines("started on queue 'echo'", count=2)
        assert client.call("two") == "two"
        assert echo[0].state == "running"


def test_workers_end_when_their_lab_is_closed_before_them(lab):
    echo = Workers(Echo, count=1)
    try:
        lab.close()
    finally:
        echo.stop()
    assert ended(echo[0].pid)
