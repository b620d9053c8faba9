from __future__ import annotations

import socket
import threading

import pytest

from rpclab import AdditionServer, CallbackWorker, InvalidOption, RpcServer, Workers


class Idle:
    """Something that `Workers` can run; here it never does."""

    def start(self):
        raise AssertionError("no process is started for a wrong argument")


@pytest.mark.parametrize("count", [-1, 65, 1.0, "2", None, True])
def test_a_count_that_is_no_number_of_processes_is_refused(count):
    with pytest.raises(InvalidOption, match="count="):
        Workers(Idle, count=count)


def test_no_processes_are_a_pool_that_can_be_scaled_up_later():
    with Workers(Idle, count=0) as workers:
        assert (len(workers), workers.names, workers.pids, workers.log) == (0, [], [], "")
        assert repr(workers) == "Workers(none)"


@pytest.mark.parametrize("cls", [int, "AdditionServer", None, lambda: None])
def test_what_has_no_start_method_is_refused(cls):
    with pytest.raises(InvalidOption, match="start method"):
        Workers(cls)


def test_a_server_that_was_made_already_is_refused():
    with pytest.raises(InvalidOption, match="class"):
        Workers(Idle())


@pytest.mark.parametrize("prefetch", [0, -1, 1001, "1", 1.5, True])
def test_a_prefetch_that_is_no_number_of_requests_is_refused(prefetch):
    with pytest.raises(InvalidOption, match="prefetch="):
        RpcServer("queue", str, prefetch=prefetch)


def test_processes_are_named_after_their_class_unless_told_otherwise():
    assert Workers(AdditionServer, count=0).name == "AdditionServer"
    assert Workers(CallbackWorker, "answers", count=0, name="Listener").name == "Listener"


@pytest.mark.parametrize("make", [threading.Lock, socket.socket, lambda: (n for n in "ab")])
def test_what_cannot_be_sent_to_a_process_is_named(make):
    thing = make()
    try:
        with pytest.raises(InvalidOption, match=rf"send a {type(thing).__name__} to .* in the __init__ of Idle"):
            Workers(Idle, {"deep": [thing]}, count=0)
    finally:
        getattr(thing, "close", str)()
