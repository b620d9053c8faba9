"""The queue monitor without a browser: the figures it has, what it draws of them, and its purge button."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from waiting import until

from rpclab import AddClient, AdditionServer, Lab, LabError, QueueMonitor, QueueNotFound
from rpclab.widgets.queue_history import History, bar

QUEUE = "watched"
HOSTILE = "<img src=x onerror=alert(1)>'\""
BURST = 2000
UPDATES_PER_SECOND = 15


@pytest.fixture
def channel(lab):
    channel = lab.connect("tester").channel()
    channel.confirm_delivery()
    channel.queue_declare(QUEUE, durable=True)
    return channel


@pytest.fixture
def monitor(lab, channel) -> Iterator[QueueMonitor]:
    monitor = QueueMonitor()
    yield monitor
    monitor.close()


def fill(channel, count: int, queue: str = QUEUE) -> None:
    for number in range(count):
        channel.basic_publish("", queue, str(number))


def row(monitor: QueueMonitor, queue: str = QUEUE):
    return until(lambda: [each for each in monitor._widgets if each.queue == queue])[0]


def is_shown(widget) -> bool:
    return widget.layout.display != "none"


def shown(monitor: QueueMonitor) -> str:
    """Return all that the monitor shows, as HTML."""
    texts = [text.value for each in monitor._widgets for text in (each._text, each._question)]
    return "\n".join([*texts, monitor._line.value])


def ask_to_purge(row, count: int) -> None:
    """Click on Purge when the row shows so many messages."""
    until(lambda: f"<b>{count}</b> ready" in row._text.value)
    row.purge_button.click()
    until(lambda: is_shown(row._asking))


def test_its_text_twin_is_the_table_of_the_lab(lab, monitor, channel, serve):
    serve(AdditionServer())
    with AddClient() as add:
        assert add.call(3, 5) == 8
        fill(channel, 3)
        lab.wait_for("addition", ready=0, unacked=0, consumers=1)
        assert str(monitor) == str(lab.queues())
        assert str(monitor).splitlines() == [
            "name                         ready  unacked  consumers",
            "addition                         0        0          1",
            "callback queue of AddClient      0        0          1",
            "watched                          3        0          0",
        ]
    assert repr(monitor) == f"QueueMonitor({lab!r})"


def test_what_it_prints_is_true_at_the_time_and_not_at_that_of_its_last_look(monitor, channel, monkeypatch):
    monkeypatch.setattr("rpclab.widgets.queue_monitor.POLL_SECONDS", 3600)
    str(monitor)
    for count in (1, 2, 3):
        fill(channel, 1)
        assert monitor.table()[QUEUE]["ready"] == count


def test_messages_that_come_are_taken_and_acknowledged_show_without_being_asked_for(monitor, channel):
    fill(channel, 4)
    until(lambda: "<b>4</b> ready" in shown(monitor))
    channel.basic_qos(prefetch_count=1)
    channel.basic_consume(QUEUE, lambda *_: None)
    until(lambda: "<b>3</b> ready" in shown(monitor) and "<b>1</b> unacked" in shown(monitor))
    until(lambda: "<b>1</b> consumer<" in shown(monitor))
    assert "aria-label='3 ready, 1 unacked'" in shown(monitor)


def test_rows_stand_in_the_order_of_their_names_and_are_never_rebuilt(monitor, channel):
    first = row(monitor)
    channel.queue_declare("zebra", durable=True)
    last = row(monitor, "zebra")
    channel.queue_declare("aardvark", durable=True)
    new = row(monitor, "aardvark")
    until(lambda: [each.layout.order for each in (new, first, last)] == ["0", "1", "2"])
    assert monitor._space.children == (first, last, new)
    channel.queue_delete("zebra")
    until(lambda: not is_shown(last))
    channel.queue_declare("yak", durable=True)
    assert row(monitor, "yak") is last
    until(lambda: is_shown(last))
    assert monitor._space.children == (first, last, new)


def test_nothing_is_purged_without_a_yes(monitor, channel, lab):
    fill(channel, 5)
    watched = row(monitor)
    assert not is_shown(watched._asking)
    ask_to_purge(watched, 5)
    assert "Really purge 5 messages?" in watched._question.value
    assert not is_shown(watched.purge_button)
    watched.no_button.click()
    assert not is_shown(watched._asking)
    assert is_shown(watched.purge_button)
    assert lab.queues()[QUEUE]["ready"] == 5


def test_a_yes_purges_what_is_ready_and_leaves_the_other_queues_alone(monitor, channel, lab):
    fill(channel, 5)
    channel.queue_declare("other", durable=True)
    fill(channel, 1, "other")
    ask_to_purge(row(monitor), 5)
    row(monitor).yes_button.click()
    monitor.wait()
    assert monitor.table().column("ready") == [1, 0]
    until(lambda: "<b>0</b> ready" in row(monitor)._text.value)
    assert not is_shown(row(monitor)._asking)


def test_a_yes_is_meant_for_the_queue_that_was_asked_about(monitor, channel):
    channel.queue_declare("gone soon", durable=True)
    fill(channel, 2, "gone soon")
    fill(channel, 3)
    asked = row(monitor, "gone soon")
    ask_to_purge(asked, 2)
    channel.queue_delete("gone soon")
    until(lambda: asked.queue == "")
    channel.queue_declare("successor", durable=True)
    fill(channel, 4, "successor")
    until(lambda: asked.queue == "successor")
    asked.yes_button.click()
    monitor.wait()
    assert monitor.table().column("ready") == [4, 3]
    until(lambda: "purge gone soon: There is no queue" in shown(monitor))


def test_a_queue_is_purged_by_code_and_the_command_tells_how_many_there_were(monitor, channel):
    fill(channel, 3)
    command = monitor.purge(QUEUE)
    monitor.wait()
    assert (command.state, command.result) == ("done", 3)
    assert monitor.table()[QUEUE]["ready"] == 0


def test_a_callback_queue_is_purged_by_the_name_that_it_is_shown_with(monitor, lab):
    with AddClient():
        name = "callback queue of AddClient"
        assert name in monitor.table().column("name")
        refused = monitor.purge(name)
        monitor.wait()
        assert refused.state == "failed"
        until(lambda: f"purge {name}" in shown(monitor) and "exclusive" in shown(monitor))


def test_purging_a_queue_that_does_not_exist_shows_a_line(monitor):
    command = monitor.purge("nonsense")
    monitor.wait()
    assert isinstance(command.result, QueueNotFound)
    until(lambda: "purge nonsense: There is no queue" in shown(monitor))


def test_a_queues_name_is_shown_and_not_interpreted(monitor, channel):
    channel.queue_declare(HOSTILE, durable=True)
    fill(channel, 1, HOSTILE)
    row(monitor, HOSTILE)
    until(lambda: "&lt;img src=x" in shown(monitor))
    monitor.purge(f"{HOSTILE} not there")
    monitor.wait()
    until(lambda: "There is no queue" in shown(monitor))
    assert "<img" not in shown(monitor)
    assert "alert(1)>" not in shown(monitor)
    assert HOSTILE in str(monitor)


def test_two_monitors_show_the_same(monitor, channel):
    other = QueueMonitor()
    fill(channel, 2)
    until(lambda: "<b>2</b> ready" in shown(monitor) and "<b>2</b> ready" in shown(other))
    assert str(other) == str(monitor)
    other.close()
    fill(channel, 1)
    until(lambda: "<b>3</b> ready" in shown(monitor))


def test_many_queues_are_counted_and_the_first_are_shown(monitor, channel, monkeypatch):
    monkeypatch.setattr("rpclab.widgets.queue_monitor.ROWS_SHOWN", 2)
    for number in range(3):
        channel.queue_declare(f"queue {number}", durable=True)
    until(lambda: "4 queues; the first 2 are shown." in shown(monitor))
    until(lambda: sorted(each.queue for each in monitor._widgets if is_shown(each)) == ["queue 0", "queue 1"])
    assert len(monitor.table()) == 4


def test_a_burst_shows_in_the_end_and_is_sent_to_the_browser_in_moderation(monitor, channel, lab):
    text, counts = row(monitor)._text, []
    text.observe(counts.append, "value")
    begun = lab.story.now
    fill(channel, BURST)
    until(lambda: f"<b>{BURST}</b> ready" in text.value)
    assert len(counts) <= UPDATES_PER_SECOND * (lab.story.now - begun) + 2
    assert f"at most {BURST} messages in the last 30 seconds" in text.value


def test_it_keeps_one_connection_and_opens_no_others(monitor, channel, lab):
    for _ in range(5):
        str(monitor)
    # The API tells of new connections a few seconds late.
    names = until(lambda: [
        name for connection in lab._api.get("connections")
        if connection["vhost"] == lab.vhost
        and (name := connection["client_properties"].get("connection_name", "")).startswith("rpclab ")
    ])
    assert names == ["rpclab monitor"]


def test_closing_twice_leaves_no_thread_and_no_connection(lab, channel):
    before = set(threading.enumerate())
    monitor = QueueMonitor()
    str(monitor)
    monitor.purge(QUEUE)
    monitor.close()
    monitor.close()
    assert not set(threading.enumerate()) - before
    fill(channel, 1)
    assert monitor.table()[QUEUE]["ready"] == 0
    with pytest.raises(LabError, match="closed"):
        monitor.purge(QUEUE)


def test_a_lab_that_was_closed_is_said_to_be_gone(lab):
    monitor = QueueMonitor()
    str(monitor)
    lab.close()
    until(lambda: "is gone: the lab was closed" in shown(monitor))
    monitor.close()


def test_without_a_lab_it_says_what_is_missing(lab):
    lab.close()
    with pytest.raises(LabError, match="No lab is open"):
        QueueMonitor()


def test_a_broker_that_went_away_is_told_of_and_its_figures_come_back_with_it(worker_id):
    with Lab(f"{worker_id}-monitored", own_node=True) as lab:
        channel = lab.connect("tester").channel()
        channel.confirm_delivery()
        channel.queue_declare(QUEUE, durable=True)
        fill(channel, 3)
        monitor = QueueMonitor(lab)
        until(lambda: "<b>3</b> ready" in shown(monitor))
        lab.ctl("stop_app")
        until(lambda: "The broker does not answer" in shown(monitor))
        assert str(monitor).splitlines()[0].startswith("The broker does not answer")
        lab.ctl("start_app")
        until(lambda: "does not answer" not in shown(monitor), timeout=60)
        with lab.connect("tester") as connection:
            connection.channel().queue_declare("afterwards", durable=True)
            until(lambda: "afterwards" in monitor.table().column("name"))
        assert not monitor.trouble
        monitor.close()


def test_the_line_of_the_last_half_minute_begins_anew_when_the_half_minute_is_over():
    history = History()
    for time, value in [(0, 5), (10, 5), (20, 2), (40, 2), (60, 2)]:
        history.add(time, value)
    assert history.most == 2
    assert "d='M0.0 3.0H120'" in history.svg(60)


def test_the_line_has_a_step_where_the_number_changed():
    history = History()
    for time, value in [(0, 0), (15, 4), (22.5, 2)]:
        history.add(time, value)
    assert "d='M0.0 25.0H60.0V3.0H90.0V14.0H120'" in history.svg(30)


def test_a_bar_tells_ready_from_unacked_by_more_than_colour():
    drawn = bar(3, 1, 10)
    assert "<i class='ready' style='width: 30.0%'></i><i class='unacked' style='width: 10.0%'></i>" in drawn
    assert "aria-label='3 ready, 1 unacked'" in drawn
    assert "<i" not in bar(0, 0, 10)
