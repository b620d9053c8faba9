"""A cluster of three nodes whose nodes are killed while calls are under way."""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import wait

import pika
import pytest
from waiting import until

from rpclab import Lab, LabError, QueueUnavailable, RpcClient, RpcServer, RpcTimeout, Workers
from rpclab.broker.connect import connect

QUEUE = "upper"
IN_FLIGHT = 500
ANSWERED = 100
ALL = ["rpclab-1", "rpclab-2", "rpclab-3"]


class Upper(RpcServer):
    """Answers in capitals from a quorum queue, and remembers what it has answered."""

    def __init__(self):
        super().__init__(QUEUE, prefetch=10, queue_type="quorum", remember=600)

    def handle(self, body: str) -> str:
        print(f"worked on {body}\n", end="")  # at one go: ten threads print at the same time
        return body.upper()


@pytest.fixture(scope="module")
def cluster_lab(worker_id) -> Iterator[Lab]:
    """A lab with three nodes of its own."""
    with Lab(f"{worker_id}-failover", nodes=3) as lab:
        yield lab


@pytest.fixture
def lab(cluster_lab) -> Lab:
    """The lab with all nodes up, whatever an earlier test did to them, and no queue."""
    cluster_lab.cluster.start()
    for row in cluster_lab.queues():
        cluster_lab.delete(row["queue"])
    return cluster_lab


def declare(lab: Lab, queue: str, queue_type: str, node: str = "rpclab-1") -> None:
    """Declare a queue, led or held by one node."""
    index = lab.cluster.names.index(node)
    with connect(lab.all_parameters[index]) as connection:
        connection.channel().queue_declare(queue, durable=True, arguments={"x-queue-type": queue_type})


def put(lab: Lab, queue: str) -> None:
    """Publish one persistent message and have it confirmed."""
    with lab.connect() as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        kept = pika.BasicProperties(delivery_mode=pika.DeliveryMode.Persistent)
        channel.basic_publish("", queue, b"x", kept, mandatory=True)


def node_of_client(lab: Lab) -> str:
    return next(row["node"] for row in lab.cluster.connections() if row["connection"] == "RpcClient")


@pytest.mark.parametrize("victim", ["the leader, and the client's own", "the leader alone", "the client's own alone"])
def test_500_calls_are_answered_once_each_although_a_node_is_killed_meanwhile(lab, victim):
    declare(lab, QUEUE, "quorum", "rpclab-1" if victim == "the leader, and the client's own" else "rpclab-2")
    with Workers(Upper, count=3) as workers, RpcClient(QUEUE, timeout=40, retry=2) as client:
        kill = "rpclab-2" if victim == "the leader alone" else "rpclab-1"
        leader = lab.cluster.wait_for_leader(QUEUE)
        assert (node_of_client(lab), kill == leader) == ("rpclab-1", "leader" in victim)
        outcomes, lock = Counter(), threading.Lock()

        def count(call) -> None:
            with lock:
                outcomes[call.body] += 1

        words = [f"word {number}" for number in range(IN_FLIGHT)]
        calls = [client.submit(word) for word in words]
        for call in calls:
            call.add_done_callback(count)
        until(lambda: client.stats.answered >= ANSWERED)
        lab.cluster.kill(kill)

        _, waiting = wait(calls, timeout=60)
        assert not waiting
        assert [call.result() for call in calls] == [word.upper() for word in words]
        assert set(outcomes.values()) == {1}
        assert len(outcomes) == IN_FLIGHT == client.stats.answered == client.stats.sent
        assert client.stats.timed_out == client.stats.failed == client.stats.unknown == 0
        assert lab.cluster.wait_for_leader(QUEUE) != kill
        assert node_of_client(lab) != kill
        assert len(workers.pids) == 3
        # Only what two workers had at the same time may have been worked on twice: at most what one had taken.
        worked = Counter(re.findall(r"worked on (word \d+)", workers.log))
        assert len(worked) == IN_FLIGHT
        assert sum(times - 1 for times in worked.values()) <= 3 * 10


def test_without_a_majority_calls_time_out_and_say_so_and_it_goes_on_when_the_nodes_are_back(lab):
    with Workers(Upper, count=2), RpcClient(QUEUE, timeout=40, retry=1) as client:
        assert client.call("before") == "BEFORE"
        leader = lab.cluster.leader(QUEUE)
        survivor = next(name for name in ALL if name != leader)
        lab.cluster.kill(*(name for name in ALL if name != survivor))
        assert lab.cluster.leader(QUEUE) is None
        with pytest.raises(RpcTimeout, match="No reply within 2 s"):
            client.call("nobody can take this", timeout=2)
        with pytest.raises(LabError, match=f"majority.*running now: {survivor}"):
            lab.cluster.wait_for_leader(QUEUE, timeout=0.5)
        waiting = client.submit("patience")
        lab.cluster.start()
        assert waiting.result(60) == "PATIENCE"
        assert client.call("after") == "AFTER"


def test_without_any_node_a_call_says_that_none_answers(lab):
    with RpcClient(QUEUE, timeout=2, retry=1) as client:
        lab.cluster.kill(*ALL)
        with pytest.raises(RpcTimeout, match=r"No reply within 2 s\. No node of the cluster answers"):
            client.call("x")
    lab.cluster.start()
    assert lab.cluster.nodes().column("state") == ["running"] * 3


def test_a_classic_queue_goes_with_its_node_and_comes_back_with_it_and_a_quorum_queue_stays(lab):
    for queue in ("classic", "quorum"):
        declare(lab, queue, queue)
        put(lab, queue)
    assert lab.cluster.members("classic").column("node") == ["rpclab-1"]
    assert lab.cluster.members("quorum").column("node") == ALL

    lab.cluster.kill("rpclab-1")
    assert lab.cluster.wait_for_leader("quorum", unlike="rpclab-1") in ALL[1:]
    assert lab.cluster.leader("classic") is None
    assert [row["state"] for row in lab.cluster.members("quorum")] == ["down", "online", "online"]
    queues = lab.queues()
    assert (queues["quorum"]["ready"], queues["classic"]["state"]) == (1, "down")
    with pytest.raises(QueueUnavailable, match=r"'classic'.*comes back with it.*quorum"):
        lab.delete("classic")

    lab.cluster.start("rpclab-1")
    lab.wait_for("classic", ready=1)
    assert "state" not in lab.queues().columns


def test_the_memory_of_what_was_answered_is_on_every_node(lab):
    with Workers(Upper, count=1), RpcClient(QUEUE) as client:
        client.call("x")
        assert lab.cluster.members(f"{QUEUE}.answered").column("node") == ALL


def test_a_server_whose_classic_queue_is_down_waits_for_its_node(lab):
    declare(lab, "classic", "classic", "rpclab-3")
    with Workers(RpcServer, "classic", str.upper, count=1) as workers, RpcClient("classic", timeout=40) as client:
        assert client.call("before") == "BEFORE"
        lab.cluster.kill("rpclab-3")
        workers.wait_for_lines("the node of queue 'classic' is down")
        lab.cluster.start("rpclab-3")
        workers.wait_for_lines("started on queue", 2, timeout=30)
        assert client.call("after") == "AFTER"
        assert workers[0].alive
