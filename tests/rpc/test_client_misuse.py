"""Uses of an `RpcClient` that cannot work: told at once, to the caller, while other calls in flight live on."""

from __future__ import annotations

import multiprocessing
import struct
import sys
import threading
import time

import pika
import pytest
from waiting import until

from rpclab import (
    AddClient,
    ClientClosed,
    ConnectionLost,
    InvalidOption,
    LabError,
    MisplacedCall,
    RemoteError,
    RpcClient,
    RpcServer,
)

AT_ONCE = 0.05
TRIES = 4


@pytest.fixture
def client(lab, serve, gate):
    """A client with a call in flight, which has to be answered in the end over the connection that it began with."""

    class Held(RpcClient):
        pass

    serve(RpcServer("held", lambda body: body != "held" or gate.wait(), prefetch=10))
    with Held("held", timeout=30) as client:
        held = client.submit("held")
        yield client
        gate.set()
        assert held.result(60) == "True"
        assert len({event.link.number for event in list(lab.tap.events) if event.link.name == "Held"}) == 1


def refused(action, error: type[LabError], match: str = "") -> None:
    """Check that an action raises an error at once; of several tries, because other programs may hold one up."""
    took = []
    for _ in range(TRIES):
        began = time.monotonic()
        with pytest.raises(error, match=match) as raised:
            action()
        took.append(time.monotonic() - began)
        assert raised.type is error
    assert min(took) < AT_ONCE


HUGE_LONG = 2**62
HUGE = 10**5000  # Python refuses to print it
NO_NAMES = (None, 5, "", b"bytes", "x" * 256, "ü" * 128, "\ud800", ["queue"], True, HUGE)
OF_THE_BROKER = ("amq.rabbitmq.reply-to", "amq.gen-mine")
NO_TEXTS = (None, 5, b"bytes", "\ud800", ["text"], HUGE)
NO_TIMEOUTS = (float("nan"), float("inf"), HUGE, -1, "5")


@pytest.mark.usefixtures("lab")
def test_options_that_no_client_can_use_are_refused_at_once():
    for name in NO_NAMES:
        refused(lambda name=name: RpcClient(name), InvalidOption, "request_queue=")
        refused(lambda name=name: RpcClient("idle", reply=name), InvalidOption, "reply=")
    for name in OF_THE_BROKER:
        refused(lambda name=name: RpcClient("idle", reply=name), InvalidOption, r'"amq\.".*"exclusive".*"direct"')
    for heartbeat in (-1, 65_536, 1.5, "10", None, True, HUGE):
        refused(lambda value=heartbeat: RpcClient("idle", heartbeat=value), InvalidOption, "heartbeat=")
    for seconds in (*NO_TIMEOUTS, 0):
        refused(lambda value=seconds: RpcClient("idle", timeout=value), InvalidOption, "timeout=")
        refused(lambda value=seconds: RpcClient("idle", retry=value), InvalidOption, "retry=")
    for parameters in (5, "amqp://localhost", [], ["amqp://localhost"], {}):
        refused(lambda value=parameters: RpcClient("idle", parameters=value), InvalidOption, "parameters=")


def test_what_cannot_be_sent_is_refused_at_once_and_the_connection_lives_on(client):
    for name in NO_NAMES:
        refused(lambda name=name: client.send("x", reply_to=name), InvalidOption, "reply_to=")
    refused(lambda: client.send("x", reply_to="amq.rabbitmq.reply-to"), InvalidOption, 'reply="direct"')
    for act in (client.call, client.submit, lambda *given, **options: client.send(*given, reply_to="r", **options)):
        for body in NO_TEXTS:
            refused(lambda act=act, body=body: act(body), InvalidOption, "text")
        for timeout in NO_TIMEOUTS:
            refused(lambda act=act, value=timeout: act("x", timeout=value), InvalidOption, "timeout=")


@pytest.mark.parametrize("size", [1, 255])
def test_names_as_long_as_they_may_be_are_used(lab, serve, size):
    serve(RpcServer("n" * size, str.upper))
    with RpcClient("n" * size) as client:
        assert client.call("hello") == "HELLO"


class Stubborn(str):
    """Text that does not let itself be encoded."""

    def encode(self, *arguments):
        raise SystemExit


def test_text_with_a_method_that_fails_is_text(client):
    assert client.call(Stubborn("x")) == "True"


@pytest.mark.parametrize("act", [
    lambda client: client.call("x", timeout=30),
    lambda client: client.send("x", reply_to="replies"),
    lambda client: client.submit("x").result(60),
    lambda client: client.submit("x").exception(),
], ids=["call", "send", "result", "exception"])
def test_waiting_in_a_callback_for_the_thread_that_runs_it_is_refused(client, act):
    caught, done = [], threading.Event()

    def callback(future) -> None:
        try:
            refused(lambda: act(client), MisplacedCall, "callback.*submit")
        except BaseException as error:  # noqa: BLE001  it is raised where the test sees it
            caught.append(error)
        finally:
            done.set()

    client.submit("x").add_done_callback(callback)
    assert done.wait(10)
    assert caught == []


def test_a_decode_method_that_calls_its_own_client_is_refused(lab, serve):
    class Curious(RpcClient):
        def decode(self, body: str) -> str:
            return body if body == "INNER" else self.call("inner")

    serve(RpcServer("shout", str.upper))
    with Curious("shout") as client:
        with pytest.raises(MisplacedCall):
            client.call("outer")
        assert client.call("inner") == "INNER"


