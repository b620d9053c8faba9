"""What a teacher sees of a class: the table in a terminal, and the board in a notebook."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from learners import PAIR, broker_of
from waiting import until

from rpclab import AccessRefused, ClassBoard, Lab, LabError, connection_parameters
from rpclab.broker.address import Broker
from rpclab.broker.connect import connect
from rpclab.classroom import maintenance, provision
from rpclab.classroom.status import ClassStatus

HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture
def board(remote, pair) -> Iterator[ClassBoard]:
    board = ClassBoard(PAIR)
    yield board
    board.close()


def test_nobody_is_connected(remote, pair):
    with ClassStatus(remote, PAIR) as status:
        # Connections of earlier tests are counted until the broker's next statistics.
        table = until(lambda: (found := status.ask()).column("connections") == [0, 0] and found)
    assert table.column("learner") == ["Anna", "Ben"]
    assert table.column("lesson") == [None, None]
    assert table.column("queues") == [0, 0]


def test_it_tells_who_is_connected_to_which_lesson_and_what_is_there(remote, pair, as_learner, monkeypatch):
    with ClassStatus(remote, PAIR) as status:
        status.ask()
        as_learner(pair[0])
        with Lab("routing") as lab, connect(lab.parameters) as raw, connect(connection_parameters()):
            channel = raw.channel()
            channel.confirm_delivery()
            channel.queue_declare("mine", durable=True)
            channel.basic_publish("", "mine", "one")
            # Queues are counted now; connections and traffic, within five seconds.
            row = status.ask()["Anna"]
            assert (row["queues"], row["messages"]) == (1, 1)

            def seen() -> tuple[list, list, str]:
                table = status.ask()
                return table.column("connections"), table.column("lesson"), table["Anna"]["last activity"]

            until(lambda: seen() == ([2, 0], ["routing", None], "now"))
        until(lambda: status.ask().column("connections") == [0, 0])


def test_the_names_of_all_labs_that_are_open_are_told(remote, pair, as_learner):
    as_learner(pair[1])
    with (
        ClassStatus(remote, PAIR) as status, Lab("routing") as one, Lab("consuming") as two,
        connect(one.parameters), connect(two.direct_parameters),
    ):
        until(lambda: status.ask()["Ben"]["lesson"] == "consuming, routing")


def test_what_others_have_on_the_broker_is_not_counted(remote, pair, api):
    api.put("vhosts", "pair-anna.99", json={"description": "not of the class"})
    try:
        with connect(remote.parameters("pair-anna.99")) as connection, ClassStatus(remote, PAIR) as status:
            connection.channel().queue_declare("foreign", durable=True)
            assert len(api.get("queues", "pair-anna.99")) == 1
            assert status.ask()["Anna"]["queues"] == 0
    finally:
        api.delete("vhosts", "pair-anna.99")


def test_time_goes_by_since_somebody_was_active(remote, file):
    clara, _ = provision.create(remote, ["Clara", "David"], file, labs=1).learners
    now = [1_000_000.0]
    with ClassStatus(remote, clock=lambda: now[0]) as status:
        assert status.ask().column("last activity") == ["not today", "not today"]
        # It stays open, because closing it is an activity too, of which the broker tells up to five seconds later.
        with connect(broker_of(clara).parameters("clara.1")):
            until(lambda: status.ask()["Clara"]["last activity"] == "now")
            for later, said in ((120, "2 min ago"), (3480, "1 h ago"), (7200, "3 h ago")):
                now[0] += later
                assert status.ask()["Clara"]["last activity"] == said
        assert status.ask()["David"]["last activity"] == "not today"


def test_who_begins_to_look_later_sees_from_the_brokers_memory_who_was_active(remote, file):
    emma, _ = provision.create(remote, ["Emma", "Frank"], file, labs=1).learners
    with ClassStatus(remote) as status, connect(broker_of(emma).parameters("emma.1")):
        until(lambda: status.ask()["Emma"]["last activity"] == "now")

    def seen_afresh() -> list[str]:
        with ClassStatus(remote) as status:
            return status.ask().column("last activity")

    # The broker's samples of ten seconds are there once those are over.
    said = until(lambda: (found := seen_afresh())[0] != "not today" and found)
    assert said[0] in ("now", "1 min ago")
    assert said[1] == "not today"


def test_who_may_not_see_others_is_told_so(remote, pair, monkeypatch):
    with ClassStatus(broker_of(pair[0]), "another") as status, pytest.raises(AccessRefused, match="monitoring"):
        status.ask()


def test_a_class_that_is_not_there_is_told_with_those_that_are(remote, pair):
    with ClassStatus(remote, "python") as status, pytest.raises(LabError, match=r"'python'.*Classes there: pair"):
        status.ask()


def test_the_board_shows_the_class_and_its_twin_says_the_same(board, pair, as_learner):
    assert board.table().column("learner") == ["Anna", "Ben"]
    assert str(board).splitlines()[0].startswith("learner")
    assert repr(board) == "ClassBoard('pair')"
    as_learner(pair[0])
    with Lab("routing") as lab, connect(lab.parameters):
        until(lambda: "routing" in board._rows.value)
        until(lambda: "1 of 2 learners are connected." in board._line.value)
        assert "routing" in str(board)


def test_the_board_escapes_what_others_have_named(remote, file):
    provision.create(remote, [HOSTILE], file, labs=1)
    board = ClassBoard()
    try:
        until(lambda: "onerror" in board._rows.value)
        assert "<img" not in board._rows.value
        assert "&lt;img" in board._rows.value
    finally:
        board.close()


def test_a_broker_that_is_gone_is_a_state_of_the_board_and_the_last_table_stays(remote, pair, monkeypatch):
    gone = Broker(remote.url, "http://127.0.0.1:1", "RPCLAB_BROKER")
    board = ClassBoard(PAIR)
    try:
        assert len(board.table()) == 2
        real = board._status._api
        monkeypatch.setattr(board._status, "_api", type(real)(gone))
        assert "does not answer" in str(board)
        assert len(board.table()) == 2
        until(lambda: "does not answer" in board._line.value)
        monkeypatch.setattr(board._status, "_api", real)
        assert "does not answer" not in str(board)
        assert board.trouble == ""
    finally:
        board.close()


def test_closing_the_board_twice_leaves_no_thread(remote, pair):
    before = set(threading.enumerate())
    board = ClassBoard(PAIR)
    str(board)
    board.close()
    board.close()
    assert not set(threading.enumerate()) - before


def test_a_board_for_a_class_that_is_removed_says_so(remote, file):
    provision.create(remote, ["Anna"], file, labs=1)
    board = ClassBoard()
    try:
        assert len(board.table()) == 1
        maintenance.remove(remote)
        assert "no class without a name" in str(board)
    finally:
        board.close()
