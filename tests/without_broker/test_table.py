from __future__ import annotations

import pytest

from rpclab.table import Table

QUEUES = [{"name": "addition", "ready": 12, "durable": True}, {"name": "naps", "ready": 3, "durable": False}]


def test_text_is_aligned_left_and_numbers_right():
    assert repr(Table(("name", "ready"), QUEUES)).splitlines() == [
        "name      ready",
        "addition     12",
        "naps          3",
    ]


def test_booleans_are_shown_as_yes_and_no():
    assert repr(Table(("name", "durable"), QUEUES)).splitlines() == [
        "name      durable",
        "addition  yes",
        "naps      no",
    ]


def test_a_missing_value_is_a_dash_and_leaves_a_column_of_numbers_on_the_right():
    rows = [{"name": "a", "consumers": 10}, {"name": "b"}, {"name": "c", "consumers": None}]
    assert repr(Table(("name", "consumers"), rows)).splitlines() == [
        "name  consumers",
        "a            10",
        "b             -",
        "c             -",
    ]


@pytest.mark.parametrize(("value", "shown"), [
    ("a\nb", "a\\nb"),
    ("\x1b[31mred", "\\x1b[31mred"),
    ("nul\0", "nul\\x00"),
    ("\u202eright to left", "\\u202eright to left"),
    (b"\xff\n", "\\xff\\n"),
    ("naïve ☃", "naïve ☃"),
])
def test_what_would_move_the_cursor_is_made_visible(value, shown):
    table = Table(("body",), [{"body": value}])
    assert repr(table).splitlines() == ["body", shown]
    assert shown in table._repr_html_()


def test_arguments_are_shown_as_names_and_values():
    assert repr(Table(("arguments",), [{"arguments": {"x-match": "all", "format": "pdf"}}])).splitlines() == [
        "arguments",
        "x-match=all, format=pdf",
    ]


@pytest.mark.parametrize("value", ["<img src=x onerror=alert(1)>", "\"><script>alert('x')</script>", "a & b"])
def test_html_in_a_cell_a_heading_or_the_empty_text_is_escaped(value):
    for html in (
        Table(("name",), [{"name": value}])._repr_html_(),
        Table((value,), [{value: 1}])._repr_html_(),
        Table(("name",), [], empty=value)._repr_html_(),
    ):
        assert value not in html
        assert not any(part in html for part in ("<img", "<script", '">'))


def test_html_has_the_same_cells_as_the_text():
    html = Table(("name", "ready", "durable"), QUEUES)._repr_html_()
    assert "<th>name</th><th>ready</th><th>durable</th>" in html
    assert "<td>addition</td><td>12</td><td>yes</td>" in html


def test_a_row_is_found_by_the_value_in_its_first_column():
    table = Table(("name", "ready"), QUEUES)
    assert table["naps"] == QUEUES[1]
    with pytest.raises(KeyError, match="nothing"):
        table["nothing"]


def test_rows_can_be_counted_sliced_and_gone_through():
    table = Table(("name",), QUEUES)
    assert (len(table), table[0], table[-1:], list(table)) == (2, QUEUES[0], QUEUES[1:], QUEUES)
    assert table.column("ready") == [12, 3]
    assert table.column("nothing") == [None, None]


def test_where_keeps_the_rows_with_all_of_the_given_values():
    table = Table(("name",), QUEUES, empty="(no queues)")
    assert list(table.where(durable=True)) == QUEUES[:1]
    assert repr(table.where(durable=True, ready=3)) == "(no queues)"


def test_without_rows_it_says_so():
    assert repr(Table(("name",), [], empty="(no queues)")) == "(no queues)"
    assert repr(Table(("name",), [])) == "(none)"


def test_changing_the_source_of_a_row_leaves_the_table_alone():
    source = {"name": "addition"}
    table = Table(("name",), [source])
    source["name"] = "other"
    assert table[0]["name"] == "addition"
