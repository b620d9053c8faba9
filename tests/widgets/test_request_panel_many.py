"""The request panel with many requests: bursts, a steady rate, giving up, and what can be taken away from it."""

from __future__ import annotations

import csv
import io
import subprocess
import sys
import threading

import pytest
from pika import BasicProperties
from showing import buttons, click, note, shown
from waiting import until

from rpclab import AddClient, AdditionServer, InvalidOption, LabError, RequestPanel, RpcClient, RpcServer, RpcTimeout

THREADS = ("rpclab widget", "rpclab panel")


@pytest.fixture
def panel(lab, serve):
    serve(AdditionServer(prefetch=100))
    with AddClient() as client:
        panel = RequestPanel(client)
        yield panel
        panel.close()


@pytest.fixture
def idle_panel(lab):
    """A panel whose requests nobody takes."""
    lab.connect("tester").channel().queue_declare("idle", durable=True)
    with RpcClient("idle") as client:
        panel = RequestPanel(client)
        yield panel
        panel.close()


def panel_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith(THREADS)]


def progress(panel) -> tuple[int, int]:
    return tuple(panel.scene["card"]["progress"]) if panel.scene else (0, 0)


def states(panel) -> set[str]:
    return {request.state for request in panel.requests}


def test_a_burst_asks_the_same_many_times(panel):
    assert panel.burst(50, 20, 22).wait().results == [42] * 50


def test_a_burst_without_arguments_asks_what_the_form_says_as_often_as_it_says(panel):
    click(panel, "burst", None, "30", "3", "5")
    assert panel.wait().results == [8] * 30


@pytest.mark.parametrize(
    ("count", "each", "results"),
    [
        (3, lambda number: (number, 10), [10, 11, 12]),
        (None, [(1, 2), [3, 4]], [3, 7]),
        (2, ((number, 0) for number in range(1_000_000)), [0, 1]),
    ],
)
def test_a_burst_asks_what_a_function_or_a_list_says(panel, count, each, results):
    assert panel.burst(count, each=each).wait().results == results


def test_a_single_argument_need_not_be_wrapped(shout):
    with RpcClient("shout") as client:
        panel = RequestPanel(client)
        assert panel.burst(each=["one", "two"]).wait().results == ["ONE", "TWO"]
        panel.close()


@pytest.mark.parametrize(
    ("arguments", "options", "said"),
    [
        ((0,), {}, "count=0"),
        ((10_001,), {}, "at most 10000"),
        ((True,), {}, "count=True"),
        ((2.5,), {}, "a whole number"),
        ((), {"each": lambda number: number}, "Give the number"),
        ((), {"each": []}, "number of requests=0"),
        ((), {"each": 5}, "use a function or a list"),
        ((2, 3, 5), {"each": [1]}, "Leave one out"),
    ],
)
def test_a_burst_that_makes_no_sense_says_why_and_fires_nothing(panel, arguments, options, said):
    with pytest.raises(InvalidOption, match=said):
        panel.burst(*arguments, **options)
    assert panel.requests == []


def test_an_endless_list_is_cut_where_a_burst_ends(panel):
    with pytest.raises(InvalidOption, match="10001"):
        panel.burst(each=iter(lambda: (1, 1), None))


def test_a_burst_with_arguments_that_do_not_fit_has_failed_rows_beside_the_answered_ones(panel):
    panel.burst(each=[(1, 2), (1,), (3, 4)]).wait()
    assert [request.state for request in panel.requests] == ["answered", "failed", "answered"]


def test_whatever_a_client_raises_is_a_failed_row_and_the_next_request_is_sent(lab, shout):
    class Picky(RpcClient):
        def encode(self, body: str) -> str:
            if body == "no":
                raise RuntimeError("not that one")
            return body

    with Picky("shout") as client:
        panel = RequestPanel(client)
        assert panel.burst(each=["no", "yes"]).wait().results == [None, "YES"]
        assert str(panel.requests[0].answer) == "not that one"
        panel.close()


