"""The queue monitor without a browser: the figures it has, what it draws of them, and its purge button."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from unittest.mock import ANY

import pytest
from showing import buttons, click, note, rows, shown
from waiting import until

from rpclab import AddClient, AdditionServer, LabError, QueueMonitor, QueueNotFound

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


def ready(monitor: QueueMonitor, queue: str = QUEUE) -> str:
    """Return what is shown for ready messages."""
    return next((cells[2] for cells in rows(monitor) if cells[0] == queue), "")


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
    until(lambda: ready(monitor) == "4")
    channel.basic_qos(prefetch_count=1)
    channel.basic_consume(QUEUE, lambda *_: None)
    until(lambda: rows(monitor)[0] == [QUEUE, {"bar": [3, 1, 10]}, "3", "1", "1", ANY])


def test_rows_stand_in_the_order_of_their_names(monitor, channel):
    for queue in ("zebra", "aardvark"):
        channel.queue_declare(queue, durable=True)
    until(lambda: [cells[0] for cells in rows(monitor)] == ["aardvark", QUEUE, "zebra"])
    channel.queue_delete("zebra")
    until(lambda: [cells[0] for cells in rows(monitor)] == ["aardvark", QUEUE])


def test_its_button_asks_before_it_purges_what_is_ready_and_leaves_the_other_queues_alone(monitor, channel):
    fill(channel, 5)
    channel.queue_declare("other", durable=True)
    fill(channel, 1, "other")
    until(lambda: (ready(monitor), ready(monitor, "other")) == ("5", "1"))
    asked = next(button for button in buttons(monitor) if button["args"][0] == QUEUE)
    assert asked["ask"] == "purge 5 messages?"
    click(monitor, asked["do"], *asked["args"])
    monitor.wait()
    assert monitor.table().column("ready") == [1, 0]
    until(lambda: ready(monitor) == "0")


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


def test_a_queues_name_is_handed_to_the_front_end_as_it_is(monitor, channel):
    channel.queue_declare(HOSTILE, durable=True)
    fill(channel, 1, HOSTILE)
    until(lambda: ready(monitor, HOSTILE) == "1")
    monitor.purge(f"{HOSTILE} not there")
    monitor.wait()
    until(lambda: "There is no queue" in note(monitor))
    assert HOSTILE in str(monitor)


def test_two_monitors_show_the_same(monitor, channel):
    other = QueueMonitor()
    fill(channel, 2)
    until(lambda: ready(monitor) == ready(other) == "2")
    assert str(other) == str(monitor)
    other.close()
    fill(channel, 1)
    until(lambda: ready(monitor) == "3")


def test_many_queues_are_counted_and_the_first_are_shown(monitor, channel, monkeypatch):
    monkeypatch.setattr("rpclab.widgets.queue_monitor.ROWS_SHOWN", 2)
    for number in range(3):
        channel.queue_declare(f"queue {number}", durable=True)
    until(lambda: "4 queues; the first 2 are shown." in shown(monitor))
    until(lambda: [cells[0] for cells in rows(monitor)] == ["queue 0", "queue 1"])
    assert len(monitor.table()) == 4


def test_a_burst_shows_in_the_end_and_is_sent_to_the_browser_in_moderation(monitor, channel, lab):
    counts = []
    monitor.observe(counts.append, "scene")
    begun = lab.story.now
    fill(channel, BURST)
    until(lambda: ready(monitor) == str(BURST))
    assert len(counts) <= UPDATES_PER_SECOND * (lab.story.now - begun) + 2


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
    until(lambda: "does not exist any more: the lab was closed" in shown(monitor))
    monitor.close()


def test_without_a_lab_it_says_what_is_missing(lab):
    lab.close()
    with pytest.raises(LabError, match="No lab is open"):
        QueueMonitor()
