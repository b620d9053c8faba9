"""A fault at each frame of a request's way, and servers with a fault each, which the same check has to find."""

from __future__ import annotations

import json

import planted
import pytest

from rpclab import InvalidOption
from rpclab.__main__ import main
from rpclab.sweep import command, report
from rpclab.sweep.cases import DROP, FREEZE, KILL, SETUPS, Case, Point, Selection, Setup
from rpclab.sweep.report import Result
from rpclab.sweep.server import BookingServer
from rpclab.sweep.station import Station

PLAIN = Setup("plain", "classic")
REMEMBER = Setup("remember", "classic")


@pytest.fixture(scope="module")
def swept(worker_id) -> dict[Setup, list[Result]]:
    """The results of the quick form."""
    results = list(command.swept(Selection(quick=True), lab=f"sweep-{worker_id}"))
    return {setup: [result for result in results if result.case.setup == setup] for setup in SETUPS}


@pytest.mark.parametrize("setup", SETUPS, ids=str)
def test_whatever_breaks_at_whichever_frame_the_promises_are_kept(swept, setup):
    assert swept[setup]
    print(*[result for result in swept[setup] if result.broken], report.table(swept[setup]), sep="\n")
    assert report.sound(swept[setup])


def test_the_quick_form_ends_something_at_each_frame_and_comes_by_every_kind_of_fault(swept):
    faults = {(result.case.setup, result.case.fault) for results in swept.values() for result in results}
    assert {fault for _, fault in faults} == {"cut-client", "cut-server", "cut-memory", "kill", "freeze", "drop"}
    killed = {result.frame for result in swept[PLAIN] if result.case.fault == KILL}
    assert {"Connection.Open", "Basic.Consume", "Basic.Publish", "Basic.Deliver", "header", "body", "Basic.Ack",
            "Channel.Close", "Connection.CloseOk"} <= killed


# The sweep finds what is planted.

def point_of(station: Station, role: str, from_client: bool, name: str) -> Point:
    """Return where the last frame of a name passes."""
    return [
        passage.point for passage in station.passages
        if (passage.point.role, passage.point.from_client, passage.name) == (role, from_client, name)
    ][-1]


def broken_by(server: type, worker_id: str, setup: Setup, fault: str, *where, timeout: float = 10.0) -> str:
    with Station(setup, f"planted-{worker_id}", server, timeout=timeout) as station:
        result = station.run(Case(setup, fault, point_of(station, *where)))
        assert result.frame == where[-1]
        return "; ".join(result.broken)


TO_SERVER, FROM_SERVER = ("server", False), ("server", True)


@pytest.mark.parametrize(("fault", "where"), [
    (KILL, (*TO_SERVER, "Basic.Deliver")), (KILL, (*FROM_SERVER, "Basic.Publish")), (FREEZE, ("client", True, "body")),
])
def test_a_correct_server_breaks_no_promise(worker_id, fault, where):
    assert broken_by(planted.Correct, worker_id, PLAIN, fault, *where) == ""


@pytest.mark.parametrize(("server", "fault", "where", "found"), [
    (planted.AcknowledgesFirst, FREEZE, (*TO_SERVER, "Basic.Deliver"), "no reply to it had been published"),
    (planted.AcknowledgesFirst, KILL, (*FROM_SERVER, "Basic.Publish"), "the call was not answered: RpcTimeout"),
    (planted.DoesNotWaitForTheConfirm, FREEZE, (*TO_SERVER, "Basic.Deliver"), "its reply was not confirmed yet"),
    (planted.RepliesUnderAnotherId, FREEZE, (*TO_SERVER, "Basic.Deliver"), "the call was not answered: RpcTimeout"),
    (planted.RepliesSomethingElse, FREEZE, (*TO_SERVER, "Basic.Deliver"), "of another' instead of"),
    (planted.LosesWhatComesAgain, KILL, (*FROM_SERVER, "Basic.Publish"), "the call was not answered: RpcTimeout"),
    (planted.DoesNoWork, FREEZE, (*TO_SERVER, "Basic.Deliver"), "an answer came, and the work was not done"),
    (planted.HoldsOn, FREEZE, (*TO_SERVER, "Basic.Deliver"), "not acknowledged: request 1"),
    (planted.LeavesAConnection, FREEZE, (*TO_SERVER, "Basic.Deliver"), "connections left: left over"),
    (planted.LeavesAQueue, FREEZE, (*TO_SERVER, "Basic.Deliver"), "queues left: order"),
    (planted.WorksTwice, FREEZE, (*TO_SERVER, "Basic.Deliver"), "the work was done 2 times; at most 1 was promised"),
])
def test_a_planted_fault_is_found(worker_id, server, fault, where, found):
    # A short one, because many of them never answer.
    assert found in broken_by(server, worker_id, PLAIN, fault, *where, timeout=1.0)


def test_a_server_that_forgets_what_it_promised_to_remember_is_found(worker_id):
    at_the_ack = (*FROM_SERVER, "Basic.Ack")
    assert broken_by(BookingServer, worker_id, REMEMBER, KILL, *at_the_ack) == ""
    found = broken_by(planted.Forgets, worker_id, REMEMBER, KILL, *at_the_ack)
    assert found == "the work was done 2 times; at most 1 was promised"


# The command.

def test_one_run_can_be_repeated_by_its_name(worker_id, capsys):
    assert command.run("plain/quorum/kill/client-in-1", lab=f"one-{worker_id}") == 0
    (row,) = capsys.readouterr().out.splitlines()[1:]
    assert row.split() == ["plain", "quorum", "kill", "1", "1", "-", "0", "0", "0", "0"]


def test_the_results_are_one_object_for_programs(worker_id, capsys):
    assert command.run("plain/classic/drop/client-out-1", json=True, lab=f"one-{worker_id}") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["sound"] is True
    (run,) = found["runs"]
    assert (run["case"], run["frame"], run["outcome"]) == ("plain/classic/drop/client-out-1", "greeting", "RpcTimeout")


def test_a_run_that_breaks_a_promise_is_printed_with_its_sequence_and_how_to_repeat_it(monkeypatch, capsys):
    broken = Result(
        Case(PLAIN, DROP, Point("server", True, 9)), "Basic.Ack", "answered", 1, broken=["a promise"],
        sequence="RpcClient -> queue sweep: request 1", log="it printed this",
    )
    monkeypatch.setattr(command, "swept", lambda selection, lab: iter([broken]))
    assert main(["sweep"]) == 1
    printed = capsys.readouterr().out
    for line in (
        "plain/classic/drop/server-out-9, at Basic.Ack: answered, the work done once", "broken    a promise",
        "RpcClient -> queue sweep: request 1", "| it printed this",
        "Repeat it: python -m rpclab sweep --only plain/classic/drop/server-out-9",
    ):
        assert line in printed


def test_a_name_that_no_run_has_is_an_error():
    with pytest.raises(InvalidOption, match="plain/classic/kill/server-in-9"):
        command.run("nothing/of/the/kind")
    assert not Selection("plain/quorum/*/*").may_have(PLAIN)
    assert Selection("plain/c*/kill/*").may_have(PLAIN)
    assert Selection("*server*").may_have(PLAIN)
