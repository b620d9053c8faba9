"""The case study's servers in real processes, asked by plain pika, so that each byte is the test's own."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable

import aio_pika
import kombu
import pika
import pytest
from waiting import awaited, until

from rpclab import AddClient, AdditionServer, FibonacciClient, FibonacciServer, Workers


@pytest.fixture(scope="module")
def servers(shared_lab):
    with Workers(AdditionServer, count=1) as addition, Workers(FibonacciServer, count=1) as fibonacci:
        yield {"addition": addition, "fibonacci": fibonacci}


@pytest.fixture(scope="module")
def asker(shared_lab, servers):
    """Send bytes to a queue and return the reply's properties and body."""
    connection = shared_lab.connect("asker")
    channel = connection.channel()
    answers = channel.queue_declare("", exclusive=True).method.queue

    def ask(queue: str, body: bytes, **properties) -> tuple[pika.BasicProperties, bytes]:
        asked = pika.BasicProperties(**{"reply_to": answers, **properties})
        channel.basic_publish("", queue, body, asked)
        got = until(lambda: next(iter([g for g in [channel.basic_get(answers, auto_ack=True)] if g[0]]), None))
        return got[1:]

    return ask


def nothing_came_twice(lab) -> bool:
    return not any(event.method.redelivered for event in list(lab.tap.events) if event.name == "Basic.Deliver")


@pytest.mark.parametrize(("queue", "body", "answer"), [
    ("addition", b"3,5", b"8"),
    ("addition", b" -3 , +5 ", b"2"),
    ("addition", b"99999999999999999999,1", b"100000000000000000000"),
    ("fibonacci", b"0", b"0"),
    ("fibonacci", b"1", b"1"),
    ("fibonacci", b"20", b"6765"),
])
def test_the_right_answer_comes_with_the_requests_correlation_id(asker, queue, body, answer):
    identifier = str(uuid.uuid4())
    properties, said = asker(queue, body, correlation_id=identifier)
    assert (said, properties.correlation_id, properties.type) == (answer, identifier, None)


def test_the_reply_says_which_process_answered(asker, servers):
    properties, _ = asker("addition", b"3,5")
    assert properties.headers == {"worker": "AdditionServer-0", "pid": servers["addition"].pids[0]}


def test_the_clients_of_the_course_get_numbers(shared_lab, servers):
    with AddClient() as add, FibonacciClient() as fibonacci:
        assert add.call(20, 22) == 42
        assert fibonacci.call(25) == 75025


# Other people's clients, each of which names its callback queue in its own way.

def asked_by_aio_pika(connect: Callable) -> Callable[[str], tuple[str, bytes]]:
    async def ask(url: str) -> tuple[str, bytes]:
        async with await connect(url) as connection:
            channel = await connection.channel()
            answers = await channel.declare_queue(exclusive=True)
            request = aio_pika.Message(b"10", reply_to=answers.name, correlation_id="1")
            await channel.default_exchange.publish(request, "fibonacci")
            async with answers.iterator(timeout=10) as came:
                message = await anext(came)
                await message.ack()
            return answers.name, message.body

    return lambda url: awaited(ask(url))


def asked_by_kombu(url: str) -> tuple[str, bytes]:
    came = []
    with kombu.Connection(url.partition("?")[0]) as connection, connection.channel() as channel:
        answers = kombu.Queue(str(uuid.uuid4()), exclusive=True, auto_delete=True)
        with kombu.Consumer(channel, answers, callbacks=[lambda body, message: came.append(body)], no_ack=True):
            producer = connection.Producer(channel)
            producer.publish("10", routing_key="fibonacci", reply_to=answers.name, correlation_id="1")
            until(lambda: connection.drain_events(timeout=10) or came)
        producer.close()
    return answers.name, came[0]


@pytest.mark.parametrize(("ask", "name"), [
    (asked_by_aio_pika(aio_pika.connect), r"amq\.gen-.*"),
    (asked_by_aio_pika(aio_pika.connect_robust), r"amq_[0-9a-f]+"),
    (asked_by_kombu, r"[0-9a-f]{8}-.*"),
], ids=["aio-pika", "aio-pika, robust", "kombu"])
def test_another_librarys_client_gets_its_answer_whatever_its_callback_queue_is_called(shared_lab, servers, ask, name):
    queue, answer = ask(shared_lab.url)
    assert re.fullmatch(name, queue)
    assert answer in (b"55", "55")


