"""The histogram of answer times."""

from __future__ import annotations

import pytest

from rpclab.operate.request_times import AnswerTimes


def times(*milliseconds: float) -> AnswerTimes:
    found = AnswerTimes()
    for value in milliseconds:
        found.add(value / 1000)
    return found


def test_the_bounds_are_one_two_five_and_so_on_and_no_answer_is_lost():
    values = [0.2, 0.7, 1, 1.9, 2, 4.9, 5, 9, 10, 19, 20, 49, 50, 99, 100, 199, 200, 499, 500, 999, 1000, 1999, 2000]
    bins = times(*reversed(values)).bins()
    assert [one.low for one in bins] == [0, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000]
    assert bins[-1].high == 5000
    assert [one.count for one in bins] == [1, 1, *[2] * 10, 1]


def test_only_what_lies_between_the_quickest_and_the_slowest_is_shown():
    assert [(one.label, one.count) for one in times(3, 30, 31).bins()] == [
        ("2-5 ms", 1), ("5-10 ms", 0), ("10-20 ms", 0), ("20-50 ms", 2),
    ]


@pytest.mark.parametrize(("share", "milliseconds"), [(0, 1), (0.5, 51), (0.95, 96), (1, 100)])
def test_a_quantile_is_one_of_the_times(share, milliseconds):
    assert times(*range(1, 101)).quantile(share) == pytest.approx(milliseconds / 1000)


def test_before_there_is_an_answer_it_says_so():
    nothing = AnswerTimes()
    assert repr(nothing) == nothing.summary == "No answers yet."
    assert (len(nothing), nothing.bins(), nothing.quantile(0.5)) == (0, [], None)


def test_its_text_twin_has_a_bar_for_each_bin():
    assert repr(times(1.5, 3, 3, 3, 3)).splitlines() == [
        "1-2 ms  ##########                                1",
        "2-5 ms  ########################################  4",
        "5 answers: median 3.0 ms, 95 % within 3.0 ms.",
    ]
