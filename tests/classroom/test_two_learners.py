"""Two learners at once: neither can see, read, purge or publish what the other has, by any way there is."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from urllib.parse import quote

import httpx
import pika
import pytest
from learners import broker_of, environment_of
from pika.exceptions import AMQPError
from waiting import until

from rpclab import AccessRefused, Lab, LabError
from rpclab.broker.connect import connect
from rpclab.broker.management import Management
from rpclab.broker.vhosts import empty, learner_of

HOLDER = """
import sys
import rpclab

lab = rpclab.Lab("publishing")
channel = lab.connect().channel()
channel.queue_declare("diary", durable=True)
channel.basic_publish("", "diary", "private")
channel.queue_declare("letters", durable=True)
channel.basic_consume("letters", print)
print(lab.vhost, flush=True)
sys.stdin.read()
lab.close()
"""


@pytest.fixture(scope="module")
def ben(pair, tmp_path_factory) -> Iterator[str]:
    """Ben has a lab open on a machine of his own, with a message in it; gives his virtual host."""
    command = [sys.executable, "-c", HOLDER]
    environment = environment_of(pair[1], tmp_path_factory.mktemp("ben"))
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield process.stdout.readline().strip()
        process.communicate()


@pytest.fixture
def anna_asks(pair) -> Iterator[httpx.Client]:
    """Anna's own client of the HTTP API, without anything of ours that might hold her back."""
    anna = pair[0]
    with httpx.Client(
        base_url=f"{anna.management}/api", auth=(anna.user, anna.password), trust_env=False, verify=False
    ) as client:
        yield client


@pytest.fixture
def refusals(api) -> set[int]:
    """The status codes of a refusal; since RabbitMQ 4.3 it may be that the other's virtual host is not found."""
    version = tuple(map(int, api.fetch("overview")["rabbitmq_version"].split(".")[:2]))
    return {401, 403} | ({404} if version >= (4, 3) else set())


def test_each_has_a_lab_of_the_same_name(pair, ben, as_learner):
    as_learner(pair[0])
    with Lab("publishing") as lab:
        assert (learner_of(lab.vhost), learner_of(ben)) == ("pair-anna", "pair-ben")
        assert repr(lab.queues()) == "(no queues)"


def test_the_others_virtual_host_takes_no_connection(pair, ben):
    with pytest.raises(AccessRefused, match="refused"):
        connect(broker_of(pair[0]).parameters(ben))


def test_the_shared_virtual_host_takes_none_either(pair):
    with pytest.raises(AccessRefused):
        connect(broker_of(pair[0]).parameters("/"))


@pytest.mark.parametrize(("method", "path", "body"), [
    ("GET", "queues/{ben}", None),
    ("GET", "queues/{ben}/diary", None),
    ("GET", "exchanges/{ben}", None),
    ("GET", "bindings/{ben}", None),
    ("GET", "vhosts/{ben}", None),
    ("GET", "vhosts/{ben}/connections", None),
    ("POST", "queues/{ben}/diary/get", {"count": 1, "ackmode": "ack_requeue_false", "encoding": "auto"}),
    ("DELETE", "queues/{ben}/diary/contents", None),
    ("DELETE", "queues/{ben}/diary", None),
    ("PUT", "queues/{ben}/mine", {"durable": True}),
    ("POST", "exchanges/{ben}/amq.default/publish", {
        "routing_key": "diary", "payload": "x", "payload_encoding": "string", "properties": {},
    }),
    ("POST", "bindings/{ben}/e/amq.topic/q/diary", {"routing_key": "x"}),
    ("PUT", "vhosts/mine", {}),
    ("DELETE", "vhosts/{ben}", None),
    ("DELETE", "vhosts/pair-anna.1", None),
    ("PUT", "permissions/{ben}/pair-anna", {"configure": ".*", "write": ".*", "read": ".*"}),
    ("PUT", "users/pair-ben", {"password": "x", "tags": ""}),
    ("PUT", "users/pair-anna", {"password": "x", "tags": "administrator"}),
    ("PUT", "vhost-limits/pair-anna.1/max-queues", {"value": 100000}),
    ("PUT", "user-limits/pair-anna/max-connections", {"value": 100000}),
    ("PUT", "policies/pair-anna.1/mine", {"pattern": ".*", "definition": {"max-length": 1}}),
    ("PUT", "policies/{ben}/mine", {"pattern": ".*", "definition": {"max-length": 1}}),
    ("GET", "users", None),
    ("GET", "permissions", None),
    ("GET", "definitions", None),
])
def test_the_api_refuses(anna_asks, ben, api, refusals, method, path, body):
    before = api.get("queues", ben, disable_stats="true", enable_queue_totals="true")
    answer = anna_asks.request(method, f"/{path.format(ben=quote(ben, safe=''))}", json=body)
    assert answer.status_code in refusals, answer.text
    assert api.get("queues", ben, disable_stats="true", enable_queue_totals="true") == before


