"""Code that hangs, ends the process, shouts or breaks what it uses: all is survived, ended in time, and explained."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator

import psutil
import pytest
from cells import assert_says, cell
from waiting import until

import rpclab
from rpclab.broker.environment import URL_VARIABLE
from rpclab.course import catalogue
from rpclab.course.exercise_runner import consume
from rpclab.course.trial import open_trial
from rpclab.lab import current_lab

LONGEST_CHECK_SECONDS = 15

ANSWERS = {
    "hangs": ("while True: pass", "`1,2` was never acknowledged or rejected.*Ready behind it: 2"),
    "raises": ("raise LookupError('no such thing')", r"raised `LookupError: no such thing` in `on_request`, at `raise"),
    "leaves politely": ("import sys; sys.exit(3)", "called `sys.exit` in `on_request`"),
    "stumbles as it leaves": (
        "import contextlib, sys\n    with contextlib.ExitStack() as ended:\n"
        "        ended.callback(lambda: [][0])\n        sys.exit(3)", "called `sys.exit` in `on_request`",
    ),
    "leaves at once": ("import os; os._exit(5)", r"ended silently \(exit code 5\)"),
    "kills itself": ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", r"\(exit code -9\)"),
    "shouts": ("[print('x' * 500) for _ in range(5_000)]; raise KeyError('heard')", "raised `KeyError: 'heard'`"),
    "closes": ("ch.connection.close(); ch.basic_ack(1)", "raised `(ChannelWrongStateError|ConnectionWrongStateError)"),
    "closes its eyes": ("import sys; sys.stdout = sys.stderr = None; raise KeyError(1)", "raised `KeyError: 1`"),
    "cannot be told": (
        "raise type('Odd', (Exception,), {'__str__': lambda self: 1 / 0})",
        r"raised `Odd: \(its message cannot be shown\)`",
    ),
    "deletes the queue": ("ch.queue_delete('sums'); ch.queue_declare('sums', passive=True)", "`sums`, and no program"),
}


@pytest.fixture
def exercise():
    return catalogue.exercise("04-end-the-loop")


@pytest.fixture
def no_process_is_left() -> Iterator[None]:
    """See that each process that a test has started is over."""
    before = {child.pid for child in psutil.Process().children()}
    yield
    assert [child for child in psutil.Process().children() if child.pid not in before] == []


@pytest.mark.parametrize("kind", ANSWERS)
def test_what_an_answer_does_to_its_process_is_survived_and_explained(exercise, kind, no_process_is_left):
    line, words = ANSWERS[kind]
    begun = time.monotonic()
    verdict = exercise.check(cell(f"def on_request(ch, method, properties, body):\n    {line}\n", "on_request"))
    assert time.monotonic() - begun < LONGEST_CHECK_SECONDS
    assert_says(verdict, "wrong", words)


def test_what_it_printed_last_is_shown_and_cut_and_not_interpreted(exercise):
    line = "print('<img src=x>' + 'y' * 500); raise KeyError('<b>')"
    verdict = exercise.check(cell(f"def on_request(ch, method, properties, body):\n    {line}\n", "on_request"))
    assert len(verdict.said) == 1
    assert len(verdict.said[0]) <= 120
    assert "What your code printed last:\n  <img src=x>yyy" in repr(verdict)
    assert "<img" not in verdict._repr_html_()
    assert "<b>" not in verdict._repr_html_()


def test_a_connection_of_the_notebook_is_named_when_it_cannot_be_sent(exercise, lab):
    with lab.connect() as connection:
        source = "def on_request(ch, method, properties, body):\n    channel.basic_ack(method.delivery_tag)\n"
        verdict = exercise.check(cell(source, "on_request", channel=connection.channel(), harmless=3))
    assert_says(verdict, "wrong", r"Your code uses `channel` of this notebook.*connection_parameters")


def test_the_learners_own_lab_is_as_it_was(exercise, lab):
    lab.connect().channel().queue_declare("mine", durable=True)
    environment = dict(os.environ)
    exercise.check(cell(exercise.solved, exercise.name))
    assert current_lab() is lab
    assert dict(os.environ) == environment
    assert lab.queues().column("name") == ["mine"]


def test_without_a_lab_there_is_none_afterwards_either(exercise):
    exercise.check(cell(exercise.solved, exercise.name))
    assert URL_VARIABLE not in os.environ
    with pytest.raises(rpclab.LabError, match="No lab is open"):
        current_lab()


def test_a_trial_leaves_no_process_no_thread_and_no_virtual_host(exercise, lab, worker_id, no_process_is_left):
    before = set(threading.enumerate())
    with open_trial(f"ends-{worker_id}") as trial:
        assert exercise.judge(trial, cell(exercise.solved, exercise.name))
        vhost = trial.lab.vhost
        assert lab._api.get("vhosts", vhost) is not None
    until(lambda: set(threading.enumerate()) <= before)
    assert lab._api.get("vhosts", vhost) is None


def test_a_trial_that_breaks_off_is_ended_as_well(lab, worker_id, no_process_is_left):
    def break_off() -> None:
        with open_trial(f"breaks-{worker_id}") as trial:
            trial.declare("letters")
            trial.run("Reader", consume, print, "letters")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        break_off()
    assert current_lab() is lab
    assert os.environ[URL_VARIABLE] == lab.url


def test_a_verdict_is_the_same_each_time(exercise):
    answer = cell(exercise.solved.replace("reject", "ack").replace(", requeue=False", ""), exercise.name)
    first, second = exercise.check(answer), exercise.check(answer)
    assert not first
    assert repr(first) == repr(second)
    assert first._repr_html_() == second._repr_html_()


def test_an_unknown_id_lists_those_of_its_lesson():
    with pytest.raises(rpclab.InvalidOption, match=r"'04-nonsense'\. Lesson 04 has: 04-ack-after-work, 04-end"):
        catalogue.exercise("04-nonsense")
    with pytest.raises(rpclab.InvalidOption, match=r"ids begin with a lesson, .*04, 05"):
        catalogue.exercise("99-nonsense")
