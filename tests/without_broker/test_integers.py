from __future__ import annotations

import pytest

from rpclab.rpc.arithmetic import integers


@pytest.mark.parametrize(("text", "count", "numbers"), [
    ("3,5", 2, [3, 5]),
    (" 3 , 5 ", 2, [3, 5]),
    ("-3,+5", 2, [-3, 5]),
    ("007,0", 2, [7, 0]),
    ("30", 1, [30]),
    ("30\n", 1, [30]),
    ("1,2,3", 3, [1, 2, 3]),
    (f"{10**100},1", 2, [10**100, 1]),
])
def test_integers_with_commas_between_are_read(text, count, numbers):
    assert integers(text, count) == numbers


@pytest.mark.parametrize(("text", "count"), [
    ("abc", 2),
    ("3", 2),
    ("1,2,3", 2),
    ("", 2),
    (",", 2),
    ("3,", 2),
    ("1.5,2", 2),
    ("1e3,2", 2),
    ("0x1,2", 2),
    ("1_0,2", 2),
    ("\uff11,2", 2),
    ("\u0663,5", 2),
    ("3;5", 2),
    ("- 3,5", 2),
    ("--3,5", 2),
    ("3 5", 2),
    ("", 1),
    ("3,5", 1),
    ("None", 1),
])
def test_anything_else_is_refused_with_what_was_expected_and_what_came(text, count):
    expected = "one integer, like 30" if count == 1 else "2 integers with a comma between, like 3,5"
    with pytest.raises(ValueError, match=r"^expected") as raised:
        integers(text, count)
    assert expected in str(raised.value)
    assert repr(text) in str(raised.value)


@pytest.mark.parametrize("text", ["x" * 100_000, "9" * 100_000, "1," * 100_000])
def test_a_very_long_text_is_refused_in_a_short_message(text):
    with pytest.raises(ValueError, match=r"^expected one integer, like 30, got") as raised:
        integers(text, 1)
    assert len(str(raised.value)) < 120
