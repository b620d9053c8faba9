from __future__ import annotations

import json
import re
from pathlib import Path

import nbformat
import pytest

from rpclab.findings import diagnose
from rpclab.findings.rule import GRAVITIES, RULES

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"


@pytest.fixture
def wrong(wire):
    """A story of which something of each gravity is wrong."""
    client = wire.peer("client")
    client.declares("work")
    for number in range(30):
        client.publishes("wrok", f"<b>{number}</b>")
    client.publishes("work", "one")
    return wire


def test_the_gravest_comes_first(wrong):
    assert [finding.gravity for finding in diagnose(wrong.story)] == list(GRAVITIES)


def test_as_text_it_names_messages_meaning_fix_and_where_to_read(wrong):
    assert str(diagnose(wrong.story)).startswith(
        "3 findings in 31 messages.\n\n"
        "error: 30 messages published to queue 'wrok', which does not exist (unroutable)\n"
        "  - message 1 '<b>0</b>' from client to queue wrok: no queue\n"
    )
    assert "  - and 26 more\n" in str(diagnose(wrong.story))


def test_as_html_it_shows_bodies_as_text(wrong):
    html = diagnose(wrong.story)._repr_html_()
    assert "<b>0</b>" not in html
    assert "&lt;b&gt;0&lt;/b&gt;" in html
    assert "and 10 more" in html


def test_as_json_it_has_the_numbers_of_the_messages(wrong):
    written = json.loads(diagnose(wrong.story).to_json())
    assert written["messages"] == 31
    first = written["findings"][0]
    assert (first["rule"], first["gravity"], first["seen"], len(first["evidence"])) == ("unroutable", "error", 30, 20)
    assert first["evidence"][0]["message"] == 1


def test_only_the_last_messages_are_looked_at_if_so_many_are_wanted(wrong):
    assert diagnose(wrong.story, last=2).seen == 2


def test_while_a_story_goes_on_what_has_just_happened_is_not_wrong_yet(wire):
    client = wire.peer("client")
    client.declares("work")
    client.publishes("work", "one", delivery_mode=2)
    wire.story.end = None
    wire.story.messages[0].time = wire.story.now
    assert not diagnose(wire.story).findings
    wire.story.messages[0].time -= 2
    assert [finding.rule for finding in diagnose(wire.story)] == ["queue-without-consumer"]


def test_what_the_broker_refused_before_a_recording_is_not_found_in_it(wire):
    from pika import spec

    client = wire.peer("client")
    client.is_refused(spec.Basic.Publish, 404, "NOT_FOUND - no exchange 'logs' in vhost '/'")
    assert len(diagnose(wire.story)) == 1
    wire.story.begun = wire.time + 1
    assert not diagnose(wire.story).findings


@pytest.mark.parametrize("rule", RULES.values(), ids=lambda rule: rule.name)
def test_a_rule_sends_its_reader_to_a_lesson_or_section_that_exists(rule):
    lessons = {path.name[:2]: path for path in NOTEBOOKS.glob("*.ipynb")}
    clinic = {
        heading for cell in nbformat.read(lessons["12"], as_version=4).cells if cell.cell_type == "markdown"
        for heading in re.findall(r"^#+ (.+)$", cell.source, re.MULTILINE)
    }
    for place in rule.see.split("; "):
        kind, _, rest = place.partition(", " if place.startswith("clinic") else " ")
        assert rest in clinic if kind == "clinic" else rest[:2] in lessons, place
        if kind == "lesson":
            title = nbformat.read(lessons[rest[:2]], as_version=4).cells[0].source.split("\n")[0].lstrip("# ")
            assert rest.split(", ")[1].split(":")[0] == title


def test_the_names_of_rules_are_words_with_hyphens():
    assert RULES
    assert all(re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name) for name in RULES)
