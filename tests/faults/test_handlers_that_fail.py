from __future__ import annotations

import json
import random
import sys

import psutil
import pytest
from shouting import QUEUE, note
from waiting import until

from rpclab import AdditionServer, RemoteError, RpcClient, RpcServer, Workers
from rpclab.rpc.protocol import ADDITION_QUEUE

MEGABYTE = 1024 * 1024


class Unspeakable(Exception):
    """An error that cannot be told."""

    def __str__(self) -> str:
        raise RuntimeError("no words")


class Unsendable:
    """A result that cannot be sent."""

    def __str__(self) -> str:
        raise ValueError("this has no text")


class Failing(RpcServer):
    """Fails in the way that the request names."""

    def __init__(self):
        super().__init__(QUEUE)

    def on_request(self, ch, method, properties, body) -> None:
        note(method, body)
        super().on_request(ch, method, properties, body)

    def handle(self, body: str) -> object:
        if body == "raise":
            raise KeyError("no such account: 17")
        if body == "raise what cannot be told":
            raise Unspeakable
        if body == "exit":
            sys.exit("enough")
        return {"half a character": "\ud83d", "no text": Unsendable()}.get(body, body.upper())


@pytest.fixture(scope="module")
def failing(shared_lab):
    with Workers(Failing, count=1) as workers:
        yield workers


@pytest.fixture
def client(failing):
    with RpcClient(QUEUE, timeout=5) as client:
        yield client


def assert_lives_on(client, failing, lab, pid):
    """See to it that the same process answers the next request, and that nothing is left of the last one."""
    assert client.call("hello") == "HELLO"
    assert failing.pids == [pid]
    lab.wait_for(QUEUE, ready=0, unacked=0)


def assert_each_was_taken_once(worker, before):
    """See to it that the request that failed and the next one were taken once, by what was printed since."""

    def took() -> list[str]:
        return [line for line in worker.log[before:] if "took" in line]

    until(lambda: len(took()) >= 2)
    assert len(took()) == 2


# 9

def test_what_a_function_raises_reaches_the_caller_and_the_worker_lives(client, failing, shared_lab):
    (pid,) = failing.pids
    before = len(failing[0].log)
    with pytest.raises(RemoteError) as raised:
        client.call("raise")
    assert (raised.value.type, raised.value.message) == ("KeyError", "'no such account: 17'")
    assert_lives_on(client, failing, shared_lab, pid)
    assert_each_was_taken_once(failing[0], before)


# 10

@pytest.mark.parametrize(("body", "type"), [("half a character", "UnicodeEncodeError"), ("no text", "ValueError")])
def test_a_result_that_cannot_be_sent_is_answered_by_an_error_and_not_tried_again(
    client, failing, shared_lab, body, type
):
    (pid,) = failing.pids
    before = len(failing[0].log)
    with pytest.raises(RemoteError, match=type):
        client.call(body)
    assert_lives_on(client, failing, shared_lab, pid)
    assert_each_was_taken_once(failing[0], before)


def test_a_body_that_cannot_be_read_is_answered_by_an_error_and_not_tried_again(lab, stranger):
    with Workers(Failing, count=1) as workers:
        sent = stranger.send(QUEUE, b"\xff\xfe\x00")
        properties, body = stranger.next_reply()
        assert (properties.type, properties.correlation_id) == ("error", sent)
        said = json.loads(body)
        assert said["type"] == "ValueError"
        assert "not UTF-8 text" in said["message"]
        with RpcClient(QUEUE) as client:
            assert_lives_on(client, workers, lab, *workers.pids)
        assert len(workers.wait_for_lines("took")) == 2


@pytest.mark.parametrize(("answer", "sent"), [
    (b"\x00\xff", b"\x00\xff"), (bytearray(b"abc"), b"abc"), ("", b""), (None, b"None"), (0.5, b"0.5"),
    ("\N{SNOWMAN}", "\N{SNOWMAN}".encode()),
], ids=repr)
def test_bytes_are_sent_as_they_are_and_all_else_as_text(lab, serve, stranger, answer, sent):
    serve(RpcServer(QUEUE, lambda _: answer))
    stranger.send(QUEUE, "x")
    properties, body = stranger.next_reply()
    assert (properties.type, body) == (None, sent)


# 9 again, with a lab of its own: a server that fails this test holds the request forever

@pytest.mark.parametrize(("body", "type"), [("exit", "SystemExit"), ("raise what cannot be told", "Unspeakable")])
def test_not_even_an_exit_or_an_error_without_words_keeps_the_caller_waiting(lab, body, type):
    with Workers(Failing, count=1) as workers, RpcClient(QUEUE, timeout=2) as client:
        pids = workers.pids
        with pytest.raises(RemoteError) as raised:
            client.call(body)
        assert raised.value.type == type
        assert_lives_on(client, workers, lab, *pids)


# 25

def malformed(source: random.Random) -> bytes:
    """Return a body that the addition service cannot read: bytes that are no text, or text that is no sum."""
    nonsense = source.randbytes(source.randrange(200))
    return source.choice([nonsense + b"\xff", b"", b",", b"3,", b"3,5,8", b"three,five", b"3.0,5", b"[3,5]", nonsense])


def test_among_a_thousand_malformed_bodies_a_thousand_good_ones_are_answered_and_memory_stays_flat(lab, stranger):
    source = random.Random(25)

    def exchange(count: int) -> None:
        """Send the given numbers of good and bad requests, mixed, and check each reply."""
        bodies = [(f"{number},{number}".encode(), str(2 * number)) for number in range(count)]
        bodies += [(malformed(source), None) for _ in range(count)]
        source.shuffle(bodies)
        expected = {stranger.send(ADDITION_QUEUE, body): right for body, right in bodies}
        answers = {
            properties.correlation_id: None if properties.type == "error" else body.decode()
            for properties, body in stranger.wait_for_replies(2 * count)
        }
        assert answers == expected
        assert sum(answer is None for answer in answers.values()) == count

    with Workers(AdditionServer, count=1) as workers:
        (pid,) = workers.pids
        exchange(300)
        before = psutil.Process(pid).memory_info().rss
        exchange(1000)
        assert psutil.Process(pid).memory_info().rss - before < 4 * MEGABYTE
        assert workers.pids == [pid]
        lab.wait_for(ADDITION_QUEUE, ready=0, unacked=0)
        assert stranger.replies == []
