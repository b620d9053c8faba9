"""Each drill as a learner meets it: look, name wrongly, name rightly, do nothing, repair wrongly, repair."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest
from cells import assert_says, cell
from waiting import until

import rpclab
from rpclab.broker import node
from rpclab.course import catalogue, record
from rpclab.course.drill import Drill, Fault
from rpclab.course.progress import progress
from rpclab.lab import current_lab
from rpclab.wire.messages import HELD

DRILLS = {fault.id.rpartition("-")[2]: fault for fault in catalogue.read("15").drills}
MY_SERVER = """
class MyServer(rpclab.BaseServer):
    def __init__(self):
        super().__init__(rpclab.ADDITION_QUEUE)

    def on_request(self, ch, method, properties, body):
        try:
            x, y = map(int, body.decode().split(","))
        except ValueError:
            return ch.basic_reject(method.delivery_tag, requeue=False)
        reply = pika.BasicProperties(correlation_id=properties.correlation_id)
        ch.basic_publish("", properties.reply_to, str(x + y), reply)
        ch.basic_ack(method.delivery_tag)
"""


@pytest.fixture
def start() -> Iterator[Callable[[str], Drill]]:
    """Start a drill by its letter, and end it after the test with the processes that the test has added."""
    started: list[Drill] = []

    def start(letter: str) -> Drill:
        started.append(rpclab.drill(DRILLS[letter].id))
        return started[-1]

    yield start
    for drill in started:
        for pool in vars(drill).get("added", ()):
            pool.stop()
        drill.close()


def add_server(drill: Drill) -> None:
    drill.added = [rpclab.Workers(cell(MY_SERVER, "MyServer"), count=1)]


def replace_server(drill: Drill) -> None:
    drill.workers["AdditionServer"].stop()
    add_server(drill)


def own_callback_queue(drill: Drill) -> None:
    drill.client = rpclab.AddClient()


def wait_longer(drill: Drill) -> None:
    drill.client.timeout = 5


def raise_the_limit(drill: Drill) -> None:
    drill.lab.ctl("set_vm_memory_high_watermark", "0.4")


REPAIRS = {
    "example": [replace_server], "a": [add_server], "c": [replace_server], "d": [replace_server],
    "b": [own_callback_queue, lambda drill: drill.workers["AdditionCallbackWorker"].stop()],
    "e": [wait_longer, replace_server], "f": [raise_the_limit],
}


def requests(drill: Drill) -> list:
    drill.lab.tap.catch_up()
    return [message for message in drill.lab.story.requests if message.routing_key == "addition"]


# What each fault shows, by the letter of its drill.
SIGNS = {
    "example": lambda drill: drill.client.stats.unknown > 0,
    "a": lambda drill: drill.lab.queues()["addition"]["consumers"] == 0,
    "b": lambda drill: {d.to for m in requests(drill) for r in m.replies for d in r.deliveries} - {"AddClient"},
    "c": lambda drill: any(m.replies and m.deliveries[-1].outcome == HELD for m in requests(drill)),
    "d": lambda drill: any(len(message.deliveries) > 1 for message in requests(drill)),
    "e": lambda drill: drill.client.stats.late > 0,
    "f": lambda drill: isinstance(drill.client.submit(1, 1).exception(60), rpclab.Blocked),
}


def recorded(fault: Fault) -> dict:
    return record.read()[record.EXERCISES][fault.id]


@pytest.mark.parametrize("letter", [letter for letter in DRILLS if letter != "example"])
def test_a_drill_shows_its_own_fault_and_is_passed_by_naming_and_repairing_it(start, letter):
    drill, fault = start(letter), DRILLS[letter]
    assert [sign for sign in SIGNS if SIGNS[sign](drill)] == [letter]

    assert_says(drill.check(), "not attempted", "Name the fault first")
    assert record.read()[record.EXERCISES] == {}

    wrong = [other for other in DRILLS.values() if other is not fault]
    for other in wrong:
        verdict = drill.name_fault(other.says)
        assert verdict.state == "wrong"
        assert verdict.text.endswith(f"then {other.would}. When this drill began, {other.instead}.")
    assert recorded(fault) == {"state": "wrong", "tries": len(wrong)}

    verdict = drill.name_fault(fault.says)
    assert_says(verdict, "right", "Now repair it")
    assert fault.because in verdict.text
    assert recorded(fault)["state"] == "wrong"  # named is not passed
    assert_says(drill.check(), "wrong", r"^You named the fault, and it is not repaired yet\. The call .* failed with")

    REPAIRS[letter][0](drill)
    verdict = drill.check()
    assert_says(verdict, "right", "Named and repaired")
    assert len(verdict.seen) == 2 * len(fault.calls)
    assert recorded(fault)["state"] == "right"
    assert progress().table().where(id=fault.id)[0]["state"] == "right"


def test_the_example_is_a_drill_that_is_not_recorded(start):
    drill = start("example")
    assert [sign for sign in SIGNS if SIGNS[sign](drill)] == ["example"]
    assert_says(drill.name_fault(DRILLS["a"].says), "wrong", "it had a consumer")
    assert_says(drill.name_fault(DRILLS["example"].says), "right", "Now repair it")
    assert_says(drill.check(), "wrong", "not repaired yet")
    replace_server(drill)
    assert_says(drill.check(), "right", "Named and repaired")
    assert record.read()[record.EXERCISES] == {}
    assert "15-example" not in progress().table().column("id")


@pytest.mark.parametrize(("letter", "repair"), [(letter, more) for letter in REPAIRS for more in REPAIRS[letter][1:]])
def test_another_good_repair_passes_as_well(start, letter, repair):
    drill = start(letter)
    drill.name_fault(DRILLS[letter].says)
    repair(drill)
    assert_says(drill.check(), "right", "Named and repaired")


def purge(drill: Drill) -> None:
    drill.workers["AdditionServer"].stop()
    drill.lab.wait_for("addition", unacked=0)
    drill.lab.purge("addition")
    drill.workers["AdditionServer"].scale(1)


@pytest.mark.parametrize(("letter", "repair", "words"), [
    ("c", add_server, r"All calls were answered, but `addition` has 0 ready and 2 unacked"),
    ("d", purge, r"The call 3 \+ 5 failed with `RpcTimeout`"),
    ("a", lambda drill: drill.lab.delete("addition"), r"failed with `UnroutableError`"),
    ("a", lambda drill: drill.client.close(), r"could not send its requests: This AddClient was closed"),
    ("a", lambda drill: setattr(drill, "client", None), r"`drill\.client` should be an `AddClient`.* `NoneType`"),
])
def test_half_a_repair_does_not_pass(start, letter, repair, words):
    drill = start(letter)
    drill.name_fault(DRILLS[letter].says)
    repair(drill)
    assert_says(drill.check(), "wrong", words)


def test_a_repair_does_not_pass_under_the_name_of_another_fault(start):
    drill = start("a")
    add_server(drill)
    drill.name_fault(DRILLS["example"].says)
    assert_says(drill.check(), "wrong", "Your repair works, but you named another fault")
    drill.name_fault(DRILLS["a"].says)
    assert_says(drill.check(), "right", "Named and repaired")


def test_replies_that_did_not_cross_the_wire_do_not_count(start, lab, serve):
    drill = start("a")
    drill.name_fault(DRILLS["a"].says)
    serve(rpclab.AdditionServer(parameters=lab.parameters))
    with rpclab.AddClient(parameters=lab.parameters) as client:
        drill.client = client  # that of another lab
        assert_says(drill.check(), "wrong", "not seen on the lab's connections")


def test_the_question_shows_the_complaint_and_every_fault_in_another_order_than_the_drills(start):
    drill = start("a")
    assert DRILLS["a"].title in drill.question
    listed = [line.partition(". ")[2] for line in drill.question.splitlines()[-len(DRILLS):]]
    assert listed == sorted(fault.says for fault in DRILLS.values())
    assert listed != [fault.says for fault in DRILLS.values()]
    assert drill.name_fault(listed.index(DRILLS["a"].says) + 1).state == "right"
    assert repr(drill) == "Drill('15-drill-a')"


def test_a_fault_that_is_no_choice_is_refused(start):
    drill = start("a")
    for choice in (0, len(DRILLS) + 1, True, None, "nonsense", ["1"]):
        with pytest.raises(rpclab.InvalidOption, match=f"from 1 to {len(DRILLS)}"):
            drill.name_fault(choice)


def test_a_drill_that_is_not_there_lists_those_there_are():
    with pytest.raises(rpclab.InvalidOption, match=r"'15-drill-z'\. Lesson 15 has: 15-example, 15-drill-a"):
        rpclab.drill("15-drill-z")


def test_a_drill_that_would_disturb_others_is_not_started_on_their_broker(monkeypatch, lab):
    monkeypatch.setattr(node, "script_folder", lambda: None)
    with pytest.raises(rpclab.BrokerUnavailable, match="RabbitMQ is not installed"):
        rpclab.drill(DRILLS["f"].id)
    assert current_lab() is lab


def test_the_next_drill_ends_the_one_before(start):
    first = start("a")
    processes = [worker for pool in first.workers.values() for worker in pool]
    second = start("example")
    until(lambda: not any(worker.alive for worker in processes))
    assert current_lab() is second.lab
    with pytest.raises(rpclab.LabError, match="was closed"):
        first.lab.queues()
    first.close()
    assert second.lab.queues()


def test_the_control_room_shows_a_drill(start):
    drill = start("a")
    room = rpclab.ControlRoom(drill.lab)
    try:
        until(lambda: re.search(r"^queue +addition +3 +3 +0 +0$", str(room), re.MULTILINE))
    finally:
        room.close()
    assert_says(drill.name_fault(DRILLS["a"].says), "right", "")


def test_no_two_drills_read_alike():
    for part in ("id", "title", "says", "would", "because"):
        assert len({getattr(fault, part) for fault in DRILLS.values()}) == len(DRILLS)
    assert isinstance(DRILLS["example"], Fault)