def test_lists_of_everything_have_nothing_of_the_other(anna_asks, ben, api, pair, refusals):
    until(lambda: [each for each in api.get("connections") if each.get("user") == "pair-ben"])
    with connect(broker_of(pair[0]).parameters("pair-anna.1")) as connection:
        connection.channel().queue_declare("mine", durable=True)
        until(lambda: anna_asks.get("/connections").json())
        for kind in ("queues", "exchanges", "bindings", "connections", "channels", "consumers", "vhosts"):
            text = anna_asks.get(f"/{kind}").text
            assert "diary" not in text, kind
            assert '"pair-ben' not in text, kind
        until(lambda: api.get("consumers", ben))
        answer = anna_asks.get(f"/consumers/{ben}")
        assert answer.status_code in refusals or answer.json() == []
        connection.channel().queue_delete("mine")


def test_the_others_connections_cannot_be_closed(anna_asks, ben, api):
    def bens() -> list[str]:
        return [each["name"] for each in api.get("connections") if each.get("user") == "pair-ben"]

    until(lambda: len(bens()) == 1)
    (found,) = bens()
    answer = anna_asks.delete(f"/connections/{quote(found, safe='')}")
    assert answer.status_code in (401, 403)
    assert bens() == [found]


def test_a_queue_of_the_same_name_is_another_queue(pair, ben, api):
    with connect(broker_of(pair[0]).parameters("pair-anna.1")) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        channel.queue_declare("diary", durable=True)
        channel.basic_publish("", "diary", "mine")
        assert channel.basic_get("diary", auto_ack=True)[2] == b"mine"
        channel.queue_delete("diary")
    live = {"disable_stats": "true", "enable_queue_totals": "true"}
    assert {queue["name"]: queue["messages"] for queue in api.get("queues", ben, **live)} == {"diary": 1, "letters": 0}


def test_a_lab_closes_what_is_left_open_and_empties_what_is_left_behind(pair, as_learner):
    as_learner(pair[0])
    # Somebody who was cut off: the connection is there, and nobody at its other end will ever close it.
    stale = connect(broker_of(pair[0]).parameters("pair-anna.1"))
    channel = stale.channel()
    channel.queue_declare("", exclusive=True)
    channel.queue_declare("old", durable=True)
    channel.exchange_declare("letters", "topic", durable=True)
    channel.exchange_bind("amq.fanout", "amq.topic", "key")
    channel.exchange_bind("letters", "amq.topic", "key")
    with Lab("publishing") as lab:
        assert lab.vhost == "pair-anna.1"
        assert repr(lab.queues()) == "(no queues)"
        assert repr(lab.bindings()) == "(no bindings)"
        assert not lab.exchanges().where(name="letters")
    with pytest.raises(AMQPError):
        stale.process_data_events(5)
    # pika has noticed by now that it is closed.
    assert stale.is_closed


def test_closing_empties_the_virtual_host_and_leaves_it(pair, as_learner, api):
    as_learner(pair[0])
    with Lab("publishing") as lab:
        lab.connect().channel().queue_declare("mine", durable=True)
        vhost = lab.vhost
    assert api.get("queues", vhost) == []
    assert api.get("vhosts", vhost)["description"] == "Anna"


