from __future__ import annotations

import pytest
from conversation import Wire
from pika import spec

from rpclab.findings import diagnose

UNKNOWN_TAG = "PRECONDITION_FAILED - unknown delivery tag {}"


@pytest.fixture
def boss(wire):
    boss = wire.peer("boss")
    boss.declares("work")
    return boss


@pytest.fixture
def worker(wire, boss):
    worker = wire.peer("worker")
    worker.limits(2)
    worker.consumes("work")
    return worker


def give(boss, worker, *bodies, **properties):
    """Publish messages, have them delivered, and return their tags."""
    for body in bodies:
        boss.publishes("work", body, delivery_mode=2, **properties)
    return [worker.gets("work", body, delivery_mode=2, **properties) for body in bodies]


def refuse(worker, tag, *, channel=1):
    worker.is_refused(spec.Basic.Ack, 406, UNKNOWN_TAG.format(tag), channel=channel)


def test_a_worker_that_works_is_not_said_to_forget(found, boss, worker, wire):
    give(boss, worker, "one", "two")
    boss.publishes("work", "three", delivery_mode=2)
    wire.time += 3
    boss.publishes("work", "four", delivery_mode=2)
    assert found() == []


def test_a_worker_that_has_used_up_its_prefetch_and_does_nothing(boss, worker, wire):
    give(boss, worker, "one", "two")
    wire.time += 6
    boss.publishes("work", "three", delivery_mode=2)
    (finding,) = diagnose(wire.story)
    assert (finding.rule, finding.gravity) == ("never-acked", "hint")
    assert "prefetch limit of 2 is used up" in finding.meaning


def test_a_worker_that_has_replied_and_not_acknowledged(boss, worker, wire):
    boss.declares_its_own("amq.gen-1")
    boss.consumes("amq.gen-1", auto_ack=True)
    give(boss, worker, "one", reply_to="amq.gen-1", correlation_id="a")
    worker.publishes("amq.gen-1", "done", correlation_id="a")
    (finding,) = diagnose(wire.story)
    assert (finding.rule, finding.gravity) == ("never-acked", "error")


def test_a_worker_that_dies_between_reply_and_acknowledgement_is_not_said_to_forget(found, boss, worker, wire):
    boss.declares_its_own("amq.gen-1")
    boss.consumes("amq.gen-1", auto_ack=True)
    other = wire.peer("other")
    other.consumes("work")
    give(boss, worker, "one", reply_to="amq.gen-1", correlation_id="a")
    worker.publishes("amq.gen-1", "done", correlation_id="a")
    worker.ends()
    assert found() == []


def test_an_acknowledgement_twice(boss, worker, wire, found):
    other = wire.peer("other")
    other.consumes("work")
    (tag,) = give(boss, worker, "one")
    worker.acks(tag)
    worker.acks(tag)
    refuse(worker, tag)
    (finding,) = diagnose(wire.story)
    assert finding.rule == "acked-twice"
    assert [one.message for one in finding.evidence] == [1, None]
    assert "Basic.Ack" in finding.evidence[1].text


def test_an_acknowledgement_with_auto_ack(boss, wire, found):
    worker = wire.peer("worker")
    worker.consumes("work", auto_ack=True)
    (tag,) = give(boss, worker, "one")
    worker.acks(tag)
    refuse(worker, tag)
    assert found() == ["acked-with-auto-ack"]


def test_an_acknowledgement_on_another_channel(boss, worker, found):
    (tag,) = give(boss, worker, "one")
    worker.acks(tag, channel=2)
    refuse(worker, tag, channel=2)
    assert found() == ["acked-on-another-channel"]


def test_an_acknowledgement_after_connecting_again(boss, worker, wire, found):
    (tag,) = give(boss, worker, "one")
    worker.ends()
    again = wire.peer("worker")
    again.consumes("work")
    again.acks(tag)
    refuse(again, tag)
    assert found() == ["acked-after-reconnect", "queue-without-consumer"]


def test_an_acknowledgement_of_what_was_never_delivered(boss, worker, wire, found):
    worker.acks(7)
    refuse(worker, 7)
    assert found() == ["acked-unknown-tag"]


