from __future__ import annotations

import json

import pytest

from rpclab import InvalidOption, Lab
from rpclab.bench import command, report, soak
from rpclab.bench.measure import Scale
from rpclab.bench.notebook_chart import Chart

TINY = Scale(
    rounds=1, short_rounds=1, calls=5, in_flight=20, work=5, work_calls=3, sleep_rounds=1, sleep_calls=2,
    processes=(1, 2), starts=1, kills=1, burst=500, told=50,
)


@pytest.fixture(scope="module")
def rows(shared_lab: Lab) -> list[report.Row]:
    return list(command.measured(shared_lab, TINY))


def test_each_promise_of_the_bench_has_its_row(rows):
    promised = [row.what for row in rows if row.target]
    assert promised == [
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
    assert [row.what for row in rows if not row.target] == ["worker killed until another has begun its request"]


def test_the_report_is_a_table_for_people_and_plain_for_programs(rows):
    printed = report.table(rows)
    assert printed.columns == ("what", "measured", "reference", "ratio", "target", "met")
    assert len(repr(printed).splitlines()) == len(rows) + 1
    assert json.loads(json.dumps(report.plain(rows)))[0].keys() == {
        "what", "measured", "unit", "reference", "ratio", "target", "goal", "met",
    }


def test_the_chart_has_a_bar_for_each_promise_and_says_in_words_whether_it_is_kept(rows):
    chart = Chart(rows)
    promised = [row for row in rows if row.target]
    assert chart.value.count("<rect ") == len(promised)
    assert chart.value.count(">\u2713 met<") == sum(row.met for row in promised)
    assert chart.value.count(">\u2715 not met<") == sum(not row.met for row in promised)
    assert (repr(chart), str(chart)) == (f"Chart({len(rows)} measured)", repr(report.table(rows)))
    assert chart["worker killed"] is rows[-1]
    with pytest.raises(KeyError, match="'speed of light' was not measured"):
        chart["speed of light"]


def test_a_bar_shows_a_ratio_or_a_figure_against_its_target():
    short, long = (
        Chart([row]).value for row in (
            report.Row.compared("a : b", [4], [10], "/s", at_least=0.8),
            report.Row.bounded("a", 9.0, "s", at_most=1.0),
        )
    )
    assert "<rect width='30.0'" in short
    assert "<rect width='120.0'" in long


def test_a_ratio_is_that_of_rounds_next_to_each_other_in_time():
    row = report.Row.compared("a : b", [10, 1, 10], [10, 2, 20], "/s", at_least=0.8)
    assert (row.measured, row.reference, row.ratio) == (10, 10, 0.5)


@pytest.mark.parametrize(("row", "met"), [
    (report.Row.compared("a : b", [8], [10], "/s", at_least=0.8), True),
    (report.Row.compared("a : b", [7.9], [10], "/s", at_least=0.8), False),
    (report.Row.near("a : b", [95], [100], "/s", within=0.06), True),
    (report.Row.near("a : b", [107], [100], "/s", within=0.06), False),
    (report.Row.bounded("a", 0.6, "ms", at_most=0.6), True),
    (report.Row.bounded("a", 2999, "/s", at_least=3000), False),
])
def test_a_row_knows_whether_its_target_is_met(row, met):
    assert row.met is met


def test_each_call_of_a_soak_ends_with_its_own_answer_or_an_error(lab, monkeypatch):
    for often in ("KILL_SECONDS", "CUT_SECONDS"):
        monkeypatch.setattr(soak, often, 0.3)
    tally = soak.run(lab, 1)
    assert (tally.lost, tally.mismatched) == (0, 0)
    assert tally.sent == tally.answered + tally.errors.total() > 0
    assert tally.errors.keys() <= {"ConnectionLost"}
    assert tally.kills >= 1
    assert tally.cuts >= 1


def test_a_soak_that_loses_nothing_exits_with_0_and_prints_one_object_for_programs(own_lab_name, capsys):
    assert command.run(0.2, json=True) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["sound"] is True
    assert printed["sent"] > 0


def test_a_soak_that_loses_a_call_exits_with_1(own_lab_name, monkeypatch, capsys):
    monkeypatch.setattr(soak, "run", lambda lab, length: soak.Tally(sent=1, lost=1))
    assert command.run(1, json=False) == 1
    assert "lost" in capsys.readouterr().out


@pytest.mark.parametrize("length", [0, -1, 86_401])
def test_a_soak_has_a_length_that_makes_sense(lab, length):
    with pytest.raises(InvalidOption, match="86400"):
        soak.run(lab, length)


@pytest.fixture
def own_lab_name(monkeypatch, worker_id) -> None:
    monkeypatch.setattr(command, "LAB", f"bench-{worker_id}")
