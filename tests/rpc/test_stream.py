"""Several replies to one request: in order, each once, until the last one or an error."""

from __future__ import annotations

import asyncio
import multiprocessing
import threading
import time

import pika
import pytest
from waiting import awaited, until

from rpclab import (
    ClientClosed,
    ConnectionLost,
    InvalidOption,
    Json,
    MisplacedCall,
    RemoteError,
    ReplyLost,
    RpcClient,
    RpcServer,
    RpcTimeout,
    UnroutableError,
    Workers,
)
from rpclab.rpc.protocol import END, NUMBER
from rpclab.rpc.server import BaseServer


def count_to(body: str):
    yield from range(1, int(body) + 1)


@pytest.fixture
def counter(serve) -> RpcServer:
    return serve(RpcServer("count", count_to))


@pytest.fixture
def halting(serve, gate):
    """A service that yields 1, waits for the gate, and yields 2 and 3; its log says how it ended."""
    log = []

    def one_and_more(body: str):
        try:
            yield 1
            gate.wait()
            yield 2
            yield 3
            log.append("to the end")
        finally:
            log.append("over")

    serve(RpcServer("halting", one_and_more))
    return log


class Scripted(BaseServer):
    """A server that sends the replies it was given, as number, body and type."""

    def __init__(self, *replies: tuple[object, bytes, str | None]):
        super().__init__("scripted")
        self.replies = replies

    def on_request(self, ch, method, properties, body):
        for number, reply, kind in self.replies:
            headers = None if number is None else {NUMBER: number}
            told = pika.BasicProperties(correlation_id=properties.correlation_id, type=kind, headers=headers)
            ch.basic_publish("", properties.reply_to, reply, told)
        ch.basic_ack(method.delivery_tag)


class Slow(RpcServer):
    """Yields 1 to 5; the first process of its name goes no further than 2."""

    def __init__(self):
        super().__init__("slow")

    def handle(self, body: str):
        for number in range(1, 6):
            while number == 3 and multiprocessing.current_process().name.endswith("-0"):
                time.sleep(0.1)
            yield number


def test_each_value_is_a_reply_and_they_come_in_order(lab, counter):
    with RpcClient("count") as client:
        assert list(client.stream("100")) == [str(number) for number in range(1, 101)]
        assert (client.stats.sent, client.stats.answered, client.stats.duplicate) == (1, 1, 0)


def test_on_the_wire_they_are_numbered_and_the_end_is_marked(lab, counter):
    with lab.record() as story, RpcClient("count") as client:
        list(client.stream("2"))
        lab.wait_for("count", unacked=0)
    request, *replies = story.messages
    assert [(one.properties.headers[NUMBER], one.properties.type, one.text()) for one in replies] == [
        (1, None, "1"), (2, None, "2"), (3, END, ""),
    ]
    assert {one.properties.correlation_id for one in replies} == {request.properties.correlation_id}


def test_a_reply_comes_as_soon_as_it_is_yielded_and_the_request_is_acknowledged_after_the_last(lab, halting, gate):
    with RpcClient("halting") as client:
        replies = client.stream("x")
        assert next(replies) == "1"
        assert lab.queues()["halting"]["unacked"] == 1
        gate.set()
        assert list(replies) == ["2", "3"]
        assert list(replies) == []
        lab.wait_for("halting", unacked=0)


def test_the_request_stays_unacknowledged_until_the_last_reply_is_confirmed(lab):
    with Workers(RpcServer, "count", count_to, count=1, name="Counter") as workers, RpcClient("count") as client:
        assert list(client.stream("0")) == []
        lab.wait_for("count", unacked=0)
        lab.tap.drop_next("Basic.Ack", "Counter-0")
        assert list(client.stream("0")) == []
        assert lab.queues()["count"]["unacked"] == 1
        workers.kill(0)


def test_streams_and_calls_at_the_same_time_keep_apart(lab, serve):
    serve(RpcServer("count", count_to, prefetch=10))
    with RpcClient("count") as client:
        streams = [client.stream(str(count)) for count in (5, 0, 50)]
        assert [len(list(replies)) for replies in streams] == [5, 0, 50]


def test_values_go_through_the_codec(lab, serve):
    serve(RpcServer("parts", lambda value: ({"part": part} for part in value), codec=Json()))
    with RpcClient("parts", codec=Json()) as client:
        assert list(client.stream(["a", None])) == [{"part": "a"}, {"part": None}]


def test_direct_reply_to_takes_several_replies_as_well(lab, counter):
    with RpcClient("count", reply="direct") as client:
        assert list(client.stream("3")) == ["1", "2", "3"]