def test_a_callback_may_submit_and_call_other_clients(lab, shout, client):
    answers, done = [], threading.Event()

    def callback(future) -> None:
        answers.append(other.call("hello"))
        client.submit("x").add_done_callback(lambda inner: (answers.append(inner.result()), done.set()))

    with RpcClient("shout") as other:
        client.submit("x").add_done_callback(callback)
        assert done.wait(10)
    assert answers == ["HELLO", "True"]


@pytest.mark.parametrize("act", [sys.exit, lambda: 1 / 0], ids=["exit", "error"])
def test_a_callback_that_ends_in_an_error_harms_no_other_call(client, caplog, act):
    client.submit("x").add_done_callback(lambda future: act())
    until(lambda: "A callback of the request" in caplog.text)
    assert client.call("x") == "True"


@pytest.mark.parametrize("act", [sys.exit, lambda: 1 / 0], ids=["exit", "error"])
def test_a_decode_method_that_ends_in_an_error_harms_no_other_call(lab, shout, act):
    class Leaving(RpcClient):
        def decode(self, body: str) -> str:
            return act() if body == "LEAVE" else body

    with Leaving("shout") as client:
        with pytest.raises(RemoteError, match="UnreadableReply"):
            client.call("leave")
        assert client.call("stay") == "STAY"
        assert client.stats.unknown == 0


def in_a_fork(report, client, future) -> None:
    """Use a parent's client in every way and send what comes of it."""
    said = []
    for act in (
        lambda: client.call("x"), lambda: client.submit("x"), lambda: client.send("x", reply_to="replies"),
        lambda: future.result(60),
    ):
        began = time.monotonic()
        try:
            act()
        except MisplacedCall as error:
            said.append((str(error), time.monotonic() - began))
    client.close()
    report.send(said)


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork.*:DeprecationWarning")
def test_a_client_used_in_a_forked_process_says_so_and_works_on_in_its_own(client):
    fork = multiprocessing.get_context("fork")
    receiver, sender = fork.Pipe(duplex=False)
    child = fork.Process(target=in_a_fork, args=(sender, client, client.submit("held")))
    child.start()
    assert receiver.poll(10)
    said = receiver.recv()
    child.join(60)
    assert child.exitcode == 0
    assert len(said) == 4
    assert all("make a client in each" in error for error, _ in said)
    assert min(seconds for _, seconds in said) < AT_ONCE
    assert client.call("x") == "True"


def test_close_in_a_callback_works_and_twice_has_no_effect(lab, shout):
    client, done = RpcClient("shout"), threading.Event()

    def callback(future) -> None:
        client.close()
        client.close()
        done.set()

    client.submit("hello").add_done_callback(callback)
    assert done.wait(5)
    client.close()
    with pytest.raises(ClientClosed):
        client.submit("hello")
    until(lambda: not lab.tap.links() or {link.name for link in lab.tap.links()} == {"notebook"})


def test_close_does_not_wait_for_a_callback_that_submits(lab):
    lab.connect().channel().queue_declare("idle", durable=True)
    raised = []

    def submit_again(future) -> None:
        try:
            client.submit("again")
        except ClientClosed as error:
            raised.append(error)

    for _ in range(TRIES):
        client = RpcClient("idle", timeout=30)
        for _ in range(20):
            client.submit("x").add_done_callback(submit_again)
        began = time.monotonic()
        closing = [threading.Thread(target=client.close) for _ in range(2)]
        for each in closing:
            each.start()
        for each in closing:
            each.join(60)
            assert not each.is_alive()
        assert time.monotonic() - began < 15
    assert len(raised) == 20 * TRIES


def test_call_async_is_ask(lab):
    assert RpcClient.call_async is RpcClient.ask
    assert AddClient.ask is RpcClient.call_async


class FarFuture(pika.BasicProperties):
    """Properties with a date that pika can neither write nor read, and the broker can."""

    def __init__(self):
        super().__init__(headers={"x": HUGE_LONG})

    def encode(self) -> list[bytes]:
        written = b"".join(super().encode())
        return [written.replace(struct.pack(">cq", b"l", HUGE_LONG), struct.pack(">cq", b"T", HUGE_LONG))]


def test_a_frame_that_pika_cannot_read_ends_the_calls_at_once_and_the_next_call_connects_again(lab):
    lab.connect().channel().queue_declare("idle", durable=True)
    with RpcClient("idle", timeout=30) as client:
        calls = [client.submit("x") for _ in range(3)]
        lab.wait_for("idle", ready=3)
        queue = lab.queues()["callback queue of RpcClient"]["queue"]
        lab.connect().channel().basic_publish("", queue, "", FarFuture())
        for call in calls:
            with pytest.raises(ConnectionLost):
                call.result(60)
        assert client.send("x", reply_to="replies")


def test_an_error_in_the_clients_own_thread_ends_the_calls_at_once_and_the_next_call_connects_again(lab):
    lab.connect().channel().queue_declare("idle", durable=True)
    with RpcClient("idle", timeout=30) as client:
        call, session = client.submit("x"), client._session
        lab.wait_for("idle", ready=1)
        session._loop.add_callback_threadsafe(lambda: 1 / 0)
        with pytest.raises(ConnectionLost, match="The connection broke: ZeroDivisionError"):
            call.result(60)
        assert client.send("x", reply_to="replies")
        until(lambda: not session.thread.is_alive())
