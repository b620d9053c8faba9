"""The case study's last part: answers that go to a callback queue which several processes share."""

from __future__ import annotations

import pytest
from waiting import until

from rpclab import ADDITION_CALLBACK_QUEUE, AddClient, AdditionServer, CallbackWorker, Workers


@pytest.fixture
def add(lab, serve):
    serve(AdditionServer())
    with AddClient() as add:
        yield add


@pytest.fixture
def listeners(lab):
    with Workers(CallbackWorker, ADDITION_CALLBACK_QUEUE, count=2, name="Listener") as listeners:
        yield listeners


def test_answers_reach_the_callback_workers_and_two_of_them_share(lab, add, listeners):
    for number in range(10):
        add.send(number, 100, reply_to=ADDITION_CALLBACK_QUEUE)
    lines = listeners.wait_for_lines("received item", count=10)
    assert sorted(int(line.split("'")[1]) for line in lines) == [100 + number for number in range(10)]
    assert all(any(name in line for line in lines) for name in listeners.names)
    lab.wait_for(ADDITION_CALLBACK_QUEUE, ready=0, unacked=0, consumers=2)


def test_a_line_says_which_process_got_what(add, listeners):
    add.send(3, 5, reply_to=ADDITION_CALLBACK_QUEUE)
    (line,) = listeners.wait_for_lines("received item")
    worker = next(worker for worker in (listeners[0], listeners[1]) if worker.log[1:])
    process = f"{worker.name} (PID: {worker.pid})"
    assert line == f" [x] {ADDITION_CALLBACK_QUEUE} worker with (Process: {process}) received item '8'"


def test_bytes_that_are_no_text_do_not_end_a_callback_worker(lab, listeners):
    lab.connect().channel().basic_publish("", ADDITION_CALLBACK_QUEUE, b"\xff\xfe")
    (line,) = listeners.wait_for_lines("received item")
    assert line.endswith(r"received item '\xff\xfe'")
    assert len(listeners.pids) == 2


def test_a_worker_whose_queue_is_deleted_says_why_it_ends(lab, listeners):
    lab.delete(ADDITION_CALLBACK_QUEUE)
    listeners.wait_for_lines("the broker cancelled the consumer on queue", count=2)
    for listener in (listeners[0], listeners[1]):
        until(lambda listener=listener: not listener.alive)
        assert listener.exitcode == 0