def test_a_script_that_ends_in_the_middle_just_ends(lab):
    lab.connect("tester").channel().queue_declare("idle", durable=True)
    script = (
        "import rpclab\n"
        "panel = rpclab.RequestPanel(rpclab.RpcClient('idle'))\n"
        "panel.burst(2000, 'x').steady('y', per_second=200)\n"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_progress_counts_what_was_fired_since_the_panel_was_at_rest(idle_panel):
    idle_panel.burst(3, "x")
    until(lambda: progress(idle_panel) == (0, 3))
    idle_panel.fire("y")
    until(lambda: progress(idle_panel) == (0, 4))
    idle_panel.cancel()
    until(lambda: progress(idle_panel) == (4, 4))
    idle_panel.fire("z")
    until(lambda: "5 fired" in note(idle_panel))
    assert progress(idle_panel) == (0, 1)


def test_a_request_is_queued_then_at_a_worker_then_answered(lab, serve, gate):
    lab.connect("tester").channel().queue_declare("slow", durable=True)
    with RpcClient("slow") as client:
        panel = RequestPanel(client)
        request = panel.fire("x")
        until(lambda: request.state == "queued")
        until(lambda: "… queued" in shown(panel))
        serve(RpcServer("slow", lambda body: gate.wait() and body))
        until(lambda: request.state == "at notebook")
        until(lambda: "→ at notebook" in shown(panel) and "1 at workers" in note(panel))
        gate.set()
        panel.wait()
        assert request.state == "answered"
        until(lambda: "1 fired: 1 answered." in note(panel))
        panel.close()


def test_a_request_whose_worker_is_lost_is_queued_again(lab, idle_panel):
    request = idle_panel.fire("x")
    connection = lab.connect("unlucky")
    until(lambda: connection.channel().basic_get("idle")[0])
    until(lambda: request.state == "at unlucky")
    connection.close()
    until(lambda: request.state == "queued")


def test_a_request_that_a_worker_rejects_says_so(lab, idle_panel):
    request = idle_panel.fire("x")
    channel = lab.connect("strict").channel()
    method = until(lambda: channel.basic_get("idle")[0])
    channel.basic_reject(method.delivery_tag, requeue=False)
    until(lambda: request.state == "rejected")


def test_a_workers_name_is_handed_to_the_front_end_as_it_is(lab, idle_panel):
    request = idle_panel.fire("x")
    channel = lab.connect("<b>bold</b>").channel()
    until(lambda: channel.basic_get("idle")[0])
    until(lambda: request.state == "at <b>bold</b>")
    until(lambda: "\u2192 at <b>bold</b>" in shown(idle_panel))


def test_a_worker_that_does_not_sign_its_reply_is_known_from_the_wire(lab, idle_panel):
    request = idle_panel.fire("x")
    channel = lab.connect("unsigned").channel()
    lab.wait_for("idle", ready=1)
    _, properties, body = channel.basic_get("idle", auto_ack=True)
    channel.basic_publish("", properties.reply_to, body, BasicProperties(correlation_id=properties.correlation_id))
    idle_panel.wait()
    assert (request.answer, request.worker) == ("x", "unsigned")


def test_an_answer_that_comes_after_the_deadline_is_late(lab, serve, gate):
    serve(RpcServer("slow", lambda body: gate.wait() and body.upper()))
    with RpcClient("slow") as client:
        panel = RequestPanel(client, timeout=0.3)
        request = panel.fire("x")
        panel.wait()
        assert request.state == "timed out"
        gate.set()
        until(lambda: request.state == "answered late")
        until(lambda: client.stats.late == 1)
        assert isinstance(request.answer, RpcTimeout)
        assert panel.results == [None]
        assert "X (too late)" in str(panel)
        until(lambda: "1 answered late" in note(panel))
        panel.close()


def test_a_client_that_does_not_go_through_the_lab_has_requests_that_are_pending(lab):
    lab.connect("tester").channel().queue_declare("idle", durable=True)
    with RpcClient("idle", parameters=lab.direct_parameters) as client:
        panel = RequestPanel(client)
        panel.burst(5, "x")
        lab.wait_for("idle", ready=5)
        lab.tap.catch_up()
        assert states(panel) == {"pending"}
        panel.close()


def test_without_any_lab_the_panel_works(lab, shout):
    parameters = lab.direct_parameters
    with RpcClient("shout", parameters=parameters) as client, pytest.MonkeyPatch.context() as patch:
        patch.setattr("rpclab.lab.open_labs._open", {})
        panel = RequestPanel(client)
        assert panel.burst(3, "x").wait().results == ["X"] * 3
        panel.close()


def test_what_is_cancelled_is_given_up_and_its_late_reply_is_no_trouble(lab, serve, gate):
    serve(RpcServer("slow", lambda body: gate.wait() and body.upper(), prefetch=10))
    with RpcClient("slow") as client:
        panel = RequestPanel(client)
        panel.burst(20, "x")
        until(lambda: panel.requests[0].state == "at notebook" and panel.requests[-1].state == "queued")
        click(panel, "cancel")
        assert panel.wait(0).pending == 0
        assert states(panel) == {"cancelled"}
        gate.set()
        until(lambda: all(request.message.replies for request in panel.requests))
        panel.fire("afterwards")
        assert panel.wait().results == [None] * 20 + ["AFTERWARDS"]
        assert states(panel) == {"cancelled", "answered"}
        until(lambda: "21 fired: 1 answered, 20 cancelled" in note(panel))
        assert client._session.alive
        panel.close()


def test_what_is_cancelled_before_it_is_sent_is_never_sent(lab, serve):
    lab.connect("tester").channel().queue_declare("idle", durable=True)
    entered, go_on = threading.Event(), threading.Event()

    class Hesitant(RpcClient):
        def encode(self, body: str) -> str:
            entered.set()
            go_on.wait()
            return body

    with Hesitant("idle") as client:
        panel = RequestPanel(client)
        panel.burst(100, "x")
        entered.wait()
        panel.cancel()
        go_on.set()
        panel.close()
        assert states(panel) == {"cancelled"}
    # The one that was being encoded may have been on its way already.
    assert client.stats.sent <= 1


def test_cancelling_when_there_is_nothing_to_cancel_changes_nothing(panel):
    panel.cancel()
    panel.fire(3, 5)
    panel.wait()
    panel.cancel()
    assert panel.results == [8]


def test_a_steady_run_sends_so_many_requests(panel):
    panel.steady(1, 2, per_second=100, seconds=0.2)
    assert panel.wait().results == [3] * 20
    assert not panel.running


def test_a_steady_run_keeps_its_rate(panel):
    panel.steady(1, 2, per_second=20, seconds=1)
    panel.wait()
    sent = [request.message.time for request in panel.requests]
    # The last of 20 is due 19 intervals after the first; a busy machine may make either of them late.
    assert 0.5 < sent[-1] - sent[0] < 5


def test_a_steady_run_goes_on_until_it_is_stopped_and_asks_what_the_form_says_meanwhile(panel):
    click(panel, "steady", None, "50", "3", "5")
    until(lambda: panel.scene and panel.scene["card"]["form"]["running"])
    until(lambda: 8 in panel.results)
    click(panel, "typed", None, "40", "5")
    until(lambda: 45 in panel.results)
    with pytest.raises(RpcTimeout, match=r"panel\.stop\(\)"):
        panel.wait(0.01)
    click(panel, "steady", None, "50", "40", "5")
    assert not panel.running
    panel.wait()
    assert set(panel.results) == {8, 45}
    until(lambda: not panel.scene["card"]["form"]["running"])


def test_a_second_steady_run_ends_the_first(panel):
    panel.steady(1, 1, per_second=100)
    panel.steady(2, 2, per_second=100, seconds=0.1)
    panel.wait()
    assert panel.results[-10:] == [4] * 10


def test_cancelling_ends_a_steady_run(idle_panel):
    idle_panel.steady("x", per_second=100)
    until(lambda: len(idle_panel.requests) > 3)
    idle_panel.cancel()
    assert not idle_panel.running
    assert states(idle_panel) == {"cancelled"}


@pytest.mark.parametrize(
    "options", [{"per_second": 0}, {"per_second": 201}, {"per_second": "5"}, {"seconds": -1}, {"seconds": True}]
)
def test_a_steady_run_that_makes_no_sense_says_why_and_does_not_begin(panel, options):
    with pytest.raises(InvalidOption, match=next(iter(options))):
        panel.steady(1, 2, **options)
    assert not panel.running
    assert panel.requests == []


def test_the_buttons_offer_what_makes_sense(idle_panel):
    def off() -> list[bool]:
        return [button["off"] for button in buttons(idle_panel)]

    until(lambda: off() == [True, True])
    idle_panel.fire("x")
    until(lambda: off() == [False, False])
    idle_panel.cancel()
    until(lambda: off() == [True, False])


def test_its_rows_are_records_and_a_csv_file(panel, tmp_path):
    panel.fire(3, 5)
    panel.fire(3, "five")
    panel.wait()
    first, second = panel.rows()
    assert {name: first[name] for name in ("request", "asked", "state", "answer", "worker")} == {
        "request": 1, "asked": "3, 5", "state": "answered", "answer": 8, "worker": "MainProcess",
    }
    assert first["ms"] > 0
    assert first["correlation id"] == panel.requests[0].correlation_id
    assert second["state"] == "failed"
    assert "five" in str(second["answer"])
    read = list(csv.DictReader(io.StringIO(panel.to_csv())))
    assert read == [{name: "" if value is None else str(value) for name, value in row.items()} for row in panel.rows()]
    assert panel.to_csv(tmp_path / "rows.csv") is None
    assert (tmp_path / "rows.csv").read_text() == panel.to_csv()


def test_a_csv_file_keeps_commas_quotes_and_new_lines(shout):
    with RpcClient("shout") as client:
        panel = RequestPanel(client)
        panel.fire('a,"b"\nc')
        panel.wait()
        (row,) = csv.DictReader(io.StringIO(panel.to_csv()))
        assert (row["asked"], row["answer"]) == ('a,"b"\nc', 'A,"B"\nC')
        panel.close()


def test_a_file_that_cannot_be_written_is_an_error_that_names_it(panel, tmp_path):
    with pytest.raises(LabError, match="nowhere"):
        panel.to_csv(tmp_path / "nowhere" / "rows.csv")


def test_export_writes_a_new_file_each_time_and_says_its_name(panel, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    panel.burst(12, 1, 2).wait()
    for name in ("addition-requests.csv", "addition-requests-2.csv"):
        click(panel, "export")
        until(lambda name=name: f"Wrote 12 rows to {name}." in note(panel))
        assert (tmp_path / name).read_text() == panel.to_csv()


def test_export_that_fails_says_why(panel, tmp_path, monkeypatch):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    panel.fire(1, 2)
    panel.wait()
    click(panel, "export")
    until(lambda: "could not be written: No such file" in note(panel))


def test_how_long_answers_took_is_said(panel):
    panel.burst(10, 1, 2).wait()
    until(lambda: "10 answers: median" in note(panel))
    assert len(panel.times) == 10


def test_two_panels_of_one_client_keep_to_themselves(panel):
    other = RequestPanel(panel._client)
    panel.burst(200, 1, 1)
    other.burst(100, 2, 2)
    assert panel.wait().results == [2] * 200
    assert other.wait().results == [4] * 100
    other.close()
    assert panel.burst(1, 3, 3).wait().results[-1] == 6


def test_closing_in_the_middle_gives_up_what_is_pending_and_leaves_no_thread(idle_panel):
    idle_panel.burst(2000, "x")
    idle_panel.steady("y", per_second=200)
    idle_panel.close()
    idle_panel.close()
    assert panel_threads() == []
    assert idle_panel.pending == 0
    assert states(idle_panel) == {"cancelled"}
    for use in (idle_panel.burst, idle_panel.steady):
        with pytest.raises(LabError, match="closed"):
            use()


def test_a_closed_panel_no_longer_listens(lab, idle_panel):
    before = len(lab.story._listeners)
    idle_panel.close()
    assert len(lab.story._listeners) == before - 1
