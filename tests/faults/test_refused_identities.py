from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator

import pika
import pytest
from shouting import QUEUE
from waiting import until

from rpclab import (
    AccessRefused,
    ConnectionLost,
    LabError,
    RpcClient,
    RpcFuture,
    RpcServer,
    VhostNotFound,
    WrongCredentials,
)

SOMEBODY = "somebody"
PASSWORD = "not a secret"


@pytest.fixture
def somebody(lab, worker_id) -> Iterator[pika.PlainCredentials]:
    """A user of the broker who may do nothing."""
    name = f"{SOMEBODY}-{worker_id}"
    lab._api.put("users", name, json={"password": PASSWORD, "tags": ""})
    yield pika.PlainCredentials(name, PASSWORD)
    lab._api.delete("users", name)


@pytest.fixture(params=["client", "server"])
def open_one(request) -> Callable:
    """Open a client or a server with these connection parameters."""
    if request.param == "client":
        return lambda parameters: RpcClient(QUEUE, parameters=parameters).close()
    return lambda parameters: RpcServer(QUEUE, str.upper, parameters=parameters).connection.close()


def refused_with_one_attempt(lab, open_one, parameters, error: type[LabError], match: str) -> None:
    """See to it that it is told what is wrong, that the broker was asked once, and that nothing is left open."""

    def attempts() -> int:
        return sum(event.name == "Connection.Start" for event in list(lab.tap.events))

    before = attempts()
    with pytest.raises(LabError, match=match) as raised:
        open_one(parameters)
    assert raised.type is error
    assert attempts() == before + 1
    until(lambda: not lab.tap.links())


# 22

def test_a_wrong_password_is_told_without_trying_again(lab, open_one):
    parameters = lab.parameters
    parameters.credentials = pika.PlainCredentials(lab.broker.username, "wrong")
    match = rf"knows no user '{lab.broker.username}' with this password"
    refused_with_one_attempt(lab, open_one, parameters, WrongCredentials, match)


def test_a_missing_virtual_host_is_told_without_trying_again(lab, open_one):
    parameters = lab.parameters
    parameters.virtual_host = "nowhere"
    refused_with_one_attempt(lab, open_one, parameters, VhostNotFound, r"no such virtual host. rpclab\.Lab\(name\)")


def test_a_user_who_may_not_enter_is_told_without_trying_again(lab, open_one, somebody):
    parameters = lab.parameters
    parameters.credentials = somebody
    refused_with_one_attempt(lab, open_one, parameters, AccessRefused, "no access to this virtual host")


def test_a_user_who_may_enter_and_do_nothing_is_told_without_trying_again(lab, open_one, somebody):
    nothing = {"configure": "", "write": "", "read": ""}
    lab._api.put("permissions", lab.vhost, somebody.username, json=nothing)
    parameters = lab.parameters
    parameters.credentials = somebody
    match = r"403 .* lacks a permission \(configure, write or read\)"
    refused_with_one_attempt(lab, open_one, parameters, AccessRefused, match)


# While a client is open

ALL = {"configure": ".*", "write": ".*", "read": ".*"}
MANY = 3000
LONG = 60


@pytest.fixture
def permissions() -> dict[str, str]:
    """What the client's user may do at first."""
    return ALL


@pytest.fixture
def client(lab, somebody, permissions) -> Iterator[RpcClient]:
    """A client of a user, with a queue that is there."""
    lab._api.put("permissions", lab.vhost, somebody.username, json=permissions)
    lab.connect().channel().queue_declare(QUEUE, durable=True)
    parameters = lab.parameters
    parameters.credentials = somebody
    with RpcClient(QUEUE, parameters=parameters, timeout=LONG) as client:
        yield client


def connections(lab) -> int:
    """Return how many connections of clients there have been."""
    return len({event.link.number for event in list(lab.tap.events) if event.link.name == "RpcClient"})


def ends(calls: list[RpcFuture]) -> Counter:
    return Counter(type(call.exception(LONG)) for call in calls)


@pytest.mark.parametrize("permissions", [ALL | {"write": ""}])
def test_without_permission_to_write_each_call_says_so_over_the_connection_that_there_is(lab, somebody, client):
    calls = [client.submit("x") for _ in range(MANY)]
    assert ends(calls) == {AccessRefused: MANY}
    with pytest.raises(AccessRefused, match=r"403 .*permission"):
        client.send("x", reply_to="replies")
    assert connections(lab) == 1

    lab._api.put("permissions", lab.vhost, somebody.username, json=ALL)

    def taken() -> bool:
        try:
            return bool(client.send("x", reply_to="replies"))
        except AccessRefused:
            return False

    until(taken)
    assert connections(lab) == 1


@pytest.mark.parametrize("missing", ["configure", "read"])
def test_without_permission_for_a_callback_queue_connecting_again_says_so(lab, somebody, client, missing):
    lab._api.put("permissions", lab.vhost, somebody.username, json=ALL | {missing: ""})
    end_and_refuse(lab, client, AccessRefused, r"Opening the callback queue: .*403")


def test_of_a_virtual_host_that_was_deleted_a_client_says_so(lab, client):
    waiting = client.submit("before")
    # What is published while the virtual host is being deleted may be refused, because its permissions go first.
    lab.wait_for("shout", ready=1)
    lab._api.delete("vhosts", lab.vhost)
    with pytest.raises(ConnectionLost, match="was deleted"):
        waiting.result(LONG)
    refuse(lab, client, VhostNotFound, "no such virtual host")


def test_after_a_change_of_password_connecting_again_says_that_it_is_wrong(lab, somebody, client):
    lab._api.put("users", somebody.username, json={"password": "another", "tags": ""})
    end_and_refuse(lab, client, WrongCredentials, "knows no user")


def end_and_refuse(lab, client, error: type[LabError], match: str) -> None:
    session = client._session
    lab.tap.cut("RpcClient")
    until(lambda: not session.alive)
    refuse(lab, client, error, match)


def refuse(lab, client, error: type[LabError], match: str) -> None:
    """Check that calls say what is wrong, that many together try once or twice, and that nothing is left open."""
    with pytest.raises(LabError, match=match) as raised:
        client.call("x")
    assert raised.type is error
    before = connections(lab)
    calls = [client.submit("x") for _ in range(MANY)]
    assert ends(calls) == {error: MANY}
    assert connections(lab) - before < MANY / 30
    until(lambda: "RpcClient" not in [link.name for link in lab.tap.links()])
    until(lambda: not any(thread.name == "rpclab client" for thread in threading.enumerate()))
