"""``rpclab check --client`` with a careful client and a naive one."""

from __future__ import annotations

import json

import pytest
from commands import program

from rpclab.check import client as check_of_client
from rpclab.check.lines import FAIL, NOT_TRIED, PASS


@pytest.fixture
def checked(check, url):
    def run(*command: str) -> dict[str, str]:
        done = check("--client", "sums", "--reply", "8", "--timeout", "4", "--json", "--url", url, "--", *command)
        lines = json.loads(done.out)["lines"]
        assert done.code == any(line["outcome"] == FAIL for line in lines)
        return {line["name"]: line["outcome"] for line in lines}

    return run


def test_a_client_with_deadlines_that_knows_its_replies_passes(checked, lab):
    assert checked(*program("careful_client")) == dict.fromkeys(check_of_client.ALL, PASS)
    assert not lab.queues()


def test_a_client_that_takes_what_comes_and_waits_forever_is_told_so(checked):
    assert list(checked(*program("naive_client")).values()) == [PASS, PASS, FAIL, PASS, FAIL, FAIL, FAIL, NOT_TRIED]


def test_a_client_that_sends_nothing_is_told_so(checked):
    assert list(checked("true").values()) == [FAIL, *[NOT_TRIED] * 7]


def test_what_it_needs_is_said(check, url):
    done = check("--client", "sums", "--url", url)
    assert (done.code, done.out) == (1, "")
    assert "--client needs --reply" in done.err


def test_a_queue_that_a_server_serves_is_left_to_the_server(check, start, url):
    start(program("server"), AMQP_URL=url).says("serving")
    done = check("--client", "sums", "--reply", "8", "--url", url, "--", "true")
    assert (done.code, done.out) == (1, "")
    assert "A server serves queue 'sums'." in done.err
