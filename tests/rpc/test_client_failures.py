"""Brokers, connections and arguments that an `RpcClient` cannot use."""

from __future__ import annotations

import threading

import pika
import pytest
from waiting import until

from rpclab import (
    BrokerRefused,
    BrokerUnavailable,
    CallbackWorker,
    ClientClosed,
    ConnectionLost,
    InvalidOption,
    LabClosed,
    LabError,
    QueueArgumentsDiffer,
    RpcClient,
    RpcServer,
    UnroutableError,
)
from rpclab.broker.management import Management
from rpclab.broker.node_files import free_ports

LONG = 60


@pytest.fixture
def idle(lab):
    """A queue that nobody consumes from."""
    lab.connect().channel().queue_declare("idle", durable=True)
    return "idle"


def end_connections(lab, name: str) -> None:
    """Have the broker end the connections of a name, as an operator does in the management UI."""

    def ended() -> list[bool]:
        found = [c for c in api.get("vhosts", lab.vhost, "connections") if name in c["client_properties"].values()]
        return [api.delete("connections", connection["name"]) for connection in found]

    with Management(lab.broker) as api:
        until(ended)


def test_a_request_without_a_queue_fails_at_once(lab):
    with RpcClient("nowhere") as client:
        with pytest.raises(UnroutableError, match="no queue 'nowhere'"):
            client.call("x", timeout=LONG)
        assert (client.stats.returned, client.stats.sent) == (1, 1)
        future = client.submit("y", timeout=LONG)
        assert isinstance(future.exception(LONG), UnroutableError)
        assert future.seconds < LONG / 2


def test_a_queue_that_comes_later_is_found(lab, serve):
    with RpcClient("shout") as client:
        with pytest.raises(UnroutableError):
            client.call("hello")
        serve(RpcServer("shout", str.upper))
        assert client.call("hello") == "HELLO"


def test_calls_that_wait_when_the_broker_ends_the_connection_fail_at_once(lab, idle):
    with RpcClient(idle) as client:
        futures = [client.submit("x", timeout=LONG) for _ in range(10)]
        end_connections(lab, "RpcClient")
        for future in futures:
            assert isinstance(future.exception(LONG), ConnectionLost)
            assert future.seconds < LONG / 2


def test_the_next_call_opens_a_new_connection(lab, shout, idle):
    with RpcClient("shout") as client:
        assert client.call("one") == "ONE"
        lost = client._session
        lab.tap.cut("RpcClient")
        until(lambda: not lost.alive)
        assert client.call("two") == "TWO"
        assert client.stats.answered == 2


def test_a_client_whose_lab_was_closed_says_so(lab, idle):
    with RpcClient(idle) as client:
        future = client.submit("x", timeout=LONG)
        lab.close()
        assert isinstance(future.exception(LONG), ConnectionLost)
        for act in (lambda: client.call("y"), lambda: client.send("y", reply_to="replies")):
            with pytest.raises(LabClosed, match=rf"'{lab.name}' was closed.*{lab.tap.port}.*rpclab\.Lab\("):
                act()


def test_a_callback_queue_that_is_deleted_is_replaced(lab, shout):
    with RpcClient("shout", reply="shout_callback") as client:
        lost = client._session
        lab.delete("shout_callback")
        until(lambda: not lost.alive)
        assert client.call("hello") == "HELLO"
        assert "shout_callback" in lab.queues().column("name")


def test_calls_that_wait_when_the_client_is_closed_fail_at_once(lab, idle):
    client = RpcClient(idle)
    futures = [client.submit("x", timeout=LONG) for _ in range(10)]
    waiting = threading.Thread(target=client.close)
    waiting.start()
    for future in futures:
        assert isinstance(future.exception(LONG), ClientClosed)
        assert future.seconds < LONG / 2
    waiting.join()


@pytest.mark.parametrize("act", ["call", "submit", "send"])
def test_a_closed_client_refuses_everything(lab, idle, act):
    client = RpcClient(idle)
    client.close()
    client.close()
    options = {"reply_to": "shout_callback"} if act == "send" else {}
    with pytest.raises(ClientClosed, match="Make a new one"):
        getattr(client, act)("x", **options)


