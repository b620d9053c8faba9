from __future__ import annotations

import json

import pytest

NODES = ("rabbit1", "rabbit2", "rabbit3")


@pytest.fixture(scope="module")
def cluster(compose):
    compose("up", "--detach", "--wait", *NODES)
    return compose


def running(cluster, seen_from: str) -> set[str]:
    said = cluster.inside(seen_from, "rabbitmqctl", "cluster_status", "--formatter", "json")
    return set(json.loads(said)["running_nodes"])


@pytest.mark.parametrize("node", NODES)
def test_each_node_sees_all_three_once_they_are_healthy(cluster, node):
    assert running(cluster, node) == {f"rabbit@{each}" for each in NODES}


def test_it_comes_without_the_single_broker(cluster):
    assert set(cluster("ps", "--services").split()) == set(NODES)


def test_a_user_of_one_node_is_a_user_of_each(cluster):
    cluster.inside("rabbit1", "rabbitmqctl", "-q", "authenticate_user", "rpclab", "rpclab")
    cluster.inside("rabbit3", "rabbitmqctl", "-q", "authenticate_user", "rpclab", "rpclab")


@pytest.mark.parametrize("time", [1, 2, 3])  # which one of them boots first is left to chance
def test_it_finds_together_again_with_what_it_knew_after_all_nodes_were_stopped(cluster, time):
    cluster.inside("rabbit1", "rabbitmqctl", "-q", "add_vhost", f"kept-{time}")
    cluster("stop", *NODES)
    cluster("up", "--detach", "--wait", *NODES)
    assert running(cluster, "rabbit2") == {f"rabbit@{each}" for each in NODES}
    assert f"kept-{time}" in cluster.inside("rabbit3", "rabbitmqctl", "-q", "list_vhosts").split()
