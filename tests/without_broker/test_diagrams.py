from __future__ import annotations

import json
import re

import pytest
from conversation import Wire
from recording import told

from rpclab.story.diagram import MERMAID, escaped
from rpclab.story.timeline import VEGALITE
from rpclab.story.topology import topology

HOSTILE = [
    '"quoted"', "<img src=x onerror=alert(1)>", "a;b", "%% comment", "line\nbreak", "end", "\N{PARTY POPPER}", "#35;",
]


def mime_bundle(picture) -> dict:
    return picture._repr_mimebundle_()


def asked(wire: Wire, body: str, **properties) -> None:
    client = wire.peer("client")
    client.publishes("addition", body, reply_to="answers", correlation_id=body, **properties)


def test_a_call_is_drawn_with_its_acknowledgement_behind_the_reply():
    picture = told("a_call").sequence()
    assert picture.text.splitlines() == [
        "AddClient -> queue addition: request 1: 3,5",
        "queue addition -> AdditionServer-0: request 1",
        "AdditionServer-0 -> callback queue of AddClient: reply to request 1: 8",
        "AdditionServer-0 -> queue addition: ack request 1",
        "callback queue of AddClient -> AddClient: reply to request 1",
    ]
    assert mime_bundle(picture) == {MERMAID: picture.source, "text/plain": picture.text}
    first, title, spoken, *rest = picture.source.splitlines()
    assert (first, title) == ("sequenceDiagram", "    accTitle: Messages, step by step")
    assert spoken.startswith("    accDescr: AddClient -#62; queue addition#58; request 1#58; 3,5#59; queue addition -")
    assert rest[:2] == ["    participant p1 as AddClient", "    participant p2 as queue addition"]


def test_a_crash_and_the_redelivery_after_it_are_drawn():
    lines = told("a_killed_worker").sequence().text.splitlines()
    assert lines[2:4] == [
        "Napper-0 -> queue naps: connection ends, request 1 goes back",
        "queue naps -> Napper-1: request 1 (redelivered)",
    ]


def test_returned_and_dead_lettered_messages_are_drawn():
    text = told("dead_letters_and_returns").sequence().text
    assert "queue work -> queue dead: message 1 dead-lettered: rejected" in text
    assert "queue nowhere -> tester: message 2 returned: NO_ROUTE" in text
    assert text.count("exchange events -> ") == 2


def test_a_time_out_and_an_expiry_are_noted_when_they_happen():
    wire = Wire()
    wire.peer("admin").declares("addition")
    asked(wire, "1", expiration="15")
    asked(wire, "2")
    wire.story.end += 1
    assert wire.story.sequence().text.splitlines() == [
        "client -> queue addition: request 1: 1",
        "(client: no reply to request 1 within 0.015 s)",
        "(queue addition: request 1 has expired)",
        "client 2 -> queue addition: request 2: 2",
        "(queue addition: request 2 waits here)",
    ]


def test_what_is_held_is_noted_at_its_holder():
    wire = Wire()
    asked(wire, "1")
    server = wire.peer("AdditionServer-0")
    server.consumes("addition")
    server.gets("addition", "1", correlation_id="1", reply_to="answers")
    assert wire.story.sequence().text.endswith("(AdditionServer-0: holds request 1, unacked)")


def test_what_goes_to_an_idle_consumer_is_drawn_right_behind_its_publishing():
    wire = Wire()
    one, two = wire.peer("one"), wire.peer("two")
    for peer, queue in ((one, "a"), (two, "b")):
        peer.consumes(queue)
    sender = wire.peer("sender")
    for queue in ("a", "b"):
        sender.publishes(queue, queue)
    two.gets("b", "b")
    one.gets("a", "a")
    assert wire.story.sequence().text.splitlines() == [
        "sender -> queue a: message 1: a", "queue a -> one: message 1",
        "sender -> queue b: message 2: b", "queue b -> two: message 2",
        "(one: holds message 1, unacked)", "(two: holds message 2, unacked)",
    ]


def test_what_waits_for_a_busy_worker_is_drawn_when_it_gets_it():
    wire = Wire()
    sender, server = wire.peer("sender"), wire.peer("AdditionServer-0")
    server.consumes("addition")
    for body in ("1", "2"):
        sender.publishes("addition", body)
    server.acks(server.gets("addition", "1"))
    server.gets("addition", "2")
    assert wire.story.sequence().text.splitlines() == [
        "sender -> queue addition: message 1: 1", "queue addition -> AdditionServer-0: message 1",
        "sender -> queue addition: message 2: 2", "AdditionServer-0 -> queue addition: ack message 1",
        "queue addition -> AdditionServer-0: message 2", "(AdditionServer-0: holds message 2, unacked)",
    ]


