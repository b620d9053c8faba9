from __future__ import annotations

import re

import httpx
import pytest

FIRST = "00_start_here.ipynb"
LESSON = f"/home/learner/rpclab-lessons/{FIRST}"


@pytest.fixture(scope="module")
def lab(compose):
    compose("up", "--detach", "--build", "--wait", "lab")
    return compose


def address(lab) -> str:
    return re.findall(rf"http://127\.0\.0\.1:{lab.port}/lab/tree/{FIRST}\?token=\w+", lab("logs", "lab"))[-1]


def test_its_log_has_the_address_that_opens_the_first_lesson(lab):
    with httpx.Client(trust_env=False, follow_redirects=True) as browser:
        assert browser.get(address(lab)).status_code == 200
        assert browser.get(f"http://127.0.0.1:{lab.port}/api/contents/{FIRST}").status_code == 200


def test_nobody_gets_in_without_the_token(lab):
    found = httpx.get(f"http://127.0.0.1:{lab.port}/api/contents", trust_env=False)
    assert found.status_code == 403


def test_it_is_published_on_loopback_alone(lab):
    ports = lab.state("lab")["NetworkSettings"]["Ports"]
    assert {binding["HostIp"] for bindings in ports.values() for binding in bindings or ()} == {"127.0.0.1"}


def test_nothing_in_it_runs_as_root(lab):
    assert set(lab.inside("lab", "sh", "-c", "stat -c %U /proc/[0-9]*").split()) == {"learner"}


def test_a_lesson_runs_against_the_broker_beside_it(lab):
    assert "(RPCLAB_BROKER)" in lab.inside("lab", "python", "-m", "rpclab", "status")
    lab.inside("lab", "jupyter", "nbconvert", "--execute", "--to", "notebook", "--inplace", LESSON)


def test_what_the_reader_changed_outlives_the_container(lab):
    lab.inside("lab", "sh", "-c", f"echo ' ' >> {LESSON} && echo mine > /home/learner/rpclab-lessons/mine.txt")
    changed = lab.inside("lab", "cat", LESSON)
    lab("down")
    lab("up", "--detach", "--wait", "lab")
    assert lab.inside("lab", "cat", LESSON) == changed
    assert lab.inside("lab", "cat", "/home/learner/rpclab-lessons/mine.txt") == "mine\n"


@pytest.mark.parametrize(("asked_for", "origin"), [("own_node=True", "private node"), ("nodes=3", "private cluster")])
def test_a_lesson_of_which_a_broker_of_its_own_is_broken_can_be_run(lab, asked_for, origin):
    program = f"import rpclab\nwith rpclab.Lab('own', {asked_for}) as lab: print(lab.broker.origin)"
    assert lab.inside("lab", "python", "-c", program).strip() == origin
