from __future__ import annotations

import re
import traceback

import pytest

from rpclab.broker import compose, node
from rpclab.broker.address import Broker
from rpclab.broker.find import advice, find
from rpclab.errors import BrokerUnavailable, InvalidOption

NODE = node.Node("node", 1, 0.0, "/scripts", "secret", 5001, 15001, 25001, 4001)
CONTAINER = Broker("amqp://rpclab:rpclab@127.0.0.1:5682", "http://127.0.0.1:15682", "Docker Compose")


@pytest.fixture(autouse=True)
def nothing_here(monkeypatch, tmp_path):
    """Neither variables nor RabbitMQ nor Docker: a state that the machine of the tests cannot be in."""
    for variable in ("RPCLAB_BROKER", "RPCLAB_MANAGEMENT"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("RPCLAB_HOME", str(tmp_path))
    monkeypatch.setattr(node, "running", lambda: None)
    monkeypatch.setattr(node, "script_folder", lambda: None)
    monkeypatch.setattr(compose, "running", lambda: None)
    monkeypatch.setattr(compose, "available", lambda: False)


def test_a_broker_named_in_the_environment_comes_before_one_that_runs(monkeypatch):
    monkeypatch.setattr(node, "running", lambda: NODE)
    monkeypatch.setenv("RPCLAB_BROKER", "amqp://me:pw@example.org:5000")
    found = find()
    assert (found.origin, found.host, found.port) == ("RPCLAB_BROKER", "example.org", 5000)


def test_a_private_node_that_runs_comes_before_the_container(monkeypatch):
    monkeypatch.setattr(node, "running", lambda: NODE)
    monkeypatch.setattr(compose, "running", lambda: CONTAINER)
    assert find(start=False) == NODE.broker


def test_a_container_that_runs_comes_before_starting_anything(monkeypatch, tmp_path):
    monkeypatch.setattr(compose, "running", lambda: CONTAINER)
    monkeypatch.setattr(node, "script_folder", lambda: tmp_path)
    assert find() == CONTAINER


def test_a_private_node_is_started_rather_than_a_container(monkeypatch, tmp_path):
    monkeypatch.setattr(node, "script_folder", lambda: tmp_path)
    monkeypatch.setattr(node, "start", lambda: NODE)
    monkeypatch.setattr(compose, "available", lambda: True)
    assert find() == NODE.broker


def test_a_container_is_started_where_rabbitmq_is_not_installed(monkeypatch):
    monkeypatch.setattr(compose, "available", lambda: True)
    monkeypatch.setattr(compose, "start", lambda: CONTAINER)
    assert find() == CONTAINER


def test_nothing_is_started_by_one_who_only_looks(monkeypatch, tmp_path):
    monkeypatch.setattr(node, "script_folder", lambda: tmp_path)
    monkeypatch.setattr(node, "start", lambda: pytest.fail("a node was started"))
    monkeypatch.setattr(compose, "available", lambda: True)
    monkeypatch.setattr(compose, "start", lambda: pytest.fail("a container was started"))
    with pytest.raises(BrokerUnavailable, match="python -m rpclab up"):
        find(start=False)


@pytest.mark.parametrize(("system", "advice_there"), [
    ("Linux", "sudo apt-get install --no-install-recommends rabbitmq-server"),
    ("Darwin", "brew install rabbitmq"),
    ("Windows", "Install Docker Desktop"),
])
def test_without_any_broker_the_error_names_every_way_to_get_one(monkeypatch, system, advice_there):
    monkeypatch.setattr("platform.system", lambda: system)
    with pytest.raises(BrokerUnavailable) as raised:
        find()
    for way in (advice_there, "docker compose up -d", "RPCLAB_BROKER=amqp://user:password@host:5672", "hosted"):
        assert way in str(raised.value)


def test_an_installed_package_says_where_the_compose_file_is(monkeypatch, tmp_path):
    monkeypatch.setattr(compose, "compose_file", lambda: tmp_path / "docker-compose.yml")
    assert "docker compose up -d, in a clone of the repository" in advice()


def test_where_rabbitmq_is_installed_nobody_is_told_to_install_it(monkeypatch, tmp_path):
    monkeypatch.setattr(node, "script_folder", lambda: tmp_path)
    assert "apt-get" not in advice()
    assert "python -m rpclab up" in advice()


@pytest.mark.parametrize(("url", "host", "port", "username", "password", "management_url"), [
    ("amqp://me:pw@example.org:5000", "example.org", 5000, "me", "pw", "http://example.org:15672"),
    ("amqp://me:p%40ss%2F%3A%23@example.org", "example.org", 5672, "me", "p@ss/:#", "http://example.org:15672"),
    ("amqps://me:pw@example.org", "example.org", 5671, "me", "pw", "https://example.org:15671"),
    ("amqp://example.org", "example.org", 5672, "guest", "guest", "http://example.org:15672"),
    ("amqp://me:pw@[::1]:5000", "::1", 5000, "me", "pw", "http://[::1]:15672"),
])
def test_an_amqp_url_is_taken_apart(monkeypatch, url, host, port, username, password, management_url):
    monkeypatch.setenv("RPCLAB_BROKER", url)
    found = find()
    assert (found.host, found.port) == (host, port)
    assert (found.username, found.password) == (username, password)
    assert found.management_url == management_url


def test_a_virtual_host_in_the_url_is_ignored(monkeypatch):
    monkeypatch.setenv("RPCLAB_BROKER", "amqp://me:pw@example.org:5000/theirs?heartbeat=5")
    found = find()
    assert found.url == "amqp://me:pw@example.org:5000"
    assert found.parameters("a lab/1").virtual_host == "a lab/1"


@pytest.mark.parametrize("given", ["http://example.org:8080", "http://example.org:8080/"])
def test_the_management_api_may_be_elsewhere(monkeypatch, given):
    monkeypatch.setenv("RPCLAB_BROKER", "amqp://me:pw@example.org")
    monkeypatch.setenv("RPCLAB_MANAGEMENT", given)
    assert find().management_url == "http://example.org:8080"


@pytest.mark.parametrize("url", [
    "example.org",
    "example.org:5672",
    "http://me:pw@example.org",
    "amqp://",
    "amqp:example.org",
    "amqp://me:pw@example.org:port",
    "amqp://me:pw@example.org:99999",
    "amqp://me:p#w@example.org",
    "amqp://me:p/w@example.org",
    "amqp://me:pw@[::1",
    "amqp://me:pw@",
    "amqp://me:pw@:5672",
    "amqp://me:pw@example.org:0",
    "amqp://me:100%@example.org",
    "amqp://me:p%zz@example.org",
    "amqp://me:p%ff@example.org",
    "amqp://me:pw@exa\x7fmple.org",
])
def test_what_is_no_amqp_url_is_refused_with_how_one_looks(monkeypatch, url):
    monkeypatch.setenv("RPCLAB_BROKER", url)
    with pytest.raises(InvalidOption, match=r"amqp://user:password@host:5672.*%XX"):
        find()


@pytest.mark.parametrize("url", [
    "http://me:topsecret@example.org",
    "amqp://me:top/secret@example.org",
    "amqp://me:top#secret@example.org",
    "amqp://me:top@secret#@example.org",
    "amqp://me:topsecret@example.org:port",
    "amqp://me:topsecret@[::1",
    "amqp://me:topsecret",
    "me:topsecret",
    "amqp://me:12,topsecret,34@example.org",
    "amqp://me:top secret@example.org",
    "http://topsecret,amqp://me:1@example.org",
    "amqp://me:topsecret://x@example.org/@",
])
def test_no_error_about_a_url_shows_a_password(monkeypatch, url):
    monkeypatch.setenv("RPCLAB_BROKER", url)
    with pytest.raises(InvalidOption) as refused:
        find()
    shown = "".join(traceback.format_exception(refused.value))
    assert not re.search("top|secret", shown)
    assert "***" in shown


@pytest.mark.parametrize("user", ["me", "me:", ":pw", ":", ""])
def test_a_user_without_a_password_and_a_password_without_a_user_are_refused(monkeypatch, user):
    monkeypatch.setenv("RPCLAB_BROKER", f"amqp://{user}@example.org")
    with pytest.raises(InvalidOption, match=r"lacks the user or the password: give both, or .*guest"):
        find()


@pytest.mark.parametrize("given", [
    "example.org:15672", "amqp://example.org", "http://", "http://:15672", "http://example.org:port",
    "http://example.org:99999", "http://example.org:0", "http://[::1", "http://exa%mple.org", "http://exa\x7fmple.org",
])
def test_what_is_no_http_url_is_refused_with_how_one_looks(monkeypatch, given):
    monkeypatch.setenv("RPCLAB_BROKER", "amqp://me:pw@example.org")
    monkeypatch.setenv("RPCLAB_MANAGEMENT", given)
    with pytest.raises(InvalidOption, match=r"RPCLAB_MANAGEMENT names .*It looks like http://host:15672"):
        find()


def test_the_error_about_an_http_url_shows_no_password(monkeypatch):
    monkeypatch.setenv("RPCLAB_BROKER", "amqp://me:pw@example.org")
    monkeypatch.setenv("RPCLAB_MANAGEMENT", "http://me:topsecret@example.org:port")
    with pytest.raises(InvalidOption, match=r"'http://\*\*\*@example\.org:port'") as refused:
        find()
    assert "topsecret" not in "".join(traceback.format_exception(refused.value))


def test_a_url_without_a_password_is_shown_as_it_is(monkeypatch):
    monkeypatch.setenv("RPCLAB_BROKER", "example.org:5672")
    with pytest.raises(InvalidOption, match=r"RPCLAB_BROKER is 'example.org:5672'"):
        find()


def test_a_broker_shows_no_password_and_neither_does_the_address_of_its_api(monkeypatch):
    monkeypatch.setenv("RPCLAB_BROKER", "amqp://me:topsecret@example.org")
    monkeypatch.setenv("RPCLAB_MANAGEMENT", "https://me:topsecret@example.org:8443/api-root")
    found = find()
    assert found.management_url == "https://example.org:8443/api-root"
    assert "topsecret" not in f"{found!r} {found.management_url} {found.parameters()!r}"
    assert NODE.password not in repr(NODE)


NODES = ["amqp://me:pw@one:5000", "amqp://me:pw@two", "amqps://me:pw@three"]


@pytest.mark.parametrize("between", [",", " ", ", ", "\n"])
def test_the_nodes_of_a_cluster_are_named_with_commas_or_spaces_between_them(monkeypatch, between):
    monkeypatch.setenv("RPCLAB_BROKER", between.join(NODES))
    assert [(each.host, each.port) for each in find().all] == [("one", 5000), ("two", 5672), ("three", 5671)]
    assert [each.management_url for each in find().all] == [
        "http://one:15672", "http://two:15672", "https://three:15671"
    ]


def test_one_management_address_is_enough_for_a_cluster_and_several_are_taken_in_order(monkeypatch):
    monkeypatch.setenv("RPCLAB_BROKER", ",".join(NODES))
    monkeypatch.setenv("RPCLAB_MANAGEMENT", "http://any:8080/")
    assert [each.management_url for each in find().all] == ["http://any:8080"] * 3
    monkeypatch.setenv("RPCLAB_MANAGEMENT", "http://a:1, http://b:2 http://c:3")
    assert [each.management_url for each in find().all] == ["http://a:1", "http://b:2", "http://c:3"]


@pytest.mark.parametrize("count", [2, 4])
def test_another_number_of_management_addresses_is_refused(monkeypatch, count):
    monkeypatch.setenv("RPCLAB_BROKER", ",".join(NODES))
    monkeypatch.setenv("RPCLAB_MANAGEMENT", ",".join(["http://a:1"] * count))
    with pytest.raises(InvalidOption, match=f"names 3 and RPCLAB_MANAGEMENT {count} addresses: give one for each"):
        find()


@pytest.mark.parametrize(("wrong", "shown"), [
    ("two:5672", "***"),  # in other URLs there is an "@": this may be a part of a password
    ("http://me:pw@two", "http://***@two"),
    ("amqp://me:pw@two:port", "amqp://***@two:port"),
    ("amqp://", "amqp://"),
    ("pw@two", "***@two"),
])
def test_the_url_that_is_wrong_is_told_from_the_others(monkeypatch, wrong, shown):
    monkeypatch.setenv("RPCLAB_BROKER", f"{NODES[0]},{wrong} {NODES[2]}")
    with pytest.raises(InvalidOption) as raised:
        find()
    assert f"URL 2 of 3 in RPCLAB_BROKER is {shown!r}, which is no AMQP URL" in str(raised.value)
    assert "one" not in str(raised.value)


def test_a_comma_in_a_password_is_told_of_when_it_takes_the_url_apart(monkeypatch):
    monkeypatch.setenv("RPCLAB_BROKER", "amqp://me:p,w@example.org")
    with pytest.raises(InvalidOption, match=r"(?s)URL 1 of 2 .*a comma, a space and % itself among them"):
        find()


@pytest.mark.parametrize("nothing", [",", "  ", " , ,"])
def test_commas_without_a_url_name_no_broker(monkeypatch, nothing):
    monkeypatch.setenv("RPCLAB_BROKER", nothing)
    with pytest.raises(InvalidOption, match=r"names no broker\. It looks like amqp://"):
        find()


def test_an_empty_variable_names_no_broker(monkeypatch):
    monkeypatch.setenv("RPCLAB_BROKER", "")
    monkeypatch.setattr(node, "running", lambda: NODE)
    assert find() == NODE.broker


def test_a_password_is_not_shown_with_the_broker():
    assert "secret" not in repr(NODE.broker)
