from __future__ import annotations

import json

import pytest

from rpclab import InvalidOption, Lab
from rpclab.bench import command, report, soak
from rpclab.bench.measure import Scale
from rpclab.bench.notebook_chart import Chart

TINY = Scale(
    rounds=1, short_rounds=1, long_rounds=1, calls=5, in_flight=20, work=5, shared_calls=2, processes=(1, 2), burst=500,
    told=50,
)


@pytest.fixture(scope="module")
def rows(shared_lab: Lab) -> list[report.Row]:
    return list(command.measured(shared_lab, TINY))


def test_each_promise_of_the_bench_has_its_row(rows):
    assert [row.what for row in rows] == [
        "RpcClient : raw pika that confirms, one call after the other",
        "RpcClient : raw pika, one call after the other",
        "RpcClient : raw pika, 20 in flight",
        "RpcServer : inline server, one call after the other",
        "RpcServer : inline server, 20 in flight",
        "2 processes : 1, handler computes fib(5)",
        "2 processes : 2 times 1, handler sleeps 20 ms",
        "1 processes : 1 times 1, handler sleeps 20 ms",
        "first reply of fresh Workers(count=2)",
        "import rpclab, beyond import pika",
        "tap: added to a round trip",
        "tap: 500 round trips",
        "tap: memory grown by them",
        "watch: added to a round trip",
        "watch: 500 round trips",
        "story of 100 messages, drawn",
    ]
    assert all(row.target for row in rows)


def test_the_report_is_a_table_for_people(rows):
    printed = report.table(rows)
    assert printed.columns == ("what", "measured", "reference", "ratio", "target", "met")
    assert len(repr(printed).splitlines()) == len(rows) + 1


def test_as_json_it_is_one_object_with_what_the_numbers_depend_on(rows, monkeypatch, capsys):
    monkeypatch.setattr(command, "rows", lambda quick: rows)
    assert command.run(None, json=True) == 0
    printed = json.loads(capsys.readouterr().out)
    assert {"Python", "pika", "processors", "load before"} < printed.keys()
    assert printed["rows"][0].keys() == {
        "what", "measured", "unit", "reference", "ratio", "target", "goal", "met",
    }


def test_the_chart_has_a_bar_for_each_promise_and_says_in_words_whether_it_is_kept(rows):
    chart = Chart(rows)
    assert chart.value.count("<rect ") == len(rows)
    assert chart.value.count(">\u2713 met<") == sum(row.met for row in rows)
    assert chart.value.count(">\u2715 not met<") == sum(not row.met for row in rows)
    assert (repr(chart), str(chart)) == (f"Chart({len(rows)} measured)", repr(report.table(rows)))


def test_a_bar_shows_a_ratio_or_a_figure_against_its_target():
    short, long = (
        Chart([row]).value for row in (
            report.Row.compared("a : b", [4], [10], at_least=0.8),
            report.Row.bounded("a", 9.0, "s", at_most=1.0),
        )
    )
    assert "<rect width='30.0'" in short
    assert "<rect width='120.0'" in long


def test_a_ratio_is_that_of_rounds_next_to_each_other_in_time():
    row = report.Row.compared("a : b", [10, 1, 10], [10, 2, 20], at_least=0.8)
    assert (row.measured, row.reference, row.ratio) == (10, 10, 0.5)


@pytest.mark.parametrize(("row", "met"), [
    (report.Row.compared("a : b", [8], [10], at_least=0.8), True),
    (report.Row.compared("a : b", [7.9], [10], at_least=0.8), False),
    (report.Row.bounded("a", 0.6, "ms", at_most=0.6), True),
    (report.Row.bounded("a", 2999, "/s", at_least=3000), False),
])
def test_a_row_knows_whether_its_target_is_met(row, met):
    assert row.met is met


def test_each_call_of_a_soak_ends_with_its_own_answer_or_an_error(lab, monkeypatch):
    monkeypatch.setattr(soak, "FAULT_SECONDS", 0.3)
    counts = soak.run(lab, 1)
    assert (counts["lost"], counts["mismatched"]) == (0, 0)
    assert counts["sent"] == counts["answered"] + sum(counts["errors"].values()) > 0
    assert counts["errors"].keys() <= {"ConnectionLost"}
    assert counts["kills"] >= 1
    assert counts["cuts"] >= 1


def test_a_soak_that_loses_nothing_exits_with_0_and_prints_one_object_for_programs(own_lab_name, capsys):
    assert command.run(0.2, json=True) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["sound"] is True
    assert printed["sent"] > 0


def test_a_soak_that_loses_a_call_exits_with_1(own_lab_name, monkeypatch, capsys):
    monkeypatch.setattr(soak, "run", lambda lab, length: {"lost": 1, "sound": False, "errors": {"Blocked": 2}})
    assert command.run(1, json=False) == 1
    assert [line.split() for line in capsys.readouterr().out.splitlines()[1:]] == [
        ["lost", "1"], ["sound", "no"], ["error:", "Blocked", "2"],
    ]


@pytest.mark.parametrize("length", [0, -1, 86_401])
def test_a_soak_has_a_length_that_makes_sense(lab, length):
    with pytest.raises(InvalidOption, match="86400"):
        soak.run(lab, length)


@pytest.fixture
def own_lab_name(monkeypatch, worker_id) -> None:
    monkeypatch.setattr(command, "LAB", f"bench-{worker_id}")
