"""Paused processes: what happens to their work, and how they end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest
from waiting import ended, until

from rpclab import LabError, RpcClient, RpcServer, Workers

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
    workers.pause(0)
    print(*workers.pids, flush=True)
    sys.stdin.read()
"""


class Echo(RpcServer):
    """Answers with what it was asked."""

    def __init__(self):
        super().__init__("echo")

    def handle(self, body: str) -> str:
        return body


class Waiting(Echo):
    """Works on a request until something is written into the named pipe that the request names."""

    def handle(self, body: str) -> str:
        print("working", flush=True)
        with open(body) as pipe:
            return pipe.read()


def test_a_paused_process_keeps_what_it_is_given_and_answers_it_when_it_goes_on(lab):
    with Workers(Echo, count=1) as echo, RpcClient("echo") as client:
        echo.pause(0)
        assert (echo[0].state, echo[0].alive) == ("paused", True)
        future = client.submit("hello", timeout=60)
        lab.wait_for("echo", ready=0, unacked=1, consumers=1)
        assert not future.done()
        echo.resume(0)
        assert echo[0].state == "running"
        assert future.result(60) == "hello"


def test_a_pause_lasts_however_often_it_is_asked_for_and_so_does_its_end(lab):
    with Workers(Echo, count=1) as echo:
        echo.pause(0)
        echo.pause(0)
        assert [row["state"] for row in echo.table()] == ["paused"]
        echo.resume(0)
        echo.resume(0)
        assert [row["state"] for row in echo.table()] == ["running"]


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="this system has no SIGSTOP")
def test_a_pause_from_a_terminal_is_seen_as_well(lab):
    with Workers(Echo, count=1) as echo:
        os.kill(echo[0].pid, signal.SIGSTOP)
        until(lambda: echo[0].state == "paused")
        os.kill(echo[0].pid, signal.SIGCONT)
        until(lambda: echo[0].state == "running")


def test_a_paused_process_that_is_told_to_stop_answers_first_what_it_has_taken(lab, tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with Workers(Waiting, count=1) as waiting, RpcClient("echo") as client:
        future = client.submit(str(pipe), timeout=60)
        waiting.wait_for_lines("working")
        waiting.pause(0)
        waiting[0].terminate()
        pipe.write_text("done all the same")
        assert future.result(60) == "done all the same"
        waiting.stop_one(0)
        assert (waiting[0].state, waiting[0].exitcode) == ("stopped", 0)


def test_a_process_that_was_told_to_stop_is_not_paused_or_it_would_never_end(lab, tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with Workers(Waiting, count=1) as waiting, RpcClient("echo") as client:
        future = client.submit(str(pipe), timeout=60)
        waiting.wait_for_lines("working")
        waiting[0].terminate()
        with pytest.raises(LabError, match="Waiting-0 was asked to stop"):
            waiting.pause(0)
        pipe.write_text("done")
        assert future.result(60) == "done"


def test_a_paused_process_can_be_killed_and_its_request_goes_to_another(lab):
    with Workers(Echo, count=1) as echo, RpcClient("echo") as client:
        echo.pause(0)
        future = client.submit("hello", timeout=60)
        lab.wait_for("echo", unacked=1)
        other = echo.start_one()
        echo.kill(0)
        assert (echo[0].state, echo[0].exitcode) == ("dead", -signal.SIGKILL)
        assert future.result(60) == "hello"
        assert future.worker == other.name


def test_a_process_that_has_ended_is_neither_paused_nor_resumed(lab):
    with Workers(Echo, count=2) as echo:
        echo.kill(0)
        echo.stop_one(1)
        with pytest.raises(LabError, match="Echo-0 is dead: there is nothing to pause"):
            echo.pause(0)
        with pytest.raises(LabError, match="Echo-1 is stopped: there is nothing to resume"):
            echo.resume(1)


def end_at_once(process: subprocess.Popen) -> None:
    process.kill()


def end_in_good_order(process: subprocess.Popen) -> None:
    process.stdin.close()


@pytest.mark.parametrize("end", [end_at_once, end_in_good_order])
def test_a_paused_process_does_not_survive_the_program_that_started_it(lab, tmp_path, end):
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    # In a session of its own, as Jupyter starts its kernels.
    with subprocess.Popen(
        [sys.executable, str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True,
    ) as parent:
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(pids) == 2
        end(parent)
        parent.wait(60)
    until(lambda: all(map(ended, pids)))
