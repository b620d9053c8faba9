"""What the lab keeps of connections, queues and messages that are gone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping

from conversation import Wire
from pika import spec

from rpclab.story.worker_activity import Work
from rpclab.wire import follower, journal, registry, routing

DIRECT = "amq.rabbitmq.reply-to"


def sizes(*things: object) -> dict[str, int]:
    """Return the size of each collection that is reached from some objects of the wire."""
    found, seen, waiting = Counter(), set(), [("", thing) for thing in things]
    while waiting:
        path, thing = waiting.pop()
        if id(thing) in seen:
            continue
        seen.add(id(thing))
        if isinstance(thing, Mapping):
            found[path] = max(found[path], len(thing))
            waiting += [(f"{path}[]", value) for value in thing.values()]
        elif isinstance(thing, Collection) and not isinstance(thing, str | bytes):
            found[path] = max(found[path], len(thing))
            waiting += [(f"{path}[]", value) for value in thing]
        elif type(thing).__module__.startswith("rpclab.wire") and hasattr(thing, "__dict__"):
            waiting += [(f"{path}.{name}", value) for name, value in vars(thing).items()]
    return found


def a_short_life(wire: Wire, number: int, server) -> None:
    """Open a connection that asks in each way, with queues and bindings of its own, and end it."""
    client, own = wire.peer("client", pid=number), f"amq.gen-{number}"
    client.declares_its_own(own)
    client.consumes(own, auto_ack=True)
    client.says(spec.Confirm.Select())
    client.says(spec.Exchange.Declare(exchange=f"exchange {number}", type="fanout"))
    client.hears(spec.Exchange.DeclareOk())
    client.says(spec.Queue.Bind(queue="", exchange=f"exchange {number}"))
    client.hears(spec.Queue.BindOk())
    client.consumes(DIRECT, auto_ack=True, channel=2)
    for channel, reply_to, told in ((1, own, own), (2, DIRECT, f"{DIRECT}.{number}")):
        asked = {"correlation_id": "1"}
        client.publishes("work", "same", channel=channel, reply_to=reply_to, **asked)
        tag = server.gets("work", "same", reply_to=told, **asked)
        server.publishes(told, "same", **asked)
        server.acks(tag)
        client.gets(told if channel == 1 else DIRECT, "same", key=told, channel=channel, **asked)
    client.says(spec.Exchange.Delete(exchange=f"exchange {number}"))
    client.hears(spec.Exchange.DeleteOk())
    holder = wire.peer("holder", pid=number)
    holder.consumes("work")
    client.publishes("work", "held")
    for turn in range(3):
        tag = holder.gets("work", "held", redelivered=turn > 0)
        holder.says(spec.Basic.Nack(delivery_tag=tag, requeue=True))
    holder.gets("work", "held", redelivered=True)
    holder.ends()
    client.ends()


def test_a_message_that_is_given_back_for_ever_keeps_its_beginning_and_its_end(monkeypatch):
    monkeypatch.setattr(follower, "STEPS_KEPT", 100)
    wire = Wire()
    worker = wire.peer("worker")
    worker.declares("work")
    worker.consumes("work")
    worker.publishes("work", "poison")
    for turn in range(1_000):
        worker.says(spec.Basic.Nack(delivery_tag=worker.gets("work", "poison", redelivered=turn > 0), requeue=True))
    (message,) = wire.story.messages
    assert (len(message.steps), len(message.deliveries)) == (100, 100)
    assert [step.what for step in (*message.steps[:2], *message.steps[-2:])] == [
        "published", "delivered", "delivered", "requeued"]


def test_a_thousand_short_connections_leave_nothing_behind(monkeypatch):
    monkeypatch.setattr(registry, "OWNERS_KEPT", 100)
    monkeypatch.setattr(routing, "MOST_DECLARED", 100)
    monkeypatch.setattr(follower, "STEPS_KEPT", 100)
    monkeypatch.setattr(journal, "KEPT", 100)
    wire = Wire(keep=100)
    server = wire.peer("server")
    server.declares("work")
    server.consumes("work")
    work = Work(wire.story, lambda: None)
    monkeypatch.setattr("rpclab.story.worker_activity.PROCESSES_KEPT", 100)
    for number in range(1, 200):
        a_short_life(wire, number, server)
    before = sizes(wire.registry, wire.story, work)
    for number in range(200, 1_000):
        a_short_life(wire, number, server)
    after = sizes(wire.registry, wire.story, work)
    grown = {path: (before.get(path), size) for path, size in after.items() if size > max(before.get(path, 0), 101)}
    assert not grown
    assert max(after.values()) <= 101
    assert len(after) > 15


def test_queues_that_the_broker_deletes_by_itself_are_forgotten_in_the_end(monkeypatch):
    monkeypatch.setattr(routing, "MOST_DECLARED", 100)
    wire = Wire(keep=100)
    sender = wire.peer("sender")
    for number in range(1_000):
        sender.declares(f"expires {number}")
    sender.publishes("expires 0", "nobody knows")
    sender.publishes("expires 999", "there")
    assert len(wire.registry._routing.queues) == 100
    assert [message.state(wire.time) for message in wire.story.messages] == ["published", "waiting"]