@pytest.mark.parametrize("queue", ["results", "cli.queue", "my-service.responses", "r" * 255, "ответы"])
def test_a_queue_of_any_name_gets_the_answer(shared_lab, servers, asker, queue):
    channel = shared_lab.connect().channel()
    channel.queue_declare(queue, exclusive=True)
    channel.basic_publish("", "fibonacci", b"10", pika.BasicProperties(reply_to=queue, correlation_id="1"))
    until(lambda: channel.basic_get(queue, auto_ack=True)[2] == b"55")


def test_the_request_is_acknowledged_after_its_reply_was_confirmed(shared_lab, asker):
    asker("addition", b"40,2", correlation_id="the one")
    shared_lab.wait_for("addition", unacked=0)
    events = list(shared_lab.tap.events)
    server = [e for e in events if e.link.name == "AdditionServer-0"]
    came = next(e for e in server if e.name == "Basic.Deliver" and e.properties.correlation_id == "the one")
    replied = next(e for e in server if e.name == "Basic.Publish" and e.properties.correlation_id == "the one")
    acks = [e for e in server if e.name == "Basic.Ack"]
    acked = next(e for e in acks if e.from_client and e.method.delivery_tag == came.method.delivery_tag)
    confirmed = next(e for e in acks[acks.index(acked)::-1] if not e.from_client)
    assert server.index(came) < server.index(replied) < server.index(confirmed) < server.index(acked)


BAD = [
    ("addition", b"abc", "2 integers with a comma between, like 3,5, got 'abc'"),
    ("addition", b"3", "got '3'"),
    ("addition", b"1,2,3", "got '1,2,3'"),
    ("addition", b"-1", "got '-1'"),
    ("addition", b"", "got ''"),
    ("addition", b"\xff\xfe", r"not UTF-8 text: b'\xff\xfe'"),
    ("addition", b"9" * 100_000 + b",1", "expected 2 integers"),
    ("fibonacci", b"abc", "one integer, like 30, got 'abc'"),
    ("fibonacci", b"-1", "from 0 to 35"),
    ("fibonacci", b"36", "fib(36) takes too long: send an integer from 0 to 35"),
    ("fibonacci", b"1" * 100, "from 0 to 35"),
    ("fibonacci", b"3,5", "got '3,5'"),
    ("fibonacci", b"", "got ''"),
    ("fibonacci", b"\x00\x80", "not UTF-8"),
]


@pytest.mark.parametrize(("queue", "body", "reason"), BAD, ids=[f"{q} {b[:12]!r}" for q, b, _ in BAD])
def test_a_bad_request_is_answered_with_what_is_wrong_and_does_not_loop(
    shared_lab, servers, asker, queue, body, reason
):
    pids = servers[queue].pids
    properties, said = asker(queue, body, correlation_id="bad")
    assert (properties.type, properties.correlation_id) == ("error", "bad")
    told = json.loads(said)
    assert told["type"] == "ValueError"
    assert reason in told["message"]
    shared_lab.wait_for(queue, ready=0, unacked=0, consumers=1)
    assert nothing_came_twice(shared_lab)
    assert servers[queue].pids == pids
    good = asker(queue, b"3,5" if queue == "addition" else b"6")
    assert (good[1], good[0].type) == (b"8", None)


def test_a_request_that_names_no_queue_for_the_answer_is_worked_on_and_acknowledged(shared_lab, servers, asker):
    channel = shared_lab.connect().channel()
    channel.basic_publish("", "addition", b"70,7")
    servers["addition"].wait_for_lines("no reply_to")
    shared_lab.wait_for("addition", ready=0, unacked=0, consumers=1)
    assert nothing_came_twice(shared_lab)
    assert asker("addition", b"3,5")[1] == b"8"


def test_a_request_whose_queue_for_the_answer_is_gone_does_no_harm(shared_lab, servers, asker):
    channel = shared_lab.connect().channel()
    channel.basic_publish("", "addition", b"70,8", pika.BasicProperties(reply_to="gone_callback"))
    servers["addition"].wait_for_lines("70 + 8")
    shared_lab.wait_for("addition", ready=0, unacked=0, consumers=1)
    assert asker("addition", b"3,5")[1] == b"8"


def test_a_request_without_a_correlation_id_is_answered_without_one(asker):
    properties, said = asker("addition", b"3,5")
    assert (said, properties.correlation_id) == (b"8", None)


def test_what_was_printed_is_in_the_log(asker, servers):
    asker("fibonacci", b"7")
    assert any(line == " [.] fib(7)" for line in servers["fibonacci"].wait_for_lines("fib(7)"))
    (started,) = servers["fibonacci"].wait_for_lines("started on queue 'fibonacci'")
    (pid,) = servers["fibonacci"].pids
    assert started == f" [x] Server FibonacciServer-0 (PID: {pid}) started on queue 'fibonacci'"
