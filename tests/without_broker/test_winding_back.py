"""Moments that can be shown again: the board after any of them, and the surroundings that it had."""

from __future__ import annotations

import pytest
from conversation import Wire
from pika import spec

from rpclab import InvalidOption
from rpclab.story import history
from rpclab.story.board import QUEUE, Board, Place
from rpclab.story.recorder import Recorder


@pytest.fixture
def wire():
    return Wire()


@pytest.fixture
def recorder(wire) -> Recorder:
    """A recorder that takes all that crosses the wire, as a live picture does."""
    recorder = Recorder(wire.registry.shown)
    wire.story.listen(recorder.take)
    pass_on = wire.pass_on

    def also(*said):
        event = pass_on(*said)
        if recorder.concerns(event):
            recorder.take(event)
        return event

    wire.pass_on = also
    return recorder


def said(recorder: Recorder, at: int) -> dict[str, str]:
    return {box["name"]: box["said"] for box in recorder.scene(at, [])["boxes"]}


def states(recorder: Recorder, at: int | None) -> dict[str, str]:
    return {box["name"]: box["state"] for box in recorder.scene(at, [])["boxes"] if box["role"] == "worker"}


def test_each_moment_has_its_own_counts_and_every_box_stays(wire, recorder):
    client, server = wire.peer("client"), wire.peer("server-0")
    server.declares("work")
    server.consumes("work")
    client.publishes("work", "a")
    tag = server.gets("work", "a")
    server.acks(tag)
    assert [said(recorder, at)["work"] for at in range(4)] == [
        "not yet", "1 ready \u00b7 0 unacked", "0 ready \u00b7 1 unacked", "0 ready \u00b7 0 unacked",
    ]
    assert all(said(recorder, at).keys() == said(recorder, 3).keys() for at in range(4))
    assert [recorder.time(at)["said"] for at in range(4)] == [
        "", "message 1: published by client to work", "message 1: delivered from work to server-0",
        "message 1: acked by server-0",
    ]


def test_a_process_that_died_is_alive_before(wire, recorder):
    client, server = wire.peer("client"), wire.peer("server-0")
    server.declares("work")
    server.consumes("work")
    recorder.note_processes(0.0, {"server-0": "running"})
    client.publishes("work", "a")
    server.gets("work", "a")
    recorder.note_processes(wire.time, {"server-0": "paused"})
    server.ends()
    recorder.note_processes(wire.time, {"server-0": "dead"})
    last = len(recorder.history)
    assert [states(recorder, at)["server-0"] for at in range(1, last + 1)] == [
        "idle", "working", "paused", "paused", "dead",
    ]
    assert recorder.time(last)["said"] == "server-0 is dead"
    assert states(recorder, None) == {"server-0": "dead"}


def test_a_purge_is_a_moment_of_its_own(wire, recorder):
    client = wire.peer("client")
    client.declares("work")
    for body in "ab":
        client.publishes("work", body)
    client.says(spec.Queue.Purge(queue="work"))
    client.hears(spec.Queue.PurgeOk(message_count=2))
    assert recorder.time(3)["said"] == "work was purged"
    assert [said(recorder, at)["work"][:7] for at in (2, 3)] == ["2 ready", "0 ready"]


def test_a_board_far_back_is_the_same_from_a_snapshot_as_from_the_beginning(wire, recorder, monkeypatch):
    monkeypatch.setattr(history, "MOMENTS_BETWEEN_SNAPSHOTS", 7)
    client, server = wire.peer("client"), wire.peer("server-0")
    server.declares("work")
    server.consumes("work")
    for number in range(30):
        client.publishes("work", str(number))
        if number % 2:
            server.acks(server.gets("work", str(number // 2)))
    board = Board()
    for number, moment in enumerate(recorder.history.moments(), 1):
        for move in moment.moves:
            board.apply(move)
        again = recorder.history.board(number)
        assert (again.chips, again.counts, again.totals) == (board.chips, board.counts, board.totals)
    assert len(board.at(Place(QUEUE, "work"))) == 15


def test_what_is_too_long_ago_is_forgotten_and_says_so(wire, recorder, monkeypatch):
    monkeypatch.setattr(history, "MOMENTS_BETWEEN_SNAPSHOTS", 2)
    recorder.history = history.History(keep=3)
    client = wire.peer("client")
    client.declares("work")
    for number in range(9):
        client.publishes("work", str(number))
    assert (recorder.history.first, len(recorder.history)) == (4, 9)
    assert recorder.scene(4, [])["time"]["first"] == 4
    assert said(recorder, 5)["work"] == "5 ready \u00b7 0 unacked"
    with pytest.raises(InvalidOption, match="steps 4 to 9"):
        recorder.history.board(3)
