from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from rpclab import InvalidName, Lab, LabError, VhostNotOurs, connection_parameters
from rpclab.broker.environment import URL_VARIABLE
from rpclab.broker.management import Management
from rpclab.lab import current_lab

HOLDER = """
import sys
import rpclab

lab = rpclab.Lab(sys.argv[1])
with lab.connect() as connection:
    connection.channel().queue_declare("theirs", durable=True)
print(lab.vhost, flush=True)
sys.stdin.read()
lab.close()
"""


@contextmanager
def another_process_with(name: str) -> Iterator[tuple[subprocess.Popen, str]]:
    """Open a lab in a process of its own, with a queue "theirs" in it; gives the process and the virtual host."""
    command = [sys.executable, "-c", HOLDER, name]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process, process.stdout.readline().strip()
        process.communicate()


def exists(lab: Lab, vhost: str | None = None) -> bool:
    with Management(lab.broker) as api:
        return api.get("vhosts", vhost or lab.vhost) is not None


def declare(lab: Lab, queue: str) -> None:
    with lab.connect() as connection:
        connection.channel().queue_declare(queue, durable=True)


def test_a_new_lab_is_empty(lab):
    assert repr(lab.queues()) == "(no queues)"
    assert repr(lab.bindings()) == "(no bindings)"
    assert repr(lab) == f"Lab({lab.name!r})"


def test_closing_removes_the_virtual_host(lab):
    assert exists(lab)
    lab.close()
    assert not exists(lab)


def test_closing_twice_does_nothing_more(lab):
    lab.close()
    lab.close()
    assert not exists(lab)


def test_closing_ends_the_connections_that_the_lab_opened(lab):
    connection = lab.connect()
    lab.close()
    assert connection.is_closed


def test_what_an_earlier_run_left_is_gone(lab):
    with another_process_with(f"{lab.name}-old") as (process, vhost):
        process.kill()
        process.wait()
        assert exists(lab, vhost)
        with Lab(f"{lab.name}-old") as again:
            assert again.vhost == vhost
            assert len(again.queues()) == 0


def test_opening_a_name_again_in_one_process_closes_the_first(lab):
    declare(lab, "first")
    with Lab(lab.name) as second:
        assert second.vhost == lab.vhost
        assert len(second.queues()) == 0
        lab.close()
        assert exists(second)
        assert os.environ[URL_VARIABLE] == second.url


def test_two_processes_that_open_the_same_name_do_not_disturb_each_other(lab):
    declare(lab, "ours")
    with another_process_with(lab.name) as (_, vhost):
        assert vhost != lab.vhost
        assert lab.queues().column("name") == ["ours"]
        with Management(lab.broker) as api:
            assert [queue["name"] for queue in api.get("queues", vhost)] == ["theirs"]
    assert not exists(lab, vhost)
    assert lab.queues().column("name") == ["ours"]


def test_the_environment_names_the_lab_while_it_is_open(lab):
    assert os.environ[URL_VARIABLE] == lab.url
    assert connection_parameters().port == lab.tap.port
    assert connection_parameters().virtual_host == lab.vhost
    lab.close()
    assert URL_VARIABLE not in os.environ
    with pytest.raises(LabError, match=r"rpclab\.Lab\("):
        connection_parameters()


def test_the_current_lab_is_the_one_opened_last(lab):
    with Lab(f"{lab.name[:50]}-2nd") as second:
        assert current_lab() is second
    assert current_lab() is lab
    lab.close()
    with pytest.raises(LabError, match="No lab is open"):
        current_lab()


@pytest.mark.parametrize("name", [
    "", "two words", "-dash", ".dot", "_under", "a/b", "ä", "a\n", "x" * 61, None, 3, b"a",
])
def test_a_name_that_cannot_be_a_virtual_host_is_refused(name):
    with pytest.raises(InvalidName, match="1 to 60 letters"):
        Lab(name)


@pytest.mark.parametrize("name", ["0", "a.b_c-D", "x" * 60])
def test_the_longest_and_the_oddest_names_work(lab, name):
    prefix = lab.name[:20] if len(name) < 60 else ""
    with Lab(prefix + name) as odd:
        declare(odd, "queue")
        assert odd.queues().column("name") == ["queue"]
        assert odd.ctl("list_queues", "name").text.splitlines() == ["name", "queue"]


def test_a_virtual_host_that_no_lab_made_is_refused_and_left_as_it_was(lab):
    name = f"{lab.name[:50]}-theirs"
    everything = {"configure": ".*", "write": ".*", "read": ".*"}
    with Management(lab.broker) as api:
        api.put("vhosts", name, json={})
        try:
            api.put("permissions", name, lab.broker.username, json=everything)
            api.put("queues", name, "precious", json={"durable": True})
            with pytest.raises(VhostNotOurs, match=name):
                Lab(name)
            assert [queue["name"] for queue in api.get("queues", name)] == ["precious"]
            assert os.environ[URL_VARIABLE] == lab.url
        finally:
            api.delete("vhosts", name)
    with Lab(name) as free_again:
        assert free_again.vhost == name


CLOSED = {
    "queues": Lab.queues,
    "wait_for": lambda lab: lab.wait_for("addition", ready=1),
    "exchanges": Lab.exchanges,
    "bindings": Lab.bindings,
    "topology": Lab.topology,
    "purge": lambda lab: lab.purge("addition"),
    "delete": lambda lab: lab.delete("addition"),
    "ctl": lambda lab: lab.ctl("list_queues"),
    "connect": Lab.connect,
    "parameters": lambda lab: lab.parameters,
    "all_parameters": lambda lab: lab.all_parameters,
    "direct_parameters": lambda lab: lab.direct_parameters,
    "cluster": lambda lab: lab.cluster,
    "diagnose": Lab.diagnose,
    "last": Lab.last,
    "record": lambda lab: lab.record().__enter__(),
    "story": lambda lab: lab.story,
}


@pytest.mark.parametrize("what", CLOSED)
def test_a_closed_lab_says_how_to_open_it_again(lab, what):
    lab.close()
    with pytest.raises(LabError, match=rf"The lab '{lab.name}' was closed. Open it again: lab = .*Lab\('{lab.name}'\)"):
        CLOSED[what](lab)


def test_the_test_above_leaves_out_nothing_that_a_lab_can_do():
    harmless = {"close", "check_open", "management_url", "queue_table"}
    assert {name for name in vars(Lab) if not name.startswith("_")} == CLOSED.keys() | harmless


def test_a_story_that_was_begun_can_be_read_when_the_lab_is_closed(lab):
    lab.connect().channel().basic_publish("", "nowhere", "hello")
    lab.last()
    lab.close()
    assert [message.text() for message in lab.story.messages] == ["hello"]