def test_the_acknowledgement_timeout_names_what_was_held(boss, worker, wire):
    other = wire.peer("other")
    other.consumes("work")
    give(boss, worker, "one")
    said = "PRECONDITION_FAILED - delivery acknowledgement on channel 1 timed out. Timeout value used: 1800000 ms."
    worker.hears(spec.Channel.Close(406, said, 0, 0))
    (finding,) = diagnose(wire.story)
    assert finding.rule == "acknowledgement-timeout"
    assert finding.evidence[0].message == 1


@pytest.mark.parametrize(("queue_type", "rule"), [
    ("quorum", "acknowledgement-timeout"), ("classic", "consumer-cancelled"),
])
def test_a_cancelled_consumer_had_held_a_message_for_too_long_if_it_comes_again(wire, queue_type, rule):
    # RabbitMQ 4.3 ends neither channel nor connection; a classic queue has no limit there.
    boss, worker, heir = map(wire.peer, ("boss", "worker", "heir"))
    boss.declares("jobs", x_queue_type=queue_type)
    worker.consumes("jobs")
    boss.publishes("jobs", "one", delivery_mode=2)
    worker.gets("jobs", "one", delivery_mode=2)
    worker.hears(spec.Basic.Cancel(consumer_tag="jobs"))
    heir.consumes("jobs")
    assert [finding.rule for finding in diagnose(wire.story)] == ["consumer-cancelled"]
    heir.acks(heir.gets("jobs", "one", redelivered=True, delivery_mode=2))
    (finding,) = diagnose(wire.story)
    assert finding.rule == rule
    if queue_type == "quorum":
        assert finding.title == "worker held message 1 longer than the broker allows"
        assert finding.evidence[-1].text == "the broker cancelled a consumer of worker"


def test_requests_that_are_lost_with_auto_ack(boss, wire, found):
    worker, other = wire.peer("worker"), wire.peer("other")
    worker.consumes("work", auto_ack=True)
    other.consumes("work", auto_ack=True)
    boss.declares_its_own("amq.gen-1")
    boss.consumes("amq.gen-1", auto_ack=True)
    give(boss, worker, "one", reply_to="amq.gen-1", correlation_id="a")
    assert found() == []
    worker.ends()
    assert found() == ["auto-ack-loss"]


@pytest.mark.parametrize(("times", "rules"), [(5, []), (12, ["requeue-loop"])])
def test_a_message_that_goes_back_and_forth(boss, worker, found, times, rules):
    boss.publishes("work", "one", delivery_mode=2)
    for turn in range(times):
        worker.gives_back(worker.gets("work", "one", redelivered=turn > 0, delivery_mode=2))
    worker.gets("work", "one", redelivered=True, delivery_mode=2)
    assert found() == rules


@pytest.mark.parametrize(("deaths", "gravity"), [(1, None), (2, "warning"), (3, "error")])
def test_a_message_that_workers_die_of(boss, wire, deaths, gravity):
    boss.publishes("work", "one", delivery_mode=2)
    for turn in range(deaths):
        worker = wire.peer("worker")
        worker.consumes("work")
        worker.gets("work", "one", redelivered=turn > 0, delivery_mode=2)
        worker.ends()
    last = wire.peer("last")
    last.consumes("work")
    tag = last.gets("work", "one", redelivered=True, delivery_mode=2)
    findings = [(one.rule, one.gravity) for one in diagnose(wire.story)]
    assert findings == ([("poison", gravity)] if gravity else [])
    last.acks(tag)
    assert not diagnose(wire.story).findings


@pytest.mark.parametrize(("prefetch", "rules"), [(0, ["unlimited-prefetch"]), (3, [])])
def test_one_worker_that_sits_on_the_work(prefetch, rules):
    wire = Wire(seconds_between=0.3)
    boss, busy, idle = (wire.peer(name) for name in ("boss", "busy", "idle"))
    boss.declares("work")
    for worker in (busy, idle):
        worker.limits(prefetch)
        worker.consumes("work")
    give(boss, busy, "one", "two", "three")
    wire.time += 3
    boss.declares("other")
    found = diagnose(wire.story).findings
    assert [one.rule for one in found] == rules
    if found:
        assert found[0].title.startswith("busy held 3 messages of queue 'work' while idle")