def test_a_callback_queue_gets_all_of_them(lab, counter):
    channel = lab.connect("by hand").channel()
    channel.queue_declare("done", durable=True)
    with RpcClient("count") as client:
        client.send("3", reply_to="done")
    lab.wait_for("done", ready=4)


# What the server's function does.

def test_what_the_generator_raises_comes_after_what_it_has_yielded(lab, serve):
    def fail(body: str):
        yield "one"
        raise ValueError("no more")

    serve(RpcServer("failing", fail))
    with RpcClient("failing") as client:
        for _ in range(2):
            replies = client.stream("x")
            assert next(replies) == "one"
            with pytest.raises(RemoteError, match="ValueError: no more"):
                next(replies)
        assert client.stats.failed == 2


def test_what_a_generator_returns_would_be_lost_and_is_an_error(lab, serve):
    def careless(body: str):
        yield 1
        return 2

    serve(RpcServer("careless", careless))
    with RpcClient("careless") as client, pytest.raises(RemoteError, match=r"TypeError.*yield the last value, too"):
        list(client.stream("x"))


def test_a_value_that_the_codec_cannot_write_ends_the_stream(lab, serve):
    serve(RpcServer("parts", lambda value: (part for part in (1, object(), 3)), codec=Json()))
    with RpcClient("parts", codec=Json()) as client:
        replies = client.stream("x")
        assert next(replies) == 1
        with pytest.raises(RemoteError, match="cannot be written as JSON"):
            next(replies)


def test_a_function_that_returns_is_a_stream_of_one_reply(lab, shout):
    with RpcClient("shout") as client:
        assert list(client.stream("hello")) == ["HELLO"]


def test_a_failed_stream_that_is_tried_again_goes_on_where_the_client_is(lab, serve):
    tries = []

    def second_time_lucky(body: str):
        tries.append(body)
        yield 1
        if len(tries) == 1:
            raise ValueError("not yet")
        yield 2

    serve(RpcServer("lucky", second_time_lucky, on_error="dead-letter"))
    with RpcClient("lucky") as client:
        assert list(client.stream("x")) == ["1", "2"]
        assert client.stats.duplicate == 1


def test_a_server_that_is_told_to_stop_sends_the_last_reply_first(lab, halting, gate, serve):
    server = serve(RpcServer("count", count_to))
    with RpcClient("count") as client:
        replies = client.stream("1000")
        assert next(replies) == "1"
        server.stop()
        assert len(list(replies)) == 999


# What is refused.

def test_call_of_a_service_that_yields_says_what_to_use(lab, counter):
    with RpcClient("count") as client:
        with pytest.raises(RemoteError, match=r"several replies.*client\.stream"):
            client.call("3")
        assert list(client.stream("2")) == ["1", "2"]


def test_a_client_that_sends_again_takes_no_several_replies(lab, counter):
    with RpcClient("count", retry=1) as client, pytest.raises(InvalidOption, match="Use a client without retry"):
        client.stream("3")


def test_a_server_that_remembers_does_not_yield(lab, serve):
    class Yields(RpcServer):
        def handle(self, body: str):
            yield body

    for make in (lambda: RpcServer("count", count_to, remember=60), lambda: Yields("count", remember=60)):
        with pytest.raises(InvalidOption, match="leave remember out"):
            make()
    serve(RpcServer("hidden", lambda body: count_to(body), remember=60))
    with RpcClient("hidden") as client, pytest.raises(RemoteError, match="leave remember out"):
        list(client.stream("3"))


def test_a_callback_of_the_client_cannot_wait_for_a_reply(lab, counter, halting):
    raised = []
    with RpcClient("count") as client, RpcClient("halting"):
        replies = client.stream("0")
        empty = client.stream("1")

        def wait(_):
            try:
                next(client.stream("5"))
            except MisplacedCall as error:
                raised.append(error)

        empty.call.add_done_callback(wait)
        assert list(replies) == []
        until(lambda: raised)


def test_without_a_queue_it_ends_at_once(lab):
    with RpcClient("nowhere") as client, pytest.raises(UnroutableError):
        next(client.stream("x"))


# Replies that are lost, or come again or late.

def test_a_lost_reply_is_an_error_and_not_a_gap(lab, halting, gate):
    with RpcClient("halting") as client:
        replies = client.stream("x")
        assert next(replies) == "1"
        lab.tap.drop_next("Basic.Deliver", "RpcClient")
        gate.set()
        with pytest.raises(ReplyLost, match=r"Reply 2 .* was lost: reply 3 came instead"):
            next(replies)
        until(lambda: client.stats.duplicate == 1)  # the end
        assert client.stats.failed == 1


