from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from urllib.parse import quote

import pytest
from conversation import Wire
from waiting import until

from rpclab import Lab
from rpclab.findings import Diagnosis, diagnose


@pytest.fixture
def wire() -> Wire:
    return Wire()


@pytest.fixture
def found(wire) -> Callable[[], list[str]]:
    """Return the rules of what is found so far, gravest first."""
    return lambda: [finding.rule for finding in diagnose(wire.story)]


@pytest.fixture
def run(lab: Lab) -> Iterator[Callable[..., subprocess.Popen]]:
    """Run Python programs, each in a process; those that still run at the end are killed.

    They find the broker's address in ``AMQP_URL``.
    """
    processes = []

    def start(source: str, name: str, *arguments: str, typed: str = "") -> subprocess.Popen:
        named = quote(repr({"connection_name": name}))
        url = f"{lab.url.split('?')[0]}?client_properties={named}"
        environment = {**os.environ, "AMQP_URL": url, "PLAIN_URL": lab.url.split("?")[0]}
        command = [sys.executable, "-c", source, *arguments]
        process = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, text=True)
        processes.append(process)
        assert process.stdin
        process.stdin.write(typed)
        process.stdin.close()
        return process

    yield start
    for process in processes:
        process.kill()
        process.wait()


@pytest.fixture
def told(lab: Lab) -> Callable[..., Diagnosis]:
    """Wait until the lab finds these rules, and return its diagnosis; the test fails if it finds others."""

    def wait(*rules: str) -> Diagnosis:
        try:
            until(lambda: set(rules) <= {finding.rule for finding in lab.diagnose()})
        except pytest.fail.Exception:
            pytest.fail(f"Not all of {rules} were found.\n{lab.diagnose()}\n{lab.story.sequence()}")
        diagnosis = lab.diagnose()
        assert {finding.rule for finding in diagnosis} == set(rules), str(diagnosis)
        return diagnosis

    return wait
