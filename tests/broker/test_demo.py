from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress

import psutil

from rpclab.case_study import INDICES, SUMS


def of_session(leader: int) -> list[str]:
    """Return the processes that a program has started and not ended, were they adopted meanwhile or not."""
    found = []
    for process in psutil.process_iter(["pid", "name", "status"]):
        with suppress(ProcessLookupError):
            if os.getsid(process.info["pid"]) == leader and process.info["status"] != psutil.STATUS_ZOMBIE:
                found.append(process.info["name"])
    return found


def test_the_whole_case_study_runs_and_leaves_nothing(lab):
    command = [sys.executable, "-m", "rpclab", "demo"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as demo:
        said, complaints = demo.communicate()
    assert (demo.returncode, complaints) == (0, "")
    assert " [x] 3 + 5 = 8" in said
    assert " [x] fib(30) = 832040" in said
    for (x, y), n in zip(SUMS, INDICES, strict=True):
        assert f" [x] Requesting {x} + {y} and fib({n})" in said
        assert f" [.] {x} + {y}\n" in said
        assert f" [.] fib({n})\n" in said
        assert f"received item '{x + y}'" in said
    for number in range(2):
        for name in ("AdditionServer", "FibonacciServer", "AdditionCallbackWorker", "FibonacciCallbackWorker"):
            assert f"{name}-{number} (PID: " in said
    assert said.endswith("\nAll processes stopped.\n")
    assert not of_session(demo.pid)