def test_a_lost_end_is_a_timeout_that_says_what_has_come(lab, halting, gate):
    with RpcClient("halting") as client:
        replies = client.stream("x", timeout=1)
        assert next(replies) == "1"
        for _ in range(3):
            lab.tap.drop_next("Basic.Deliver", "RpcClient")
        gate.set()
        with pytest.raises(RpcTimeout, match=r"^1 reply came, and the last one did not within 1 s"):
            next(replies)


def test_the_deadline_is_for_all_replies_and_later_ones_are_dropped(lab, halting, gate):
    with RpcClient("halting") as client:
        replies = client.stream("x", timeout=0.3)
        until(lambda: client.stats.timed_out == 1)
        assert next(replies) == "1"  # what had come in time
        for _ in range(2):
            with pytest.raises(RpcTimeout, match="1 reply came"):
                next(replies)
        gate.set()
        until(lambda: client.stats.late == 3)
        assert halting == ["to the end", "over"]


def test_a_reply_that_comes_twice_is_dropped_and_counted(lab, serve):
    serve(Scripted((1, b"a", None), (1, b"b", None), (2, b"c", None), (1, b"d", None), (3, b"", END), (3, b"", END)))
    with RpcClient("scripted") as client:
        assert list(client.stream("x")) == ["a", "c"]
        until(lambda: client.stats.duplicate == 3)


@pytest.mark.parametrize("number", [None, True, "1", 0, -1])
def test_a_reply_without_a_number_is_the_only_one(lab, serve, number):
    serve(Scripted((number, b"all of it", None)))
    with RpcClient("scripted") as client:
        assert list(client.stream("x")) == ["all of it"]
        assert client.call("x") == "all of it"


def test_a_reply_that_was_not_confirmed_is_sent_again_and_taken_once(lab, gate):
    with Workers(RpcServer, "count", count_to, count=1, name="Counter") as workers, RpcClient("count") as client:
        lab.tap.drop_next("Basic.Ack", "Counter-0")
        replies = client.stream("3")
        assert next(replies) == "1"
        lab.tap.cut("Counter-0")
        assert list(replies) == ["2", "3"]
        assert client.stats.duplicate == 1
        workers.wait_for_lines("came again")


def test_wherever_the_connection_of_the_server_breaks_each_reply_is_taken_once(lab):
    with RpcClient("count", timeout=60) as client:
        seen = _cut_at(lab, client, None)
        assert seen > 15
        for at in range(0, seen, 4):
            _cut_at(lab, client, at)


def _cut_at(lab, client, at: int | None) -> int:
    """Take three replies, cut the server's connection before its frame of this number, and return how many it had."""
    frames = []

    def ask(frame) -> bool:
        if frame.link.name == "Counter-0" and frame.name != "heartbeat":
            frames.append(frame.name)
            if len(frames) - 1 == at:
                lab.tap.cut("Counter-0")
        return True

    # A new process each time: one that has lost its connection often waits before it opens another.
    with Workers(RpcServer, "count", count_to, count=1, name="Counter"), lab.tap.gatekeeper(ask):
        assert list(client.stream("3")) == ["1", "2", "3"], frames
        lab.wait_for("count", ready=0, unacked=0, consumers=1)
    return len(frames)


def test_another_worker_goes_on_for_one_that_was_killed(lab):
    with Workers(Slow, count=1) as workers, RpcClient("slow", timeout=60) as client:
        replies = client.stream("x")
        assert [next(replies), next(replies)] == ["1", "2"]
        workers.kill(0)
        workers.scale(1)
        assert list(replies) == ["3", "4", "5"]
        assert client.stats.duplicate == 2


def test_a_lost_connection_ends_the_stream_after_what_has_come(lab, halting):
    with RpcClient("halting") as client:
        replies = client.stream("x")
        until(lambda: replies._parts.count == 1)
        lab.tap.cut("RpcClient")
        until(replies.call.done)
        assert next(replies) == "1"
        with pytest.raises(ConnectionLost):
            next(replies)


# Leaving before the end.

def test_leaving_the_loop_forgets_the_call_and_the_server_goes_on_to_the_end(lab, halting, gate):
    with RpcClient("halting") as client:
        for reply in client.stream("x"):
            assert reply == "1"
            break
        gate.set()
        until(lambda: client.stats.late == 3)
        assert halting == ["to the end", "over"]
        assert client.stats.answered == 0
        lab.wait_for("halting", unacked=0)


