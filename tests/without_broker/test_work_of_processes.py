from __future__ import annotations

import pytest
from conversation import Wire

from rpclab.story.worker_activity import Work


@pytest.fixture
def wire() -> Wire:
    return Wire()


def test_what_a_process_took_and_acknowledged_counts_for_its_pid(wire):
    work = Work(wire.story, lambda: None)
    worker = wire.peer("worker", pid=7)
    worker.consumes("addition")
    tag = worker.gets("addition", "3,5", redelivered=True)
    assert (work.of(7).done, work.of(7).redelivered, len(work.of(7).held)) == (0, 1, 1)
    worker.acks(tag)
    assert (work.of(7).done, work.of(7).redelivered, len(work.of(7).held)) == (1, 1, 0)


def test_a_process_that_has_no_pid_yet_gets_no_credit_for_connections_that_tell_none(wire):
    work = Work(wire.story, lambda: None)
    stranger = wire.peer("stranger")
    stranger.consumes("addition")
    stranger.acks(stranger.gets("addition", "3,5"))
    stranger.gets("addition", "4,5")
    assert (work.of(None).done, work.of(None).held) == (0, {})
