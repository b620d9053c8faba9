"""``rpclab check --server`` against good and careless servers, started by it or found running."""

from __future__ import annotations

import json

import pytest
from commands import program

from rpclab.check import server as check_of_server
from rpclab.check.acknowledging import ACKNOWLEDGES, AFTER
from rpclab.check.ending import KILLED, TERMINATED
from rpclab.check.lines import FAIL, NOT_TRIED, PASS
from rpclab.check.server import AT_ONCE, COPIES

WITHOUT_REPLY_TO = "survives a request without reply_to"


@pytest.fixture
def checked(check, url):
    """Run a check and return its outcomes by name, its evidence by name, and its exit code."""

    def run(*arguments: str) -> tuple[dict[str, str], dict[str, str], int]:
        done = check("--server", "sums", "--request", "3,5", "--url", url, "--json", *arguments)
        lines = json.loads(done.out)["lines"]
        assert [line["name"] for line in lines] == list(check_of_server.ALL)
        outcomes, evidence = ({line["name"]: line[what] for line in lines} for what in ("outcome", "evidence"))
        return outcomes, evidence, done.code

    return run


def test_a_good_server_passes_everything_and_nothing_is_left_behind(check, url, lab):
    done = check("--server", "sums", "--request", "3,5", "--expect", "8", "--url", url, "--", *program("server"))
    assert done.code == 0
    assert done.out.splitlines()[0] == "Real requests are sent to the server at queue 'sums'."
    assert done.out.splitlines()[-1] == "14 passed, 0 failed, 0 not tried."
    assert all(line.startswith("pass ") for line in done.out.splitlines()[1:-1])
    assert lab.broker.password not in done.out + done.err
    assert [(row["name"], row["ready"], row["unacked"]) for row in lab.queues()] == [("sums", 0, 0)]


def test_an_answer_other_than_the_expected_one_fails(checked):
    outcomes, evidence, code = checked("--expect", "9", "--timeout", "2", "--", *program("server"))
    assert [name for name, outcome in outcomes.items() if outcome == FAIL] == [check_of_server.EXPECTED]
    assert (evidence[check_of_server.EXPECTED], code) == ("'8', not '9'", 1)


@pytest.mark.parametrize(("mistake", "failing"), [
    ("early", [AFTER]),
    ("auto", [AFTER, KILLED, TERMINATED]),
    ("never", [ACKNOWLEDGES]),
    ("dies", [WITHOUT_REPLY_TO]),
    ("twice", [AT_ONCE]),
])
def test_a_careless_server_fails_where_it_is_careless(checked, mistake, failing):
    outcomes, _, code = checked("--timeout", "2", "--", *program("careless_server", mistake))
    assert [name for name, outcome in outcomes.items() if outcome == FAIL] == failing
    assert code == 1


def test_a_server_that_does_not_reply_is_told_and_the_rest_is_not_tried(checked):
    outcomes, evidence, code = checked("--timeout", "1", "--", *program("careless_server", "mute"))
    assert outcomes[check_of_server.REPLIES] == FAIL
    assert set(list(outcomes.values())[2:]) == {NOT_TRIED}
    assert (evidence[KILLED], code) == ("no reply came to a good request", 1)


def test_a_running_server_is_judged_by_the_counts_of_its_queue(checked, start, url, lab, monkeypatch):
    monkeypatch.setenv("RPCLAB_MANAGEMENT", lab.management_url)
    running = start(program("careless_server", "never"), AMQP_URL=url)
    running.says("serving")
    outcomes, evidence, _ = checked("--timeout", "2")
    assert (outcomes[ACKNOWLEDGES], outcomes[AFTER]) == (FAIL, NOT_TRIED)
    assert evidence[ACKNOWLEDGES] == "the request is still unacked after its reply"
    assert "--pid" in evidence[KILLED]
    assert running.process.poll() is None


def test_the_processes_that_are_named_are_ended_and_their_requests_are_not_lost(checked, start, url):
    workers = [start(program("server"), AMQP_URL=url) for _ in range(3)]
    for worker in workers:
        worker.says("serving")
    pids = [str(worker.process.pid) for worker in workers]
    outcomes, evidence, code = checked("--pid", pids[0], "--pid", pids[1])
    assert (outcomes[KILLED], outcomes[TERMINATED]) == (PASS, PASS)
    assert ([evidence[name] for name, outcome in outcomes.items() if outcome == FAIL], code) == ([], 0)
    assert "answered after all" in evidence[KILLED]
    assert [worker.process.poll() for worker in workers] == [-9, -15, None]


def test_requests_that_auto_ack_loses_are_counted(checked, start, url):
    running = start(program("careless_server", "auto"), AMQP_URL=url)
    running.says("serving")
    outcomes, evidence, _ = checked("--timeout", "2", "--pid", str(running.process.pid))
    assert (outcomes[KILLED], outcomes[TERMINATED]) == (FAIL, NOT_TRIED)
    assert evidence[KILLED].startswith("2 requests of 2 that it held are gone")


def test_a_queue_that_does_not_exist_is_a_failure_with_a_reason(checked, lab):
    outcomes, evidence, code = checked()
    assert (outcomes[check_of_server.SERVED], code) == (FAIL, 1)
    assert evidence[COPIES] == "nothing serves the queue"
    assert not lab.queues()


def test_bad_options_are_errors_that_say_what_to_do(check, url):
    for options, said in (
        (["--pid", "999999999"], "no process has this number"), (["--timeout", "0"], "more than 0"),
        (["--pid", "1", "--", "sh"], "Give one of them"),
    ):
        done = check("--server", "sums", "--request", "3,5", "--url", url, *options)
        assert (done.code, done.out) == (1, "")
        assert said in done.err
