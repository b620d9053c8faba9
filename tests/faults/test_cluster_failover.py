"""A cluster of three nodes whose nodes are killed while calls are under way.

Each test has queues of its own. The one that takes the majority away comes first, while there is no stream yet: see
`remember` in `RpcServer`.
"""

from __future__ import annotations

import re
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import wait
from contextlib import closing

import pika
import pytest
from waiting import until

from rpclab import Lab, LabError, QueueUnavailable, RequestRejected, RpcClient, RpcServer, RpcTimeout, Workers
from rpclab.broker.connect import connect
from rpclab.rpc.reliability.reply_memory import ReplyMemory

IN_FLIGHT = 500
ANSWERED = 100
WORK_SECONDS = 0.05
ALL = ["rpclab-1", "rpclab-2", "rpclab-3"]
PATIENCE = 120  # seconds for what takes a few: other work may run beside
# A node writes down half a second later that it has a part in the first stream. If it is killed before, it comes back
# without, and there is no majority for any stream once another node is down.
WRITTEN_DOWN = """
[ok = rpc:call(Node, dets, sync, [Table]) || Node <- [node() | nodes()], Table <- rpc:call(Node, dets, all, [])].
"""


class Upper(RpcServer):
    """Answers in capitals from a quorum queue, after as much work as leaves time to kill a node meanwhile."""

    def __init__(self, queue: str, remember: float | None = None):
        super().__init__(queue, prefetch=10, queue_type="quorum", remember=remember)

    def handle(self, body: str) -> str:
        print(f"worked on {body}\n", end="")  # at one go: ten threads print at the same time
        time.sleep(WORK_SECONDS)
        return body.upper()


@pytest.fixture(scope="module")
def cluster_lab(worker_id) -> Iterator[Lab]:
    """A lab with three nodes of its own."""
    with Lab(f"{worker_id}-failover", nodes=3) as lab:
        yield lab


@pytest.fixture
def lab(cluster_lab) -> Lab:
    """The lab with all nodes up, whatever an earlier test did to them."""
    cluster_lab.cluster.start()
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


def test_calls_without_a_majority_and_without_any_node_time_out_and_say_so_and_all_goes_on_afterwards(lab):
    with Workers(Upper, "majority", count=2), RpcClient("majority", timeout=PATIENCE, retry=1) as client:
        assert client.call("before") == "BEFORE"
        leader = lab.cluster.wait_for_leader("majority")
        survivor = next(name for name in ALL if name != leader)
        lab.cluster.kill(*(name for name in ALL if name != survivor))
        assert lab.cluster.leader("majority") is None
        # What is left of the queue's leader may still reject it: the request was not taken, and the error says so.
        with pytest.raises((RpcTimeout, RequestRejected), match=r"No reply within 2 s|did not take it"):
            client.call("nobody can take this", timeout=2)
        with pytest.raises(LabError, match=f"majority.*running now: {survivor}"):
            lab.cluster.wait_for_leader("majority", timeout=0.5)
        lab.cluster.kill(survivor)
        with pytest.raises(RpcTimeout, match=r"No reply within 2 s\. No node of the cluster answers"):
            client.call("nobody hears this", timeout=2)
        waiting = client.submit("patience")
        lab.cluster.start()
        assert lab.cluster.nodes().column("state") == ["running"] * 3
        assert waiting.result(PATIENCE) == "PATIENCE"
        assert client.call("after") == "AFTER"


