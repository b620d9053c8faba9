"""No picture shows an effect before its cause, whatever order the tap has seen; and chance changes no picture."""

from __future__ import annotations

import random
from collections import defaultdict

import pytest
from conversation import Wire
from pictures import effects_before_causes
from recording import replay, told
from simulation import Simulation

from rpclab.story.causal import in_causal_order
from rpclab.story.story import Story
from rpclab.wire.registry import Registry

RECORDINGS = ["a_call", "a_killed_worker", "dead_letters_and_returns"]


def steps_of(story: Story) -> list:
    return sorted((step for message in story.messages for step in message.steps), key=lambda step: step.order)


def rows(steps: list, keep) -> dict:
    """Return the orders of the steps of each kind; ``keep`` says of which kind one is."""
    found = defaultdict(list)
    for step in steps:
        if (kind := keep(step)) is not None:
            found[kind].append(step.order)
    return found


@pytest.mark.parametrize("begin", range(0, 400, 50))
def test_no_effect_is_drawn_before_its_cause_in_whatever_order_the_tap_saw_them(begin):
    for seed in range(begin, begin + 50):
        story = Simulation(seed).run().story
        picture = str(story.sequence(most=1000))
        assert effects_before_causes(picture) == [], f"seed {seed}\n{picture}"
        assert not any(name in picture for name in ("again", "unmatched", "holds")), f"seed {seed}\n{picture}"


def test_no_connection_and_no_queue_delivers_in_another_order_than_the_tap_saw():
    for seed in range(200):
        steps = steps_of(Simulation(seed).run().story)
        drawn = in_causal_order(steps)
        assert sorted(step.order for step in drawn) == [step.order for step in steps]
        for keep in (
            lambda step: step.link,
            lambda step: step.queue if step.what == "delivered" else None,
            lambda step: step.message.number,
        ):
            assert rows(drawn, keep) == rows(steps, keep), f"seed {seed}"


def test_what_the_tap_saw_clearly_apart_stays_apart():
    for seed in range(100):
        drawn = in_causal_order(steps_of(Simulation(seed).run().story))
        latest, before = 0.0, None
        for step in drawn:
            assert step.time >= latest - 0.1
            if before is None or step.link != before.link:  # else it may belong to what its connection did before
                latest = max(latest, step.time)
            before = step


@pytest.mark.parametrize("name", RECORDINGS)
def test_of_the_recordings_no_effect_is_drawn_before_its_cause_however_close_they_are(name):
    registry = Registry()
    at_once = Story(registry.shown)
    replay(name, lambda event: at_once.take(registry.take(event)), speed=float("inf"))
    assert effects_before_causes(str(told(name).sequence())) == []
    assert str(at_once.sequence()) == str(told(name).sequence())


def in_some_order(seed: int) -> str:
    """Return the picture of three calls that go on at the same time, in an order that is left to chance."""
    chance, wire = random.Random(seed), Wire(seconds_between=0.001)
    calls = []
    for name in "abc":
        client, server = wire.peer(f"client {name}"), wire.peer(f"server {name}")
        wire.peer("admin").declares(name)
        client.declares_its_own(f"amq.gen-{name}")
        client.consumes(f"amq.gen-{name}", auto_ack=True)
        server.consumes(name)
        calls.append((name, client, server))
    asked = {"reply_to": "amq.gen-{}", "correlation_id": "1"}

    def call(name, client, server):
        properties = asked | {"reply_to": f"amq.gen-{name}"}
        tag = server.gets(name, "x", **properties)
        yield
        server.publishes(f"amq.gen-{name}", "y", correlation_id="1")
        yield from ends(name, client, server, tag)

    def ends(name, client, server, tag):
        both = [lambda: server.acks(tag), lambda: client.gets(f"amq.gen-{name}", "y", correlation_id="1")]
        chance.shuffle(both)
        for end in both:
            end()
            yield

    under_way = []
    while calls or under_way:
        if calls and (not under_way or chance.random() < 0.5):
            name, client, server = calls.pop(0)
            client.publishes(name, "x", **asked | {"reply_to": f"amq.gen-{name}"})
            under_way.append(call(name, client, server))
        else:
            going = chance.choice(under_way)
            if next(going, "over") == "over":
                under_way.remove(going)
    return str(wire.story.sequence())


def test_where_only_chance_differs_the_picture_is_the_same():
    assert len({in_some_order(seed) for seed in range(200)}) == 1


@pytest.mark.parametrize(("late", "last"), [
    (0.4, "keeper -> queue kept: ack reply to request 1"), (0.6, "server -> queue work: ack request 1"),
])
def test_a_busy_server_may_acknowledge_when_its_reply_is_used_already(late, last):
    wire = Wire(seconds_between=0.001)
    for queue in ("work", "kept"):
        wire.peer("admin").declares(queue)
    client, server, keeper = (wire.peer(name) for name in ("client", "server", "keeper"))
    server.consumes("work")
    keeper.consumes("kept")
    client.publishes("work", "x", reply_to="kept", correlation_id="1")
    tag = server.gets("work", "x", reply_to="kept", correlation_id="1")
    server.publishes("kept", "y", correlation_id="1")
    keeper.acks(keeper.gets("kept", "y", correlation_id="1"))
    wire.time += late
    server.acks(tag)
    assert str(wire.story.sequence()).splitlines()[-1] == last


def test_what_a_process_does_on_one_connection_may_be_the_effect_of_what_it_got_on_another():
    wire = Wire(seconds_between=0.001)
    for queue in ("outer", "inner", "results", "answers"):
        wire.peer("admin").declares(queue)
    client, helper = wire.peer("client"), wire.peer("helper")
    serving, asking = wire.peer("server", pid=7), wire.peer("server's client", pid=7)
    serving.consumes("outer")
    helper.consumes("inner")
    asking.consumes("answers", auto_ack=True)
    client.publishes("outer", "x", reply_to="results", correlation_id="1")
    tag = serving.gets("outer", "x", reply_to="results", correlation_id="1")
    asking.publishes("inner", "y", reply_to="answers", correlation_id="1")
    inner = helper.gets("inner", "y", reply_to="answers", correlation_id="1")
    helper.publishes("answers", "z", correlation_id="1")
    helper.acks(inner)
    asking.gets("answers", "z", correlation_id="1")
    serving.publishes("results", "w", correlation_id="1")
    serving.acks(tag)
    assert [line.partition(": ")[2] for line in str(wire.story.sequence()).splitlines()][:9] == [
        "request 1: x", "request 1", "request 2: y", "request 2", "reply to request 2: z", "ack request 2",
        "reply to request 2", "reply to request 1: w", "ack request 1",
    ]
