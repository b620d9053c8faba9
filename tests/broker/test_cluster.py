"""A cluster from the command line, in a state folder of its own; the test that ends it comes last."""

from __future__ import annotations

import psutil
import pytest

from rpclab import InvalidOption, Lab, LabError
from rpclab.__main__ import main
from rpclab.broker import node
from rpclab.broker.management import Management

pytestmark = pytest.mark.usefixtures("no_docker")


@pytest.fixture
def cluster(own_home) -> list[node.Node]:
    """The nodes of this module's cluster, all of them up."""
    node.start(count=3)
    return node.recorded()


def test_up_starts_three_nodes_that_know_each_other(own_home, capsys):
    assert main(["up", "--nodes", "3"]) == 0
    said = capsys.readouterr().out
    assert "(private cluster)" in said
    assert "rpclab-1 (running), rpclab-2 (running), rpclab-3 (running)" in said
    nodes = node.recorded()
    assert all(f"127.0.0.1:{each.amqp_port}" in said for each in nodes)
    for each in nodes:
        with Management(each.own_address()) as api:
            assert sorted(known["name"] for known in api.get("nodes") if known["running"]) == [
                "rpclab-1@localhost", "rpclab-2@localhost", "rpclab-3@localhost"
            ]


def test_all_listeners_of_all_nodes_are_on_loopback(cluster):
    listening = {
        connection.laddr
        for process in node.processes()
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }
    assert {address.port for address in listening} == {port for each in cluster for port in each.ports.values()}
    assert len(listening) >= 3 * 3 + 1
    assert {address.ip for address in listening} <= {"127.0.0.1", "::1"}


def test_nobody_else_can_read_the_secrets_of_a_node(cluster):
    files = [path for path in node.node_folder().rglob("*") if path.name in ("node.json", "rabbitmq.conf")]
    assert len(files) == 2 * 3
    assert {path.stat().st_mode & 0o777 for path in [*files, node.node_folder() / ".erlang.cookie"]} <= {0o600, 0o400}


@pytest.mark.parametrize("count", ["1", "5"])
def test_another_size_is_refused_and_nothing_is_harmed(cluster, capsys, count):
    assert main(["up", "--nodes", count]) == 1
    said = capsys.readouterr().err
    assert f"already runs a cluster of 3 nodes, not {count}. Stop it first: python -m rpclab down" in said
    assert all(each.answers() for each in cluster)


def test_where_a_broker_is_named_none_is_started(cluster, capsys, monkeypatch):
    monkeypatch.setenv("RPCLAB_BROKER", cluster[0].broker.url)
    assert main(["up", "--nodes", "3"]) == 1
    assert "Unset it" in capsys.readouterr().err


def test_a_number_of_nodes_that_makes_no_sense_is_refused(own_home):
    for count in (0, 1, 8, "3"):
        with pytest.raises(InvalidOption, match="2 to 7"):
            Lab("odd", nodes=count)


def test_a_cluster_that_is_named_by_its_urls_is_used_node_by_node(cluster, monkeypatch):
    monkeypatch.setenv("RPCLAB_BROKER", ",".join(each.own_address().url for each in cluster))
    monkeypatch.setenv("RPCLAB_MANAGEMENT", " ".join(each.own_address().management_url for each in cluster))
    with Lab("named") as lab:
        assert [each.port for each in lab.broker.all] == [each.amqp_port for each in cluster]
        assert lab.exchanges()
        with pytest.raises(LabError, match=r"nodes=3"):
            assert lab.cluster


def test_a_lab_goes_on_when_the_node_it_asked_is_gone_and_up_brings_that_back(cluster, capsys):
    with Lab("shared") as lab:
        assert lab.cluster.names == ["rpclab-1", "rpclab-2", "rpclab-3"]
        lab.cluster.kill("rpclab-1")
        assert lab.cluster.nodes().column("state") == ["down", "running", "running"]
        assert "shared" in lab.ctl("list_vhosts", "name").text
        with lab.connect() as connection:
            connection.channel().queue_declare("later", durable=True)
        assert lab.cluster.leader("later") == "rpclab-2"
        assert main(["status"]) == 0
        assert "rpclab-1 (down), rpclab-2 (running)" in capsys.readouterr().out
        assert main(["up", "--nodes", "3"]) == 0
        assert "rpclab-1 (running), rpclab-2 (running)" in capsys.readouterr().out
        with pytest.raises(LabError, match=r"no node 'rabbit'.*rpclab-1"):
            lab.cluster.kill("rabbit")


def test_down_ends_every_node(cluster, capsys):
    assert main(["down"]) == 0
    assert capsys.readouterr().out == "Stopped: private node.\n"
    assert node.processes() == []
    assert not any(each.process() for each in cluster)
    assert not node.node_folder().exists()
