"""The request panel without a browser: what it sends, and what it would show."""

from __future__ import annotations

import threading
import time

import pytest
from showing import click, note, rows, shown
from waiting import until

from rpclab import AddClient, AdditionServer, LabError, RequestPanel, RpcClient, RpcServer, RpcTimeout

UPDATES_PER_SECOND = 15
THREADS = ("rpclab widget", "rpclab panel")


@pytest.fixture
def panel(shout):
    with RpcClient("shout") as client:
        panel = RequestPanel(client)
        yield panel
        panel.close()


@pytest.fixture
def add_panel(lab, serve):
    serve(AdditionServer(prefetch=100))
    with AddClient() as client:
        panel = RequestPanel(client)
        yield panel
        panel.close()


def panel_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith(THREADS)]


def test_a_fired_request_is_answered(add_panel):
    request = add_panel.fire(3, 5)
    assert add_panel.wait().results == [8]
    assert (request.number, request.arguments, request.state, request.answer) == (1, (3, 5), "answered", 8)
    assert request.worker == "MainProcess"
    assert request.seconds > 0
    assert len(request.correlation_id) == 36


def test_there_is_a_field_for_each_argument_and_the_button_fires_them(add_panel):
    until(lambda: add_panel.scene)
    assert add_panel.scene["card"]["form"]["fields"] == [["x", "3", "number"], ["y", "5", "number"]]
    click(add_panel, "fire", None, "40", "2")
    assert add_panel.wait().results == [42]


def test_text_is_asked_for_where_the_client_takes_text(panel):
    assert panel.form["fields"] == [["body", "", "text"]]
    click(panel, "fire", None, "hello")
    assert panel.wait().results == ["HELLO"]


def test_before_anything_is_fired_it_says_so(panel):
    assert str(panel) == "(nothing fired yet)"
    until(lambda: "Nothing fired yet" in note(panel))
    assert panel.wait(0) is panel


def test_its_text_twin_shows_the_same(add_panel):
    add_panel.fire(3, 5)
    add_panel.fire(20, 22)
    assert str(add_panel.wait()).splitlines() == [
        "request  asked   state     answer  worker",
        "      1  3, 5    answered       8  MainProcess",
        "      2  20, 22  answered      42  MainProcess",
    ]
    assert repr(add_panel) == "RequestPanel(AddClient(queue 'addition'))"


def test_results_are_in_the_order_of_their_requests(add_panel):
    for number in range(50):
        add_panel.fire(number, 1)
    assert add_panel.wait().results == [number + 1 for number in range(50)]
    assert [request.number for request in add_panel.requests] == list(range(1, 51))


def test_an_error_is_a_failed_row_with_its_reason(lab, serve):
    serve(RpcServer("numbers", int))
    with RpcClient("numbers") as client:
        panel = RequestPanel(client)
        panel.fire("seven")
        panel.fire("8")
        assert panel.wait().results == [None, "8"]
        assert [request.state for request in panel.requests] == ["failed", "answered"]
        until(lambda: "invalid literal" in shown(panel))
        assert "failed" in shown(panel)
        panel.close()


def test_a_request_that_nobody_answers_times_out(lab):
    lab.connect().channel().queue_declare("idle", durable=True)
    with RpcClient("idle") as client:
        panel = RequestPanel(client, timeout=0.1)
        request = panel.fire("x")
        panel.wait()
        assert (request.state, panel.pending) == ("timed out", 0)
        until(lambda: "timed out" in shown(panel))
        panel.close()


def test_waiting_has_an_end(lab):
    lab.connect().channel().queue_declare("idle", durable=True)
    with RpcClient("idle") as client:
        panel = RequestPanel(client)
        panel.fire("x")
        with pytest.raises(RpcTimeout, match="1 requests"):
            panel.wait(0.1)
        panel.close()


@pytest.mark.parametrize("arguments", [(), (1,), (1, 2, 3)])
def test_arguments_that_do_not_fit_are_a_failed_row(add_panel, arguments):
    request = add_panel.fire(*arguments)
    add_panel.wait()
    assert request.state == "failed"
    assert isinstance(request.answer, TypeError)


@pytest.mark.parametrize("wrong", [None, 5, object()])
def test_an_argument_of_the_wrong_type_is_a_failed_row(panel, wrong):
    request = panel.fire(wrong)
    panel.wait(10)
    assert request.state == "failed"
    panel.fire("hello")
    assert panel.wait(10).results == [None, "HELLO"]


def test_a_closed_client_is_a_failed_row(panel):
    panel._client.close()
    request = panel.fire("x")
    panel.wait()
    assert request.state == "failed"
    assert "was closed" in str(request.answer)


