"""Stories that are kept: as JSON, as a player, and as one HTML file."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from decimal import Decimal

import pytest
from conversation import Wire

from rpclab import InvalidOption, LabError, Story

HOSTILE = "</script><!--<img src=x onerror=alert(1)>\u2028"
SECRET = "PQLBjmo4yyOqqCFSPSNkTMrLuwPPJx2t"


@pytest.fixture
def wire():
    return Wire()


@pytest.fixture
def story(wire) -> Story:
    """Two requests, the second of them delivered twice; hostile texts, and a message that nobody takes."""
    client, server, other = wire.peer("AddClient"), wire.peer("AdditionServer-0"), wire.peer(HOSTILE)
    client.declares_its_own("amq.gen-abc")
    client.consumes("amq.gen-abc", auto_ack=True)
    server.declares("addition")
    server.consumes("addition")
    asked = {"reply_to": "amq.gen-abc", "correlation_id": "a", "expiration": "60000"}
    client.publishes("addition", "3,5", **asked)
    tag = server.gets("addition", "3,5", **asked)
    server.publishes("amq.gen-abc", "8", correlation_id="a", headers={"worker": "AdditionServer-0"})
    server.acks(tag)
    client.gets("amq.gen-abc", "8", correlation_id="a", headers={"worker": "AdditionServer-0"})
    again = asked | {"correlation_id": "b"}
    client.publishes("addition", "1,1", **again)
    server.gets("addition", "1,1", **again)
    server.ends()
    other.consumes("addition")
    other.gets("addition", "1,1", redelivered=True, **again)
    headers = {
        "when": datetime(2026, 1, 2, tzinfo=timezone.utc), "price": Decimal("1.50"), "raw": b"\xff",
        "deep": [1, {"a": None}],
    }
    other.publishes("nowhere", HOSTILE, headers=headers, message_id=HOSTILE)
    return wire.story


def test_what_is_read_is_what_was_written(story):
    text = story.to_json()
    read = Story.from_json(text)
    assert read.to_json() == text
    assert (str(read.sequence()), repr(read), str(read.timeline())) == (
        str(story.sequence()), repr(story), str(story.timeline()))
    last = read.messages[-1].properties.headers
    assert last == story.messages[-1].properties.headers


def test_the_format_says_what_it_is_and_times_begin_with_the_first_message(story):
    written = json.loads(story.to_json(indent=1))
    assert (written["format"], written["version"]) == ("rpclab story", 1)
    assert written["queues"]["amq.gen-abc"] == "callback queue of AddClient"
    first = written["messages"][0]
    assert (first["time"], first["body"], first["properties"]["correlation_id"]) == (0.0, "3,5", "a")
    assert [step["what"] for step in first["steps"]] == ["published", "delivered", "acked"]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": "rpclab story"}', "\x00"])
def test_what_is_no_story_is_refused(text):
    with pytest.raises(LabError, match=r"not a story|not JSON|version None"):
        Story.from_json(text)


def test_another_version_and_damage_are_named(story):
    written = json.loads(story.to_json())
    with pytest.raises(LabError, match="version 2, and this rpclab reads version 1"):
        Story.from_json(json.dumps(written | {"version": 2}))
    del written["messages"][0]["steps"][0]["who"]
    with pytest.raises(LabError, match="damaged: KeyError: 'who'"):
        Story.from_json(json.dumps(written))


def test_bodies_and_headers_are_left_out_on_demand(story, tmp_path):
    written = story.to_json(redact=("bodies", "headers"))
    assert "3,5" not in written
    assert '"worker": "(redacted)"' in written
    assert "callback queue of AddClient" in written
    page = story.save(tmp_path / "why.html", redact="bodies").read_text()
    assert "3,5" not in page
    assert "worker=AdditionServer-0" in page
    with pytest.raises(InvalidOption, match="'bodies' and 'headers'"):
        story.to_json(redact="everything")


def test_passwords_are_never_in_it(wire, monkeypatch, tmp_path):
    monkeypatch.setenv("RPCLAB_URL", f"amqp://rpclab:{SECRET}@127.0.0.1:5672/vhost")
    peer = wire.peer("leaky")
    for body in (f"amqp://me:short@example.org/ and {SECRET}", b"\xff" + SECRET.encode()):
        peer.publishes("nowhere", body, headers={SECRET: SECRET})
    written, page = wire.story.to_json(), wire.story.save(tmp_path / "why.html").read_text()
    for text in (written, page):
        assert SECRET not in text
        assert ":short@" not in text
        assert "amqp://me:***@example.org/" in text
    assert b"\xff***" in Story.from_json(written).messages[1].body


def test_the_page_loads_nothing_and_ends_no_script_early(story, tmp_path):
    page = story.save(tmp_path / "why.html").read_text()
    assert "default-src 'none'" in page
    assert "<img" not in page
    assert page.count("</script>") == page.count("<script") == 2
    for word in ("http://", "https://", "import("):
        assert word not in page.replace("http://www.w3.org/2000/svg", "")


def test_two_hundred_messages_are_less_than_a_megabyte(wire, tmp_path):
    client, server = wire.peer("AddClient"), wire.peer("AdditionServer-0")
    server.declares("addition")
    server.consumes("addition")
    for number in range(100):
        asked = {"reply_to": "answers", "correlation_id": f"0b9bf7bd-7e2c-4b37-a5c1-{number:012}"}
        client.publishes("addition", f"{number},1", **asked)
        tag = server.gets("addition", f"{number},1", **asked)
        server.publishes("answers", str(number + 1), correlation_id=asked["correlation_id"])
        server.acks(tag)
    assert len(wire.story) == 200
    assert wire.story.save(tmp_path / "why.html").stat().st_size < 1_000_000


def test_a_player_has_a_step_for_each_that_the_story_has_and_repeats_only_what_changes(story):
    player = story.player()
    assert repr(player) == "Player(4 messages, 10 steps)"
    assert str(player) == str(story.sequence())
    first, changes = player.data["first"], player.data["changes"]
    assert {box["name"] for box in first["boxes"]} >= {"AddClient", "addition", "callback queue of AddClient"}
    assert [change["time"]["at"] for change in changes] == list(range(1, 11))
    assert changes[0]["boxes"]["queue:addition"] == {
        "said": "1 ready \u00b7 0 unacked", "count": 1, "ready": 1, "chips": [1],
    }
    assert changes[0]["chips"]["1"]["label"] == "3,5"
    assert changes[1]["moves"][0]["to"] == "worker:AdditionServer-0"


def test_what_the_browser_puts_together_from_changes_is_each_scene_whole(story):
    data = story.player().data
    boxes, chips = {box["key"]: dict(box) for box in data["first"]["boxes"]}, dict(data["first"]["chips"])
    for change in data["changes"]:
        for key, values in change["boxes"].items():
            boxes[key].update(values)
        chips = {number: chip for number, chip in (chips | change["chips"]).items() if chip}
        assert {str(number) for box in boxes.values() for number in box["chips"]} == chips.keys()
    assert boxes["queue:addition"]["unacked"] == 1
    assert [chip["redelivered"] for chip in chips.values() if chip["name"] == "request 2"] == [True]


def test_more_than_a_player_can_show_is_refused_with_what_to_do(wire):
    peer = wire.peer("tester")
    for number in range(401):
        peer.publishes("nowhere", str(number))
    with pytest.raises(InvalidOption, match=r"story\.last\(400\)\.player\(\)"):
        wire.story.player()


def test_a_file_that_cannot_be_written_is_an_error_that_names_it(story, tmp_path):
    with pytest.raises(LabError, match="nowhere"):
        story.save(tmp_path / "nowhere" / "why.html")