def test_connections_that_close_just_now_do_not_keep_it_from_being_emptied(pair, as_learner, api, monkeypatch):
    as_learner(pair[0])
    vhost = "pair-anna.1"
    connections = [connect(broker_of(pair[0]).parameters(vhost)) for _ in range(40)]
    connections[0].channel().queue_declare("mine", durable=True)
    until(lambda: len(api.get("vhosts", vhost, "connections")) == len(connections))
    closing = [threading.Thread(target=_close, args=(connection,)) for connection in connections]
    real, left = Management.delete, iter(closing)

    def delete(self: Management, *path: str) -> bool:
        # The broker replies with 500 to about one of ten that are closing themselves.
        if path[0] == "connections" and (thread := next(left, None)):
            thread.start()
        return real(self, *path)

    monkeypatch.setattr(Management, "delete", delete)
    empty(api, vhost)
    for thread in closing:
        thread.join()
    assert api.get("queues", vhost) == []


def _close(connection: pika.BlockingConnection) -> None:
    with suppress(AMQPError):  # the broker was first
        connection.close()


def test_when_all_labs_are_open_the_next_says_what_to_do_and_the_others_go_on(pair, as_learner):
    as_learner(pair[0])
    with Lab("one") as one, Lab("two") as two:
        assert {one.vhost, two.vhost} == {"pair-anna.1", "pair-anna.2"}
        with pytest.raises(LabError, match=r"2 of your labs are open.*Shut down a kernel"):
            Lab("three")
        two.close()
        with Lab("three") as three:
            assert three.vhost == "pair-anna.2"
        assert repr(one.queues()) == "(no queues)"


def test_who_is_in_no_class_is_told_what_a_teacher_can_do(remote, api, monkeypatch):
    api.put("users", "nobody", json={"password": "x", "tags": "management"})
    monkeypatch.setenv("RPCLAB_BROKER", remote.url.replace(remote.credentials_url, "nobody:x"))
    try:
        with pytest.raises(AccessRefused, match=r"none of a class.*classroom create.*administrator"):
            Lab("publishing")
    finally:
        api.delete("users", "nobody")


def test_what_a_notebook_prints_is_the_same_for_everybody(pair, as_learner):
    as_learner(pair[0])
    with Lab("publishing") as lab:
        lab.connect().channel().queue_declare("mine", durable=True)
        assert repr(lab.ctl("list_queues", "name")) == "$ rabbitmqctl -q -p publishing list_queues name\nname\nmine"
        with pytest.raises(LabError) as refused:
            lab.purge("nowhere")
        assert lab.vhost not in str(refused.value)


def test_too_many_connections_and_queues_are_refused_in_words(remote, pair, as_learner, api):
    as_learner(pair[0])
    before = {each["vhost"]: each["value"] for each in api.get("vhost-limits")}["pair-anna.1"]
    with Lab("publishing") as lab:
        for limit, value in (("max-connections", 2), ("max-queues", 1)):
            api.put("vhost-limits", lab.vhost, limit, json={"value": value})
        try:
            until(partial(_connection_if_allowed, lab)).channel().queue_declare("one", durable=True)
            with pytest.raises(pika.exceptions.ChannelClosedByBroker) as refused:
                until(partial(_connection_if_allowed, lab)).channel().queue_declare("two", durable=True)
            assert "queue limit" in refused.value.reply_text
            with pytest.raises(AccessRefused, match="limit of connections"):
                lab.connect()
        finally:
            for limit, value in before.items():
                api.put("vhost-limits", lab.vhost, limit, json={"value": value})


def _connection_if_allowed(lab: Lab) -> pika.BlockingConnection | None:
    """Return a connection, or nothing while the broker still counts those that a lab before this one has closed."""
    with suppress(AccessRefused):
        return lab.connect()
    return None


def test_the_administrators_own_labs_are_made_and_deleted_as_before(remote, pair, api):
    with Lab("publishing") as lab:
        assert lab.vhost == "publishing"
    assert api.get("vhosts", "publishing") is None
    with Management(broker_of(pair[0])) as mine:
        assert [each["name"] for each in mine.get("vhosts")] == ["pair-anna.1", "pair-anna.2"]