TIMEOUTS = pytest.mark.parametrize("timeout", [0, -1, 86_401, float("nan"), float("inf"), "5", True, [1]])


@TIMEOUTS
def test_a_timeout_that_is_no_number_of_seconds_is_refused(lab, timeout):
    with pytest.raises(InvalidOption, match="timeout="):
        RpcClient("idle", timeout=timeout)


@TIMEOUTS
def test_a_call_refuses_it_too_and_sends_nothing(lab, idle, timeout):
    with RpcClient(idle) as client:
        with pytest.raises(InvalidOption, match="timeout="):
            client.call("x", timeout=timeout)
        assert client.stats.sent == 0


def test_a_timeout_of_a_day_is_accepted(lab, shout):
    with RpcClient("shout", timeout=86_400) as client:
        assert client.call("hello") == "HELLO"


def test_arguments_that_cannot_be_encoded_send_nothing(lab, idle):
    with RpcClient(idle) as client:
        for wrong in (None, 5, b"bytes"):
            with pytest.raises((LabError, TypeError)):
                client.call(wrong, timeout=LONG)
        client.submit("right")
        lab.wait_for(idle, ready=1)


def test_a_wrong_password_is_refused(lab):
    parameters = lab.parameters
    parameters.credentials = pika.PlainCredentials(lab.broker.username, "wrong")
    with pytest.raises(BrokerRefused, match=rf"'{lab.broker.username}'.*password"):
        RpcClient("idle", parameters=parameters)


def test_a_missing_virtual_host_is_refused(lab):
    parameters = lab.parameters
    parameters.virtual_host = "missing"
    with pytest.raises(BrokerRefused, match=r"'missing'.*rpclab\.Lab"):
        RpcClient("idle", parameters=parameters)


def test_where_nobody_listens_the_broker_is_unavailable(lab):
    (port,) = free_ports(1)
    parameters = lab.parameters
    parameters.port = port
    with pytest.raises(BrokerUnavailable, match=f"127.0.0.1:{port}.*python -m rpclab up"):
        RpcClient("idle", parameters=parameters)


def test_without_a_lab_a_client_says_what_is_missing(lab):
    lab.close()
    with pytest.raises(LabError, match="No lab is open"):
        RpcClient("idle")


def test_a_failed_start_leaves_no_thread(lab):
    before = set(threading.enumerate())
    parameters = lab.parameters
    parameters.virtual_host = "missing"
    with pytest.raises(BrokerRefused):
        RpcClient("idle", parameters=parameters)
    until(lambda: set(threading.enumerate()) <= before)


def test_a_callback_queue_with_other_properties_is_refused_at_once(lab):
    lab.connect().channel().queue_declare("shout_callback", durable=True, arguments={"x-max-length": 1})
    with pytest.raises(LabError, match="PRECONDITION_FAILED"):
        RpcClient("idle", reply="shout_callback")


@pytest.mark.parametrize("server", [CallbackWorker, RpcServer])
def test_a_server_refuses_a_queue_with_other_properties_and_leaves_no_connection(lab, server):
    lab.connect().channel().queue_declare("idle", durable=True, arguments={"x-max-length": 1})
    before = lab.tap.links()
    with pytest.raises(QueueArgumentsDiffer, match=r"x-max-length.*lab\.delete") as refused:
        server("idle")
    until(lambda: lab.tap.links() == before)
    assert "'idle'" in str(refused.value)


def test_a_call_whose_new_connection_fails_before_it_is_handed_over_ends_at_once(lab, idle, monkeypatch):
    with RpcClient(idle) as client:
        waiting, make = client.submit("x", timeout=LONG), client._new_session

        def make_and_see_it_end(*requests):
            session = make(*requests)
            session.thread.join()
            return session

        lab.tap.close()
        assert isinstance(waiting.exception(LONG), ConnectionLost)
        client._session.thread.join()
        monkeypatch.setattr(client, "_new_session", make_and_see_it_end)
        with pytest.raises(LabClosed):
            client.call("y", timeout=LONG)
