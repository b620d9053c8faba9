from __future__ import annotations

import pickle

import pytest
from pika.exceptions import ChannelClosedByBroker

from rpclab import errors
from rpclab.broker import broker_errors
from rpclab.errors import LabError, RemoteError, RpcError

ALL = [found for found in vars(errors).values() if isinstance(found, type)]


def test_there_are_errors_to_look_at():
    assert len(ALL) > 10


@pytest.mark.parametrize("error", ALL)
def test_every_error_is_a_lab_error_and_says_when_it_is_raised(error):
    assert issubclass(error, LabError)
    assert "__doc__" in vars(error)
    assert error.__doc__.strip().endswith(".") or "Attributes" in error.__doc__


@pytest.mark.parametrize("name", ["RpcTimeout", "UnroutableError", "ConnectionLost", "ClientClosed", "RemoteError"])
def test_what_a_call_can_end_in_is_one_family(name):
    assert issubclass(getattr(errors, name), RpcError)


def test_a_remote_error_says_the_type_and_the_message():
    error = RemoteError("ValueError", "no such number")
    assert str(error) == "ValueError: no such number"
    assert (error.type, error.message) == ("ValueError", "no such number")


def test_a_remote_error_survives_pickling():
    copy = pickle.loads(pickle.dumps(RemoteError("ValueError", "no such number")))
    assert type(copy) is RemoteError
    assert (copy.type, copy.message, str(copy)) == ("ValueError", "no such number", "ValueError: no such number")


@pytest.mark.parametrize("text", [
    # As RabbitMQ 3.10.8 and 4.0.5 put it.
    "NOT_FOUND - home node 'rpclab-3@localhost' of durable queue 'classic' in vhost 'lab' is down or inaccessible",
    "NOT_FOUND - failed to perform operation on queue 'classic' in vhost 'lab' due to timeout",
])
def test_a_queue_whose_node_is_down_is_told_from_one_that_does_not_exist(text):
    error = broker_errors.explained(ChannelClosedByBroker(404, text))
    assert isinstance(error, errors.QueueUnavailable)
    assert "returns with it" in str(error)
