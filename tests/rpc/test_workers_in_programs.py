"""Programs that run workers: however a program is started, and however it ends."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

import rpclab
from rpclab.rpc.processes.worker import _start_process

SERVER_IN_MAIN = """
import rpclab


class Shout(rpclab.RpcServer):
    def __init__(self):
        super().__init__("shout")

    def handle(self, body):
        return emphasise(body)


def emphasise(text):
    return text.upper() + "!"


with rpclab.Workers(Shout, count=1), rpclab.RpcClient("shout") as client:
    print(client.call("hello"))
"""
# The first server is ready, the second never is.
NEVER_READY = """
import multiprocessing, threading
import rpclab


class Slow(rpclab.BaseServer):
    def __init__(self):
        super().__init__("slow")
        if not multiprocessing.current_process().name.endswith("-0"):
            threading.Event().wait()

    def on_request(self, ch, method, properties, body):
        pass


try:
    rpclab.Workers(Slow, count=3)
except KeyboardInterrupt:
    print("interrupted", flush=True)
    input()
"""
READ_ME = Path(rpclab.__file__).parents[1] / "README.md"

PROGRAMS = {
    "a script": lambda path: [str(path)],
    "a module": lambda path: ["-m", path.stem],
    "cells": lambda path: ["-c", path.read_text()],
    "IPython": lambda path: ["-m", "IPython", "--no-banner", "--colors=NoColor", str(path)],
}


def run(*arguments: str, **options) -> tuple[str, str, int]:
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False, **options)
    return done.stdout, done.stderr, done.returncode


@pytest.mark.parametrize("kind", PROGRAMS)
def test_a_program_needs_nothing_special_to_run_a_class_of_its_own(lab, tmp_path, kind):
    path = tmp_path / "program.py"
    path.write_text(SERVER_IN_MAIN)
    assert run(*PROGRAMS[kind](path), cwd=tmp_path) == ("HELLO!\n", "", 0)


def test_a_program_that_python_reads_from_its_input_can_run_workers(lab):
    assert run("-", input=SERVER_IN_MAIN) == ("HELLO!\n", "", 0)


def test_the_example_of_the_readme_is_a_script_that_works(lab, tmp_path):
    (example,) = re.findall(r"```python\n(import rpclab\n.*?)^```", READ_ME.read_text(), re.DOTALL | re.MULTILINE)
    path = tmp_path / "example.py"
    path.write_text(example.replace("my-lab", f"{lab.name[:40]}-example") + "lab.close()\n")
    assert run(str(path)) == ("", "", 0)


def test_a_module_that_only_this_program_finds_is_found_by_its_workers(lab, tmp_path, monkeypatch):
    (tmp_path / "only_here.py").write_text(
        "import rpclab\n\n\nclass Echo(rpclab.RpcServer):\n    def handle(self, body):\n        return body\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    import only_here

    with rpclab.Workers(only_here.Echo, "echo", count=1), rpclab.RpcClient("echo") as client:
        assert client.call("hello") == "hello"


def test_a_program_that_is_interrupted_while_workers_start_leaves_none_behind(lab):
    with subprocess.Popen(
        [sys.executable, "-c", NEVER_READY], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as program:
        children = psutil.Process(program.pid).children
        lab.wait_for("slow", consumers=1)
        assert len(children()) == 3
        program.send_signal(signal.SIGINT)
        assert program.stdout.readline() == "interrupted\n"
        assert children() == []
        program.stdin.write("\n")
    assert program.returncode == 0


@pytest.mark.parametrize("moment", ["psutil.Process", "threading.Thread.start", "pickle.dumps"])
def test_no_moment_of_the_start_is_bad_for_an_interrupt(lab, monkeypatch, moment):
    def interrupted(*arguments) -> None:
        raise KeyboardInterrupt

    others = psutil.Process().children()  # such as a browser's driver, of tests that ran before in this process
    with monkeypatch.context() as patch:
        patch.setattr(f"rpclab.rpc.processes.worker.{moment}", interrupted)
        with pytest.raises(KeyboardInterrupt):
            rpclab.Workers(rpclab.AdditionServer, count=1)
    assert [child for child in psutil.Process().children() if child not in others] == []


def test_a_process_whose_handle_is_lost_ends_by_itself(lab):
    process, orders, printed = _start_process("Orphan-0")
    orders.close()
    assert process.wait(30) != 0
    printed.close()