def test_a_classic_queue_goes_with_its_node_and_comes_back_with_it_and_a_quorum_queue_stays(lab):
    for queue in ("classic", "quorum"):
        declare(lab, queue, queue, "rpclab-3")
        put(lab, queue)
    declare(lab, "service", "classic", "rpclab-3")
    assert lab.cluster.members("classic").column("node") == ["rpclab-3"]
    assert lab.cluster.members("quorum").column("node") == ALL
    with Workers(RpcServer, "service", str.upper, count=1) as workers, RpcClient("service", timeout=PATIENCE) as client:
        assert client.call("before") == "BEFORE"

        lab.cluster.kill("rpclab-3")
        # Before another one leads, too: a queue that is not listed would seem to be lost.
        assert {"classic", "quorum"} <= set(lab.queues().column("name"))
        workers.wait_for_lines("the node of queue 'service' is down", timeout=PATIENCE)
        assert lab.cluster.wait_for_leader("quorum", unlike="rpclab-3", timeout=PATIENCE) in ALL[:2]
        assert lab.cluster.leader("classic") is None
        assert lab.cluster.members("quorum").column("state") == ["online", "online", "down"]
        queues = lab.wait_for("quorum", ready=1, timeout=PATIENCE)
        assert queues["classic"]["state"] == "down"
        with pytest.raises(QueueUnavailable, match=r"'classic'.*returns with it.*quorum"):
            lab.purge("classic")

        lab.cluster.start("rpclab-3")
        lab.wait_for("classic", ready=1, timeout=PATIENCE)
        assert "state" not in lab.queues().columns
        workers.wait_for_lines("started on queue", 2, timeout=PATIENCE)
        assert client.call("after") == "AFTER"
        assert workers[0].alive


@pytest.mark.parametrize("victim", ["the leader alone", "the leader and the client's own"])
def test_500_calls_are_answered_once_each_although_a_node_is_killed_meanwhile(lab, victim):
    kill = "rpclab-2" if victim == "the leader alone" else "rpclab-1"
    queue = f"upper {kill}"
    declare(lab, queue, "quorum", kill)
    with Workers(Upper, queue, 600, count=3) as workers, RpcClient(queue, timeout=PATIENCE, retry=2) as client:
        assert lab.cluster.wait_for_leader(queue) == kill
        assert node_of_client(lab) == "rpclab-1"
        lab.ctl("eval", WRITTEN_DOWN)
        outcomes, lock = Counter(), threading.Lock()

        def count(call) -> None:
            with lock:
                outcomes[call.body] += 1

        words = [f"word {number}" for number in range(IN_FLIGHT)]
        calls = [client.submit(word) for word in words]
        for call in calls:
            call.add_done_callback(count)
        until(lambda: client.stats.answered >= ANSWERED, timeout=PATIENCE)
        lab.cluster.kill(kill)
        assert client.stats.answered < IN_FLIGHT

        _, waiting = wait(calls, timeout=PATIENCE)
        assert not waiting
        assert [call.result() for call in calls] == [word.upper() for word in words]
        assert set(outcomes.values()) == {1}
        assert len(outcomes) == IN_FLIGHT == client.stats.answered == client.stats.sent
        assert client.stats.timed_out == client.stats.failed == client.stats.unknown == 0
        assert lab.cluster.wait_for_leader(queue) != kill
        assert node_of_client(lab) != kill
        assert lab.cluster.members(f"{queue}.answered").column("node") == ALL
        assert len(workers.pids) == 3
        # Only what two workers had at the same time may have been worked on twice: at most what one had taken.
        worked = until(
            lambda: len(found := Counter(re.findall(r"worked on (word \d+)", workers.log))) == IN_FLIGHT and found
        )
        assert sum(times - 1 for times in worked.values()) <= 3 * 10


DELETE_REPLICA = """
[Node] = [Each || Each <- rabbit_nodes:all(), lists:prefix("rpclab-2@", atom_to_list(Each))],
rabbit_stream_queue:delete_replica(<<"{vhost}">>, <<"{stream}">>, Node).
"""


def test_a_reply_is_remembered_and_found_although_one_node_has_no_replica_of_the_memory(lab):
    first, second, third = lab.all_parameters
    with lab.connect() as connection, closing(ReplyMemory("half", 600, first)) as writing:
        writing.declare(connection.channel())
        writing.remember("1", b"a", b"A")
    said = lab.ctl("eval", DELETE_REPLICA.format(vhost=lab.vhost, stream="half.answered"))
    assert said.text.strip() == "ok", said
    with closing(ReplyMemory("half", 600, [second, third, first])) as memory:
        assert memory.recall("1", b"a", read=True) == b"A"
        memory.remember("2", b"b", b"B")
        assert memory.recall("2", b"b", read=True) == b"B"
    assert lab.cluster.members("half.answered").column("node") == ["rpclab-1", "rpclab-3"]