@pytest.mark.parametrize("value", ["<img src=x onerror=alert(1)>", "\"'><script>alert(1)</script>", "</td></table>"])
def test_what_is_asked_and_answered_is_handed_to_the_front_end_as_it_is(lab, serve, value):
    def refuse(body: str):
        raise ValueError(body)

    serve(RpcServer("plain", str))
    serve(RpcServer("refused", refuse))
    for queue, state in (("plain", "answered"), ("refused", "failed")):
        with RpcClient(queue) as client:
            panel = RequestPanel(client)
            panel.fire(value)
            panel.wait()
            panel.close()
            (cells,) = rows(panel)
            assert cells[1] == value
            assert state in cells[2]
            assert value in cells[3]


def test_text_that_is_no_valid_unicode_is_a_failed_row(panel):
    panel.fire("\ud800")
    panel.wait()
    until(lambda: "1 fired: 1 failed" in note(panel))
    shown(panel).encode()
    assert rows(panel)[0][1] == "\\ud800"
    assert "\\ud800" in str(panel)


def test_what_is_typed_where_a_number_belongs_is_refused_in_words(add_panel):
    click(add_panel, "fire", None, "three", "5")
    until(lambda: "x='three': it is a whole number." in note(add_panel))
    click(add_panel, "fire", None, "3")
    until(lambda: note(add_panel).startswith("Nothing fired yet"))
    assert add_panel.requests == []


def test_what_the_front_end_may_not_ask_for_is_not_done(add_panel):
    for do in ("close", "__init__", "to_csv", None):
        click(add_panel, do)
    add_panel._told(add_panel, "fire", [])
    add_panel.fire(3, 5)
    assert add_panel.wait().results == [8]


def test_a_burst_of_requests_is_answered_whole_and_shown_a_few_times_only(lab, serve):
    serve(AdditionServer(prefetch=100))
    with AddClient(timeout=120) as client:
        panel, renders = RequestPanel(client), []
        panel.observe(renders.append, "scene")
        began = time.monotonic()
        panel.burst(2000, each=lambda number: (number, 1))
        assert panel.wait(120).results == [number + 1 for number in range(2000)]
        until(lambda: "2000 fired: 2000 answered" in note(panel))
        assert len(renders) <= UPDATES_PER_SECOND * (time.monotonic() - began) + 2
        panel.close()


def test_the_last_rows_are_shown_and_all_are_kept(add_panel):
    for number in range(30):
        add_panel.fire(number, 1)
    add_panel.wait()
    until(lambda: "30 fired: 30 answered." in note(add_panel))
    assert [cells[0] for cells in rows(add_panel)] == [str(number) for number in range(30, 20, -1)]
    assert len(add_panel.requests) == len(add_panel.results) == len(add_panel.rows()) == 30


def test_the_text_of_many_requests_is_the_first_and_the_last_and_how_many_there_are_between(add_panel):
    lines = str(add_panel.burst(25, each=lambda number: (number, 1)).wait()).splitlines()
    assert len(lines) == 1 + 10 + 1 + 10
    assert lines[1].split() == ["1", "0,", "1", "answered", "1", "MainProcess"]
    assert lines[11] == "(5 more)"
    assert lines[12].split() == ["16", "15,", "1", "answered", "16", "MainProcess"]
    assert lines[-1].split() == ["25", "24,", "1", "answered", "25", "MainProcess"]


def test_two_panels_at_once_keep_to_themselves(add_panel, shout):
    with RpcClient("shout") as client:
        other = RequestPanel(client)
        for number in range(100):
            add_panel.fire(number, 0)
            other.fire(f"word {number}")
        assert add_panel.wait().results == list(range(100))
        assert other.wait().results == [f"WORD {number}" for number in range(100)]
        other.close()
        add_panel.fire(1, 1)
        assert add_panel.wait().results[-1] == 2


def test_closing_twice_leaves_no_thread_and_the_client_open(shout):
    with RpcClient("shout") as client:
        panel = RequestPanel(client)
        panel.fire("hello")
        panel.wait()
        assert panel_threads()
        panel.close()
        panel.close()
        assert panel_threads() == []
        assert client.call("still open") == "STILL OPEN"
        assert panel.results == ["HELLO"]


def test_a_closed_panel_says_so_when_it_is_asked_to_fire(shout):
    with RpcClient("shout") as client:
        panel = RequestPanel(client)
        panel.close()
        with pytest.raises(LabError, match="closed"):
            panel.fire("x")
        assert panel.pending == 0
