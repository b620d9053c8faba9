"""Processes that run servers: how they start, what is known of them, and how many there are."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from rpclab import InvalidOption, LabError, RpcClient, RpcServer, WorkerFailed, Workers

AT_ONCE_SECONDS = 0.5


class Echo(RpcServer):
    """Answers with what it was asked."""

    def __init__(self, queue: str = "echo"):
        super().__init__(queue)

    def handle(self, body: str) -> str:
        return body


def test_a_class_defined_in_a_function_is_sent_by_value(lab):
    mark = "!"

    class Shout(RpcServer):
        def __init__(self):
            super().__init__("shout")

        def handle(self, body: str) -> str:
            return body.upper() + mark

    with Workers(Shout, count=1), RpcClient("shout") as client:
        assert client.call("hello") == "HELLO!"


def test_arguments_go_to_each_server_and_processes_are_named_and_numbered(lab):
    with Workers(Echo, "other", count=2, name="Parrot") as parrots, RpcClient("other") as client:
        assert parrots.names == ["Parrot-0", "Parrot-1"]
        assert len(set(parrots.pids)) == 2
        answers = [client.submit(str(n)) for n in range(20)]
        assert [future.result(60) for future in answers] == [str(n) for n in range(20)]
        assert {future.worker for future in answers} == {"Parrot-0", "Parrot-1"}
        rows = [(row["name"], row["pid"], row["state"]) for row in parrots.table()]
        assert rows == [(name, pid, "running") for name, pid in zip(parrots.names, parrots.pids, strict=True)]
        assert repr(parrots) == "Workers(Parrot-0 running, Parrot-1 running)"


def test_what_processes_print_is_kept_line_by_line(lab):
    class Chatty(Echo):
        def handle(self, body: str) -> str:
            print("heard", end=" ")
            print(body, "twice\nand again")
            return body

    with Workers(Chatty, count=1) as chatty, RpcClient("echo") as client:
        client.call("grüße")
        assert chatty.wait_for_lines("grüße") == ["heard grüße twice"]
        assert chatty.wait_for_lines("and again") == ["and again"]
        assert "heard grüße twice\nand again" in chatty.log


def test_waiting_for_lines_that_do_not_come_says_how_many_did(lab):
    refused = pytest.raises(LabError, match=r"0 of 1 lines with 'nonsense'.*workers\.log")
    with Workers(Echo, count=1) as echo, refused:
        echo.wait_for_lines("nonsense", timeout=0.1)


def test_more_and_fewer_processes(lab):
    with Workers(Echo, count=1) as echo:
        first = echo.pids
        echo.scale(3)
        assert len(echo.pids) == 3
        assert echo.pids[:1] == first
        lab.wait_for("echo", consumers=3)
        echo.scale(1)
        assert echo.pids == first
        assert [row["state"] for row in echo.table()] == ["running", "stopped", "stopped"]
        lab.wait_for("echo", consumers=1)
        echo.scale(0)
        assert echo.pids == []


def test_one_process_more_and_one_less(lab):
    with Workers(Echo, count=2) as echo:
        added = echo.start_one()
        assert (added.name, added.state) == ("Echo-2", "running")
        lab.wait_for("echo", consumers=3)
        echo.stop_one(0)
        assert [row["state"] for row in echo.table()] == ["stopped", "running", "running"]
        lab.wait_for("echo", consumers=2)
        echo.stop_one(0)
        assert echo[0].exitcode == 0
        assert echo.start_one().name == "Echo-3"


def test_asking_a_dead_process_to_stop_does_not_make_it_one_that_stopped(lab):
    with Workers(Echo, count=1) as echo:
        echo.kill(0)
        echo.stop_one(0)
        assert echo[0].state == "dead"


def test_one_process_that_fails_to_start_leaves_the_others_alone(lab, tmp_path):
    trap = tmp_path / "trap"

    class Trapped(Echo):
        def __init__(self):
            super().__init__()
            if trap.exists():
                raise ValueError("it snapped")

    with Workers(Trapped, count=1) as trapped, RpcClient("echo") as client:
        trap.touch()
        with pytest.raises(WorkerFailed, match=r"Trapped-1 ended [^$]*it snapped"):
            trapped.start_one()
        assert [row["state"] for row in trapped.table()] == ["running", "dead"]
        assert client.call("hello") == "hello"


def test_there_are_64_processes_at_the_most(monkeypatch, lab):
    monkeypatch.setattr("rpclab.rpc.workers.MOST", 2)
    with Workers(Echo, count=2) as echo:
        with pytest.raises(InvalidOption, match="Echo has 2 processes already"):
            echo.start_one()
        echo.kill(0)
        assert echo.start_one().name == "Echo-2"


def test_several_threads_start_stop_and_end_processes_at_the_same_time(lab):
    with Workers(Echo, count=2) as echo, ThreadPoolExecutor(6) as threads:
        deeds = [
            threads.submit(echo.kill, 0), threads.submit(echo.start_one), threads.submit(echo.stop_one, 1),
            threads.submit(echo.start_one), threads.submit(echo.kill, 0), threads.submit(echo.stop_one, 1),
        ]
        while not all(deed.done() for deed in deeds):
            assert set(echo.table().column("state")) <= {"starting", "running", "stopped", "dead"}
        for deed in deeds:
            deed.result()
        assert echo.names == ["Echo-0", "Echo-1", "Echo-2", "Echo-3"]
        assert echo.table().column("state") == ["dead", "stopped", "running", "running"]
        assert [worker.exitcode for worker in echo] == [-signal.SIGKILL, 0, None, None]
        for scaling in [threads.submit(echo.scale, 3) for _ in range(3)]:
            scaling.result()
        assert len(echo.pids) == 3
        lab.wait_for("echo", consumers=3)


def test_a_server_that_cannot_be_made_fails_with_its_traceback(lab):
    class Broken(Echo):
        def __init__(self):
            super().__init__()
            raise ValueError("no such thing")

    with pytest.raises(WorkerFailed, match="ValueError: no such thing") as failed:
        Workers(Broken, count=1)
    assert "Traceback (most recent call last)" in str(failed.value)
    assert "Broken-0 ended (exit code 1)" in str(failed.value)


def test_a_server_that_ends_before_it_consumes_fails(lab):
    class Brief(Echo):
        def start(self):
            print("had enough")

    with pytest.raises(WorkerFailed, match=r"Brief-0 ended \(exit code 0\)[^$]*had enough"):
        Workers(Brief, count=1)


def test_a_server_that_dies_of_its_first_message_has_started(lab):
    class Poisoned:
        def when_consuming(self, callback):
            self.consuming = callback

        def start(self):
            print("\n" * 60_000)  # read after the process has ended, and what follows too
            self.consuming()
            os.kill(os.getpid(), signal.SIGKILL)

    with Workers(Poisoned, count=1) as poisoned:
        poisoned[0].join(10)
        assert poisoned[0].state == "dead"


def test_one_that_fails_ends_the_others_that_were_started_with_it(lab):
    class Moody(Echo):
        def __init__(self):
            import multiprocessing

            super().__init__()
            if multiprocessing.current_process().name.endswith("-1"):
                raise ValueError("not me")

    with pytest.raises(WorkerFailed, match="Moody-1"):
        Workers(Moody, count=2)
    lab.wait_for("echo", consumers=0)


def test_without_a_lab_a_worker_says_what_is_missing(lab):
    lab.close()
    with pytest.raises(WorkerFailed, match="No lab is open"):
        Workers(Echo, count=1)


def test_a_class_without_a_connection_of_ours_can_be_run_as_well(lab):
    class Loner:
        def start(self):
            print("alone")
            import threading

            threading.Event().wait()

    with Workers(Loner, count=1) as loner:
        loner.wait_for_lines("alone")
        assert loner[0].state == "running"
    assert loner[0].state == "stopped"


def test_processes_started_before_one_that_the_system_refuses_are_ended(lab, monkeypatch):
    started, popen = [], subprocess.Popen

    def start(*arguments, **options) -> subprocess.Popen:
        if len(started) == 2:
            raise BlockingIOError(11, "Resource temporarily unavailable")
        started.append(popen(*arguments, **options))
        return started[-1]

    with Workers(Echo, count=1) as echo:
        with monkeypatch.context() as patch:
            patch.setattr("rpclab.rpc.processes.worker.subprocess.Popen", start)
            with pytest.raises(WorkerFailed, match=r"Echo-3 could not be started: .*temporarily unavailable"):
                echo.scale(5)
        assert [process.poll() for process in started] == [0, 0]
        assert echo.table().column("state")[0] == "running"
        assert len(echo.pids) == 1
        echo.scale(2)
        assert len(echo.pids) == 2


def test_what_a_server_starts_neither_takes_its_orders_nor_keeps_its_log_open(lab, tmp_path):
    pids = tmp_path / "pids"

    class Parent(Echo):
        def __init__(self):
            super().__init__()
            child = subprocess.Popen(["sh", "-c", "read order; echo $order >&2; exec sleep 60"])
            pids.write_text(str(child.pid))

    with Workers(Parent, count=1) as parent, RpcClient("echo") as client:
        assert client.call("hello") == "hello"
        try:
            parent.stop()
            assert (parent[0].state, parent[0].exitcode) == ("stopped", 0)
            assert not parent[0]._listener.is_alive()
        finally:
            os.kill(int(pids.read_text()), signal.SIGKILL)


def test_a_process_prints_what_it_likes_and_each_line_is_kept(lab):
    class Odd(Echo):
        def __init__(self):
            super().__init__()
            print("a\rb")
            print("\udcff half", end="")

    with Workers(Odd, count=1) as odd:
        odd.stop()
        assert odd[0].log[0] == "a\rb"
        assert odd[0].log[1].startswith(r"\udcff half [x] Server Odd-0")


def of_this_process(lab) -> dict[str, object]:
    connection = lab.connect()
    return {
        "Lab": lab,
        "RpcClient": RpcClient("echo"),
        "BlockingConnection": connection,
        "BlockingChannel": connection.channel(),
        "Story": lab.story,
        "Workers": Workers(Echo, count=0),
    }


def test_what_belongs_to_this_process_is_refused_as_an_argument_wherever_it_is(lab):
    things = of_this_process(lab)
    try:
        for kind, thing in things.items():

            class Uses(Echo):
                def handle(self, body: str, thing=thing) -> str:
                    return f"{body} {thing}"

            class Has(Echo):
                """Something that a class refers to is sent with it."""

            Has.thing = thing
            for attempt in (
                lambda thing=thing: Workers(Echo, thing),
                lambda thing=thing: Workers(Echo, [{"deep": (thing,)}]),
                lambda thing=thing: Workers(RpcServer, "echo", lambda body: thing),
                lambda thing=thing: Workers(RpcServer, "echo", thing.close if hasattr(thing, "close") else thing.stop)
                if hasattr(thing, "close") or hasattr(thing, "stop") else Workers(Echo, thing),
                lambda uses=Uses: Workers(uses),
                lambda has=Has: Workers(has),
            ):
                before = time.perf_counter()
                with pytest.raises(InvalidOption, match=rf"would have to send an? {kind} to .* __init__ of \w+"):
                    attempt()
                assert time.perf_counter() - before < AT_ONCE_SECONDS
    finally:
        things["RpcClient"].close()