def test_of_many_messages_the_first_and_the_last_are_drawn_and_the_rest_is_counted():
    wire = Wire()
    client = wire.peer("client")
    client.declares("addition")
    for number in range(10_000):
        client.publishes("addition", str(number))
    text = wire.story.sequence(most=6).text
    assert "9,994 messages left out" in text
    assert "message 1: 0" in text
    assert "message 10000: 9999" in text
    assert len(text.splitlines()) < 20
    wire.story.end += 1
    chart = wire.story.timeline(most=6)
    assert len({bar["message"] for bar in chart.source["data"]["values"]}) == 6
    assert chart.text.endswith("9,994 messages left out")


@pytest.mark.parametrize("body", HOSTILE)
def test_no_body_breaks_a_sequence_diagram(body):
    wire = Wire()
    asked(wire, body)
    source = wire.story.sequence().source
    arrow = next(line for line in source.splitlines() if "->>" in line)
    shown = re.fullmatch(r"    p1->>p2: request 1#58; (.*)", arrow).group(1)
    without_codes = re.sub(r"#\d+;", "", shown)
    assert not re.search(r"[;#%<>\"&{}]", without_codes)
    assert not re.search(r"\bend\b", without_codes)
    assert "\n" not in shown


def test_escaping_keeps_what_needs_none():
    assert escaped("reply to request 1, (redelivered) 3.5") == "reply to request 1, (redelivered) 3.5"
    assert escaped("end of the Weekend") == "#101;nd of the Weekend"


def test_a_story_without_messages_has_pictures_all_the_same():
    story = Wire().story
    assert str(story.sequence()) == str(story.timeline()) == str(story.table()) == "(no messages)"


def test_a_timeline_has_a_lane_for_each_queue_and_process_in_the_order_of_their_appearance():
    picture = told("a_killed_worker").timeline(round_to=0.1)
    assert picture.text == """\
Napper-0    request 1 held 0-0
queue naps  request 1 waiting 0-0.2
Napper-1    request 1 held 0.2-1.2"""
    chart = mime_bundle(picture)[VEGALITE]
    assert json.loads(json.dumps(chart)) == chart
    assert chart["layer"][0]["encoding"]["y"]["sort"] == ["Napper-0", "queue naps", "Napper-1"]


def test_a_topology_shows_exchanges_bindings_queues_and_consumers():
    picture = topology(
        [{"name": 'odd"name', "queue": 'odd"name', "ready": 2, "unacked": None},
         {"name": "log", "queue": "log", "ready": 0, "unacked": 1}],
        [{"exchange": exchange, "destination": "log", "destination name": "log", "kind": "queue", "routing key": key}
         for exchange, key in (("events", "error.#"), ("(default)", "log"))],
        [{"name": name, "type": kind} for name, kind in (
            ("(default)", "direct"), ("amq.topic", "topic"), ("events", "topic"))],
        {"log": ["Logger-0", "Logger-0"]},
    )
    assert picture.text.splitlines() == [
        "exchange events (topic)",
        'queue odd"name: 2 ready, ? unacked',
        "queue log: 0 ready, 1 unacked",
        "events -> log by 'error.#'",
        "log -> Logger-0 (2 consumers)",
    ]
    assert picture.source.splitlines() == [
        "flowchart LR",
        "    accTitle: Exchanges, queues and consumers",
        "    accDescr: exchange events (topic)#59; queue odd#34;name#58; 2 ready, ? unacked#59; queue log#58; "
        "0 ready, 1 unacked#59; events -#62; log by 'error.#35;'#59; log -#62; Logger-0 (2 consumers)",
        '    n1{{"events<br/>topic exchange"}}',
        '    n2[["odd#34;name<br/>2 ready, ? unacked"]]',
        '    n3[["log<br/>0 ready, 1 unacked"]]',
        '    n4(["Logger-0"])',
        '    n1 -->|"error.#35;"| n3',
        '    n3 -->|"2 consumers"| n4',
    ]


def test_what_a_server_does_at_one_go_is_drawn_at_one_go():
    wire = Wire()
    asked(wire, "1")
    server, client = wire.peer("AdditionServer-0"), wire.peer("RpcClient")
    server.consumes("addition")
    client.consumes("answers", auto_ack=True)
    tag = server.gets("addition", "1", correlation_id="1", reply_to="answers")
    for _ in range(2):
        server.publishes("answers", "8", correlation_id="1")
        client.gets("answers", "8", correlation_id="1")
    server.acks(tag)
    assert wire.story.sequence().text.splitlines()[2:] == [
        "AdditionServer-0 -> queue answers: reply to request 1: 8",
        "AdditionServer-0 -> queue answers: reply 2 to request 1: 8",
        "AdditionServer-0 -> queue addition: ack request 1",
        "queue answers -> RpcClient: reply to request 1",
        "queue answers -> RpcClient: reply 2 to request 1",
    ]