def test_closing_wakes_another_thread_that_waits(lab, halting):
    with RpcClient("halting") as client:
        replies = client.stream("x")
        taken = []
        thread = threading.Thread(target=lambda: taken.extend(replies))
        thread.start()
        until(lambda: taken)
        replies.close()
        replies.close()
        thread.join(60)
        assert not thread.is_alive()
        assert taken == ["1"]


def test_a_server_whose_client_is_closed_stops_at_its_next_reply(lab, halting, gate):
    with RpcClient("halting") as client:
        replies = client.stream("x")
        assert next(replies) == "1"
    with pytest.raises(ClientClosed):
        next(replies)
    gate.set()
    until(lambda: halting == ["over"])
    lab.wait_for("halting", ready=0, unacked=0)
    with RpcClient("halting") as client:
        assert list(client.stream("x")) == ["1", "2", "3"]


def test_with_direct_reply_to_a_server_does_not_notice_that_its_client_is_closed(lab, halting, gate):
    with RpcClient("halting", reply="direct") as client:
        assert next(client.stream("x")) == "1"
    gate.set()
    until(lambda: halting == ["to the end", "over"])
    lab.wait_for("halting", ready=0, unacked=0)


def test_a_generator_that_fails_to_close_does_not_end_the_worker(lab, serve, gate):
    def stubborn(body: str):
        try:
            yield 1
            gate.wait()
            yield 2
        finally:
            raise SystemExit("stubborn")

    serve(RpcServer("stubborn", stubborn))
    with RpcClient("stubborn") as client:
        assert next(client.stream("x")) == "1"
    gate.set()
    lab.wait_for("stubborn", ready=0, unacked=0)
    with RpcClient("stubborn") as client:
        assert next(client.stream("x")) == "1"


def test_a_reply_that_the_broker_does_not_take_ends_the_stream(lab, serve):
    begun = []

    def large(body: str):
        for size in (1, 200_000_000, 1):
            begun.append(size)
            yield b"x" * size

    serve(RpcServer("large", large))
    with RpcClient("large", timeout=60) as client:
        replies = client.stream("x")
        assert next(replies) == "x"
        with pytest.raises(RemoteError, match=r"ReplyRefused.*200,000,000 bytes"):
            next(replies)
        lab.wait_for("large", unacked=0)
        assert len(begun) == 2


# In an asyncio program.

def test_async_for_takes_the_same_replies(lab, counter):
    async def take() -> list[str]:
        return [reply async for reply in client.stream("50")]

    with RpcClient("count") as client:
        assert awaited(take()) == [str(number) for number in range(1, 51)]


def test_the_event_loop_goes_on_while_a_coroutine_waits_for_a_reply(lab, halting, gate):
    async def take() -> list[str]:
        replies = client.stream("x")
        taken = [await anext(replies)]
        asyncio.get_running_loop().call_later(0.01, gate.set)
        return taken + [reply async for reply in replies]

    with RpcClient("halting") as client:
        assert awaited(take()) == ["1", "2", "3"]


def test_an_error_comes_out_of_async_for(lab, halting):
    async def take() -> None:
        async for _ in client.stream("x", timeout=0.2):
            pass

    with RpcClient("halting") as client, pytest.raises(RpcTimeout):
        awaited(take())


def test_a_cancelled_coroutine_forgets_the_call_and_the_client_goes_on(lab, halting, gate):
    async def take() -> None:
        async for _ in client.stream("x"):
            pass

    async def cancelled() -> None:
        await asyncio.wait_for(take(), 0.3)

    with RpcClient("halting") as client:
        with pytest.raises(asyncio.TimeoutError):
            awaited(cancelled())
        gate.set()
        until(lambda: client.stats.late == 3)
        assert list(client.stream("x")) == ["1", "2", "3"]


def test_replies_for_a_loop_that_is_closed_do_no_harm(lab, halting, gate):
    streams = []

    async def begin() -> None:
        streams.append(client.stream("x"))
        await anext(streams[0])

    with RpcClient("halting") as client:
        awaited(begin())
        gate.set()
        assert list(streams[0]) == ["2", "3"]


def test_a_reply_to_a_call_that_was_cancelled_is_late(lab, serve, gate):
    serve(RpcServer("slow", lambda body: gate.wait() and body))
    with RpcClient("slow") as client:
        future = client.submit("x")
        lab.wait_for("slow", unacked=1)
        assert future.cancel()
        gate.set()
        until(lambda: client.stats.late == 1)
        assert (client.stats.answered, client.call("y")) == (0, "y")
