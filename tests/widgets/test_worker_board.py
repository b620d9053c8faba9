"""The board of worker processes without a browser: what it knows of them, and what it has done to them."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from showing import buttons, click, note, rows, shown
from waiting import until

from rpclab import (
    ADDITION_CALLBACK_QUEUE,
    AddClient,
    AdditionServer,
    CallbackWorker,
    InvalidName,
    InvalidOption,
    LabError,
    RpcClient,
    RpcServer,
    WorkerBoard,
    Workers,
)
from rpclab.broker.connect import connect
from rpclab.broker.environment import connection_parameters

HOSTILE = "<img src=x onerror=alert(1)>"
BURST = 2000
UPDATES_PER_SECOND = 15


class Held(RpcServer):
    """Works on a request for as long as the file that it names is missing."""

    def __init__(self, prefetch: int = 1):
        super().__init__("held", prefetch=prefetch)

    def handle(self, body: str) -> str:
        print("took it", flush=True)
        while not os.path.exists(body):
            threading.Event().wait(0.01)
        return "done"


class Echo(RpcServer):
    """Answers with what it was asked, and remembers it for a while if told to."""

    def __init__(self, remember: float | None = None):
        super().__init__("echo", prefetch=50, remember=remember)

    def handle(self, body: str) -> str:
        return body


@pytest.fixture
def gate(tmp_path) -> Iterator[Path]:
    """A file that does not exist yet; made at the end in any case."""
    gate = tmp_path / "gate"
    yield gate
    gate.touch()


@pytest.fixture
def held(lab) -> Iterator[Workers]:
    with Workers(Held, count=2) as workers:
        yield workers


@pytest.fixture
def client(held) -> Iterator[RpcClient]:
    with RpcClient("held", timeout=60) as client:
        yield client


@pytest.fixture
def board(held) -> Iterator[WorkerBoard]:
    board = WorkerBoard(held)
    yield board
    board.close()


def states(board: WorkerBoard) -> list[str]:
    return board.table().column("state")


def busy(board: WorkerBoard) -> str:
    """Return the name of the process that works, as soon as there is one."""
    return until(lambda: [row["name"] for row in board.table() if row["state"].startswith("working")])[0]


def at_work(board: WorkerBoard, held: Workers) -> str:
    """Return the name of the process that works when its handler does, too.

    The board knows what was delivered. Asked to stop before it has taken that, a process gives it back and ends.
    """
    name = busy(board)
    held.wait_for_lines("took it")
    return name


def row(board: WorkerBoard, name: str) -> list:
    """Return what is shown of a process: name, state, done, redelivered, printed last, buttons."""
    return next((cells for cells in rows(board) if cells[0] == name), [""] * 6)


def labels(board: WorkerBoard, name: str) -> list[str]:
    """Return what the buttons of a process say."""
    return [button["label"] for button in buttons(board) if button["args"] == [name]]


def test_a_process_goes_from_idle_to_working_and_back_and_what_it_did_is_counted(board, client, gate, lab):
    assert str(board).splitlines() == [
        "name    state  done  redelivered",
        "Held-0  idle      0            0",
        "Held-1  idle      0            0",
    ]
    future = client.submit(str(gate))
    name = busy(board)
    assert board.table()[name]["state"] == "working on request 1"
    until(lambda: row(board, name)[1:4] == ["working on request 1 for 1 s", "0", "0"])
    gate.touch()
    assert future.result(60) == "done"
    lab.wait_for("held", unacked=0)
    assert board.table()[name] == {"name": name, "state": "idle", "done": 1, "redelivered": 0}
    until(lambda: row(board, name)[1:4] == ["idle", "1", "0"])


def test_what_a_killed_process_worked_on_is_redelivered_to_another(board, client, gate, lab):
    future = client.submit(str(gate))
    first = busy(board)
    assert board.kill(first).text == f"kill {first}"
    board.wait()
    assert board.table()[first]["state"] == "dead"
    second = until(lambda: [name for name in [busy(board)] if name != first])[0]
    gate.touch()
    assert future.result(60) == "done"
    lab.wait_for("held", unacked=0)
    assert board.table()[second] == {"name": second, "state": "idle", "done": 1, "redelivered": 1}
    assert board.table()[first] == {"name": first, "state": "dead", "done": 0, "redelivered": 0}


def test_a_paused_process_says_what_it_holds_and_goes_on_with_it(board, client, gate, lab):
    future = client.submit(str(gate))
    name = busy(board)
    board.pause(name)
    assert board.wait().table()[name]["state"] == "paused, holds request 1"
    gate.touch()
    assert not future.done()
    board.resume(name)
    assert future.result(60) == "done"
    lab.wait_for("held", unacked=0)
    assert states(board.wait()) == ["idle", "idle"]


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="this system has no SIGSTOP")
def test_what_is_done_to_a_process_elsewhere_is_seen(board, held):
    os.kill(held[0].pid, signal.SIGSTOP)
    until(lambda: row(board, "Held-0")[1] == "paused")
    os.kill(held[0].pid, signal.SIGKILL)
    until(lambda: row(board, "Held-0")[1] == "dead")
    assert states(board) == ["dead", "idle"]


def test_processes_are_added_stopped_and_scaled(board, held, lab):
    board.add()
    assert states(board.wait()) == ["idle"] * 3
    board.stop("Held-0")
    assert states(board.wait()) == ["stopped", "idle", "idle"]
    board.scale(1)
    assert states(board.wait()) == ["stopped", "idle", "stopped"]
    lab.wait_for("held", consumers=1)
    assert held.names == ["Held-0", "Held-1", "Held-2"]


def test_a_process_that_finishes_its_work_before_it_stops_says_so(board, client, held, gate):
    future = client.submit(str(gate))
    name = at_work(board, held)
    board.stop(name)
    until(lambda: board.table()[name]["state"] == "stopping")
    gate.touch()
    assert future.result(60) == "done"
    assert board.wait().table()[name]["state"] == "stopped"


def test_a_click_does_what_the_method_does(board):
    until(lambda: labels(board, "Held-0") == ["kill -9", "pause", "stop"])
    click(board, "pause", "Held-0")
    board.wait()
    until(lambda: labels(board, "Held-0") == ["kill -9", "resume", "stop"])
    assert states(board) == ["paused", "idle"]
    click(board, "resume", "Held-0")
    assert states(board.wait()) == ["idle", "idle"]
    click(board, "kill", "Held-0")
    click(board, "stop_one", "Held-1")
    click(board, "start_one", 0)
    assert states(board.wait()) == ["dead", "stopped", "idle"]
    until(lambda: labels(board, "Held-0") == labels(board, "Held-1") == [] and labels(board, "Held-2"))


def test_of_those_that_ended_only_the_last_are_shown_and_the_table_has_all(board, monkeypatch):
    monkeypatch.setattr("rpclab.widgets.worker_board.ENDED_SHOWN", 1)
    board.scale(0)
    board.wait()
    until(lambda: "1 that ended before are not shown" in note(board))
    assert [cells[0] for cells in rows(board)] == ["Held-1"]
    assert states(board) == ["stopped", "stopped"]


def test_what_fails_shows_as_a_line_and_the_next_command_is_carried_out(board):
    board.kill("Held-0")
    failed = board.pause("Held-0")
    board.wait()
    assert failed.state == "failed"
    until(lambda: "pause Held-0: Held-0 is dead: there is nothing to pause" in note(board))
    board.add()
    assert states(board.wait()) == ["dead", "idle", "idle"]
    until(lambda: note(board) == "")


def test_a_process_that_cannot_be_started_shows_why(lab, tmp_path):
    trap = tmp_path / "trap"

    class Trapped(Echo):
        def __init__(self):
            super().__init__()
            if trap.exists():
                raise ValueError(HOSTILE)

    with Workers(Trapped, count=1) as trapped:
        board = WorkerBoard(trapped)
        trap.touch()
        board.add()
        board.wait()
        until(lambda: "Trapped-1 ended (exit code 1)" in note(board))
        assert HOSTILE in note(board)
        assert states(board) == ["idle", "dead"]
        board.close()


def test_a_command_returns_before_it_is_carried_out(board, client, held, gate):
    client.submit(str(gate))
    name = at_work(board, held)
    command = board.stop(name)
    assert command.state == "pending"
    assert repr(command) == f"Command('stop {name}')"
    with pytest.raises(LabError, match=f"After 0.1 s this is still being done: stop {name}"):
        board.wait(0.1)
    gate.touch()
    board.wait()
    assert command.state == "done"


@pytest.mark.parametrize("do", [
    lambda board: board.kill("Held-7"), lambda board: board.pause("<b>"), lambda board: board.stop(None),
])
def test_a_name_that_no_process_has_is_refused_with_those_there_are(board, do):
    with pytest.raises(InvalidName, match="Its processes: Held-0, Held-1"):
        do(board)


@pytest.mark.parametrize("index", [1, -1, "0", True, None])
def test_workers_that_the_board_does_not_show_are_refused(board, index):
    with pytest.raises(InvalidOption, match="there are 1 Workers"):
        board.add(index)


def test_what_is_no_workers_is_refused(lab):
    with Workers(Echo, count=0) as workers:
        for wrong in [(), (Echo,), (workers, workers), ("Echo-0",)]:
            with pytest.raises(InvalidOption, match="one or more Workers"):
                WorkerBoard(*wrong)


def test_several_workers_are_told_apart_and_so_are_processes_of_one_name(lab, gate):
    with Workers(Held, count=1, name="Same") as held, Workers(Echo, count=1, name="Same") as echo:
        board = WorkerBoard(held, echo)
        with RpcClient("held") as ask, RpcClient("echo") as also:
            ask.submit(str(gate), timeout=60)
            held.wait_for_lines("took it")
            assert also.call("hello") == "hello"
            lab.wait_for("echo", unacked=0)
            assert states(board) == ["working on request 1", "idle"]
        assert board.table().column("done") == [0, 1]
        with pytest.raises(InvalidName, match="2 processes are called 'Same-0'"):
            board.kill("Same-0")
        board.add(index=1)
        board.wait()
        assert [len(held), len(echo)] == [1, 2]
        assert repr(board) == "WorkerBoard(Same, Same)"
        gate.touch()
        board.close()


def test_two_boards_of_the_same_workers_show_the_same(board, held, client, gate):
    other = WorkerBoard(held)
    client.submit(str(gate))
    name = busy(board)
    until(lambda: str(other) == str(board))
    other.pause(name)
    other.wait()
    assert states(board) == states(other)
    other.close()
    board.resume(name)
    assert board.wait().table()[name]["state"] == "working on request 1"


def test_what_happened_before_the_board_was_made_is_counted(held, client, gate, lab):
    gate.touch()
    assert [client.submit(str(gate)).result(60) for _ in range(4)] == ["done"] * 4
    lab.wait_for("held", unacked=0)
    held.kill(0)
    board = WorkerBoard(held)
    assert sum(board.table().column("done")) == 4
    board.close()


def test_one_that_takes_several_at_once_says_how_many(lab, gate):
    with Workers(Held, 3, count=1) as held, RpcClient("held") as client:
        board = WorkerBoard(held)
        for _ in range(3):
            client.submit(str(gate), timeout=60)
        until(lambda: states(board) == ["working on request 1 and 2 more"])
        gate.touch()
        board.close()


def test_what_a_service_looks_up_in_its_memory_is_no_work(lab):
    with Workers(Echo, 60, count=1) as first, Workers(Echo, 60, count=0, name="Second") as second:
        board = WorkerBoard(first, second)
        with RpcClient("echo") as client:
            first.pause(0)
            future = client.submit("hello", timeout=60)
            lab.wait_for("echo", unacked=1)
            second.start_one()
            first.kill(0)
            assert future.result(60) == "hello"
        lab.wait_for("echo", ready=0, unacked=0)
        assert "echo.answered" in {event.queue for event in list(lab.tap.events) if event.name == "Basic.Deliver"}
        assert board.table()["Second-0"] == {"name": "Second-0", "state": "idle", "done": 1, "redelivered": 1}
        board.close()


def test_deliveries_that_count_as_acknowledged_at_once_are_done_at_once(lab, tmp_path):
    class Careless:
        def start(self):
            connection = connect(connection_parameters())
            channel = connection.channel()
            channel.queue_declare("careless", durable=True)
            print("here", flush=True)
            for _ in channel.consume("careless", auto_ack=True):
                pass

    with Workers(Careless, count=1) as careless, lab.connect() as connection:
        careless.wait_for_lines("here")
        board = WorkerBoard(careless)
        lab.wait_for("careless", consumers=1)
        for _ in range(3):
            connection.channel().basic_publish("", "careless", "x")
        until(lambda: board.table().column("done") == [3])
        assert states(board) == ["idle"]
        board.close()


def test_a_worker_whose_connection_breaks_is_followed_to_the_next_one(board, held, client, gate, lab):
    future = client.submit(str(gate))
    name = busy(board)
    lab.tap.cut(name)
    until(lambda: sum(board.table().column("redelivered")) == 1)
    gate.touch()
    assert future.result(60) == "done"
    lab.wait_for("held", ready=0, unacked=0)
    until(lambda: states(board) == ["idle", "idle"])
    assert sum(board.table().column("done")) == 1


def test_callback_workers_are_shown_with_the_replies_they_take(lab, serve):
    serve(AdditionServer())
    with Workers(CallbackWorker, ADDITION_CALLBACK_QUEUE, count=1) as callbacks, AddClient() as add:
        board = WorkerBoard(callbacks)
        add.send(3, 5, reply_to=ADDITION_CALLBACK_QUEUE)
        callbacks.wait_for_lines("received item '8'")
        lab.wait_for(ADDITION_CALLBACK_QUEUE, ready=0, unacked=0)
        assert board.table().column("done") == [1]
        until(lambda: "received item '8'" in shown(board))
        board.close()


def test_what_a_process_prints_and_is_called_is_handed_to_the_front_end_as_it_is(lab):
    class Loud(Echo):
        def handle(self, body: str) -> str:
            print(body, flush=True)
            return body

    with Workers(Loud, count=1, name=HOSTILE) as loud, RpcClient("echo") as client:
        board = WorkerBoard(loud)
        client.call(HOSTILE)
        until(lambda: row(board, f"{HOSTILE}-0")[4] == HOSTILE)
        board.kill(f"{HOSTILE}-0")
        board.wait()
        board.pause(f"{HOSTILE}-0")
        board.wait()
        until(lambda: "nothing to pause" in note(board))
        board.close()


def test_a_burst_is_counted_to_the_last_one_and_sent_to_the_browser_in_moderation(lab):
    with Workers(Echo, count=2) as echo, RpcClient("echo") as client:
        board = WorkerBoard(echo)
        sent = []
        board.observe(sent.append, "scene")
        begun = lab.story.now
        futures = [client.submit(str(number), timeout=60) for number in range(BURST)]
        assert [future.result(60) for future in futures] == [str(number) for number in range(BURST)]
        lab.wait_for("echo", ready=0, unacked=0)
        assert sum(board.table().column("done")) == BURST
        assert states(board) == ["idle", "idle"]
        board.close()
        took = lab.story.now - begun
        assert len(sent) <= UPDATES_PER_SECOND * took + 2
        assert row(board, "Echo-0")[2] == str(board.table().column("done")[0])


def test_closing_twice_leaves_the_processes_and_no_thread_and_no_subscription(held, lab):
    before = set(threading.enumerate())
    board = WorkerBoard(held)
    board.add()
    board.close()
    board.close()
    assert len(held.pids) == 3
    left = set(threading.enumerate()) - before
    assert {thread.name for thread in left} == {"log of Held-2", "end of Held-2"}
    assert not lab.story._listeners
    with pytest.raises(LabError, match="closed"):
        board.add()


def test_a_board_outlives_its_lab(held, lab):
    board = WorkerBoard(held)
    lab.close()
    assert len(states(board)) == 2
    board.close()


def test_without_a_lab_it_says_what_is_missing(lab):
    with Workers(Echo, count=0) as workers:
        before = threading.active_count()
        lab.close()
        with pytest.raises(LabError, match="No lab is open"):
            WorkerBoard(workers)
        with pytest.raises(LabError, match="was closed"):
            WorkerBoard(workers, lab=lab)
        assert threading.active_count() < before
