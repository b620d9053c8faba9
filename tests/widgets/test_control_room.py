"""The control room without a browser: the system started, asked, broken, repaired and wound back by code."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from showing import buttons, click
from waiting import until

from rpclab import ControlRoom, InvalidName, InvalidOption, LabError


@pytest.fixture
def room(lab) -> Iterator[ControlRoom]:
    room = ControlRoom(lab, count=1)
    yield room
    room.close()


@pytest.fixture
def running(room) -> ControlRoom:
    room.start()
    return room.wait()


def box(room: ControlRoom, name: str) -> dict:
    return next((one for one in room.scene.get("boxes", ()) if one["name"] == name), {"said": "", "state": ""})


def labels(room: ControlRoom, name: str) -> list[str]:
    return [button["label"] for button in buttons(room) if button["args"] == [name]]


def test_before_anything_runs_all_places_are_there_with_what_can_be_done(room):
    until(lambda: room.scene.get("groups"))
    names = [one["name"] for one in room.scene["boxes"]]
    assert names[:2] == ["AddClient", "FibonacciClient"]
    assert {"addition", "fibonacci", "addition_callback", "fibonacci_callback"} <= set(names)
    assert box(room, "addition")["said"] == "not declared in sight"
    assert list(room.scene["groups"]) == [
        "AdditionServer", "FibonacciServer", "AdditionCallbackWorker", "FibonacciCallbackWorker"]
    assert {button["label"] for button in buttons(room)} == {
        "Start everything", "Stop everything", "Repair everything", "Cut", "Freeze", "Skip the ack", "Reply twice",
        "Use a wrong id", "Kill a busy worker", "+ 1", "purge"}
    assert room.scene["status"].startswith("Nothing runs yet")
    assert repr(room) == f"ControlRoom({room._lab!r})"


def test_what_is_fired_is_answered_and_shown_in_the_clients_box(running):
    assert running.fire("AddClient", 3, 5) is running.addition.requests[0]
    click(running, "fire", "FibonacciClient", "20")
    running.wait(acked=4)
    assert (running.addition.results, running.fibonacci.results) == ([8], [6765])
    until(lambda: running.desk["FibonacciClient"]["answers"])
    (answer,) = running.desk["FibonacciClient"]["answers"]
    assert (answer["number"], answer["mood"]) == (1, "good")
    assert answer["text"].startswith("20 \u2713 answered 6765 (")
    until(lambda: box(running, "FibonacciClient")["said"] == "1 published \u00b7 1 acked")


def test_a_burst_and_a_steady_run_are_fired_by_name(running):
    assert running.burst("AddClient", 50, 20, 22).wait().results == [42] * 50
    click(running, "steady", "FibonacciClient", "50", "5")
    until(lambda: len(running.fibonacci.requests) > 3)
    assert running.fibonacci.running
    click(running, "steady", "FibonacciClient", "50", "5")
    assert not running.fibonacci.running
    running.wait()
    assert set(running.fibonacci.results) == {5}


def test_a_process_is_paused_resumed_stopped_killed_and_joined_by_one_more(running):
    until(lambda: labels(running, "FibonacciServer-0") == ["kill -9", "pause", "stop"])
    running.pause("FibonacciServer-0")
    running.wait()
    until(lambda: box(running, "FibonacciServer-0")["state"] == "paused")
    until(lambda: labels(running, "FibonacciServer-0") == ["kill -9", "resume", "stop"])
    click(running, "resume", "FibonacciServer-0")
    running.start_one("FibonacciServer")
    running.kill("FibonacciServer-0")
    running.stop_one("AdditionServer-0")
    running.wait()
    until(lambda: box(running, "FibonacciServer-0")["state"] == "dead")
    until(lambda: box(running, "FibonacciServer-1")["state"] == "idle")
    until(lambda: box(running, "AdditionServer-0")["state"] == "stopped")
    assert labels(running, "FibonacciServer-0") == []
    running.fire("FibonacciClient", 10)
    assert running.fibonacci.wait().results == [55]


def test_a_queue_is_purged_by_code(running, lab):
    running.kill("AdditionServer-0")
    running.wait()
    running.burst("AddClient", 5, 1, 1)
    lab.wait_for("addition", ready=5)
    command = running.purge("addition")
    running._crew.commands.wait(20)
    assert (command.state, command.result) == ("done", 5)
    until(lambda: box(running, "addition")["said"] == "0 ready \u00b7 0 unacked")
    running.addition.cancel()


def test_a_client_that_is_cut_connects_again_and_one_that_is_frozen_gets_its_answer_late(running):
    session = running.clients[0]._session
    running.cut("AddClient")
    running.wait()
    # The tap knows it first. A call that the client sends before it notices ends in ConnectionLost.
    until(lambda: box(running, "AddClient")["state"] == "closed" and not session.alive)
    running.fire("AddClient", 3, 5)
    assert running.wait().addition.results == [8]
    running.freeze("AddClient")
    running.wait()
    request = running.fire("AddClient", 3, 5)
    until(lambda: request.state == "timed out")
    running.repair()
    running.wait()
    until(lambda: request.state == "answered late")


@pytest.mark.parametrize(("fault", "sign"), [
    ("kill", "redelivers the request"), ("cut", "ConnectionLost"), ("freeze", "time out"), ("forget", "stays unacked"),
    ("twice", "drops the second"), ("wrong id", "matches no request"),
])
def test_each_fault_is_broken_by_its_name_and_repaired(room, lab, fault, sign):
    room = ControlRoom(lab, count=2)
    room.start()
    room.break_it(fault)
    room.wait()
    until(lambda: sign in room.scene["status"])
    room.repair()
    room.wait()
    until(lambda: room.scene["status"].startswith("Everything runs."))
    room.fire("AddClient", 20, 22)
    room.fire("FibonacciClient", 10)
    room.wait()
    assert (room.addition.requests[-1].answer, room.fibonacci.requests[-1].answer) == (42, 55)
    room.close()


@pytest.mark.parametrize("wrong", [
    lambda room: room.kill("FibonacciServer-7"), lambda room: room.fire("Nobody", 1), lambda room: room.cut("Nobody"),
    lambda room: room.start_one("Nobody"), lambda room: room.break_it("everything"), lambda room: room.show(99),
    lambda room: room.show(True),
])
def test_what_there_is_not_is_refused_with_what_there_is(running, wrong):
    with pytest.raises((InvalidName, InvalidOption), match=r"called|no client|there are|one of|can be shown"):
        wrong(running)


def test_a_click_that_cannot_be_done_says_why_in_the_room(running):
    click(running, "kill", "FibonacciServer-7")
    until(lambda: running.scene["bad"] and "FibonacciServer-7" in running.scene["status"])
    click(running, "fire", "AddClient", "three", "5")
    until(lambda: "x='three': it is a whole number." in running.scene["status"])
    click(running, "close")
    running.fire("AddClient", 3, 5)
    assert running.wait().addition.results == [8]


def test_it_is_wound_back_and_printed_as_it_was(running):
    running.fire("AddClient", 3, 5)
    running.wait(acked=2)
    last = running.position[1]
    assert running.show("request 1").position == (last - 4, last)
    assert "step 1 of 5: request 1: published by AddClient to addition" in str(running)
    until(lambda: not running.scene["time"]["live"])
    assert box(running, "addition")["said"] == "1 ready \u00b7 0 unacked"
    assert labels(running, "AdditionServer-0") == []
    assert [move["how"] for move in moves_of(running.forward())] == ["delivered"]
    running.back().back()
    assert running.position[0] == 0
    assert running.live().position == (last, last)


def moves_of(room: ControlRoom) -> list[dict]:
    """Return what moves in the step that is shown."""
    at = room.position[0]
    until(lambda: room.scene["time"]["at"] == at)
    return room.scene["moves"]


@pytest.mark.parametrize(("tab", "expected"), [
    ("requests", "AddClient 1"), ("callbacks", "addition_callback 1"), ("printed", "AdditionServer-0"),
    ("message", "request 1"),
])
def test_the_drawer_has_requests_callbacks_what_was_printed_and_the_chosen_message(running, tab, expected):
    running.fire("AddClient", 3, 5)
    running.wait()
    running.clients[0].send(20, 22, reply_to="addition_callback")
    running.addition_answers.wait(1)
    running.select("request 1")
    running.opened = tab
    until(lambda: running.drawer.get("tab") == tab and expected in str(running.drawer))


def test_the_drawer_has_what_is_wrong(running):
    running.opened = "findings"
    running.break_it("twice")
    running.wait()
    until(lambda: "two-replies" in str(running.drawer))


def test_closing_twice_ends_the_processes_and_leaves_no_thread(lab):
    before = set(threading.enumerate())
    room = ControlRoom(lab, count=1)
    room.start()
    room.fire("AddClient", 3, 5)
    room.close()
    room.close()
    assert not [worker for pool in room.system.pools for worker in pool if worker.alive]
    left = {thread.name for thread in set(threading.enumerate()) - before}
    assert {name for name in left if name.startswith("rpclab")} == set()
    assert room.scene["status"] == "Closed: the picture is as it was."
    with pytest.raises(LabError, match="closed"):
        room.start()


@pytest.mark.parametrize("count", [0, 9, True, "2"])
def test_a_count_that_makes_no_sense_is_refused(lab, count):
    with pytest.raises(InvalidOption, match="1 to 8"):
        ControlRoom(lab, count=count)
