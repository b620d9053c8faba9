from __future__ import annotations

from collections.abc import Callable, Iterator

import pika
import pytest
from shouting import QUEUE
from waiting import until

from rpclab import AccessRefused, LabError, RpcClient, RpcServer, VhostNotFound, WrongCredentials

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
    until(lambda: not lab.tap.links(), timeout=5)


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
