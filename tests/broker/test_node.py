"""The private node, in a state folder of its own. The tests that end it come last, to spare boots."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import asdict, replace
from pathlib import Path

import httpx
import psutil
import pytest
from waiting import ended, until

from rpclab import BrokerRefused, BrokerUnavailable, ConnectionLost, Lab, LabError, RpcClient, __main__
from rpclab.broker import ctl, doctor, node, node_files
from rpclab.broker.address import answers_amqp
from rpclab.broker.connect import connect
from rpclab.broker.find import find
from rpclab.broker.management import Management

OUTGOING = Path("/proc/sys/net/ipv4/ip_local_port_range")

A_NODE = node.Node("node", 0, 0.0, "/scripts", "secret", 1, 2, 3, 4)
STARTER = "from rpclab.broker import node; print(node.start().pid)"


@pytest.fixture(scope="module")
def started_by_two(own_home) -> list[int]:
    """The pids that two programs got which started the node at the same time, and have ended since."""
    environment = os.environ | {"RPCLAB_URL": "amqp://set-while-a-lab-is-open"}
    programs = [
        subprocess.Popen([sys.executable, "-c", STARTER], env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    return [int(program.communicate()[0]) for program in programs]


@pytest.fixture
def own_node(started_by_two) -> node.Node:
    """The node of this module, started again if an earlier test has ended it."""
    return node.start()


def test_two_who_start_it_at_the_same_time_get_the_same_node(started_by_two):
    assert started_by_two[0] == started_by_two[1]


def test_a_lab_opens_although_the_node_does_not_count_itself_yet(own_node):
    broker = own_node.broker
    with Management(broker) as api, ThreadPoolExecutor(1) as aside:
        ctl.run(broker, "eval", "rabbit_boot_state:set(core_started).")  # as it is just after the listeners have opened
        opening = aside.submit(Lab, "early")
        until(lambda: opening.done() or (api.get("vhosts", "early") or {}).get("cluster_state") == [])
        ctl.run(broker, "eval", "rabbit_boot_state:set(ready).")
        with opening.result() as lab, lab.connect() as connection:
            assert connection.is_open


def test_it_outlives_the_programs_that_started_it(started_by_two):
    assert node.running().pid == started_by_two[0]


def test_starting_it_again_starts_nothing(own_node):
    assert node.start() == own_node == node.running()
    assert find(start=False) == own_node.broker


def test_it_answers_to_its_own_user_with_amqp_and_http(own_node):
    assert answers_amqp("127.0.0.1", own_node.amqp_port)
    with closing(connect(own_node.broker.parameters())) as connection:
        assert connection.is_open
    with Management(own_node.broker) as api:
        assert api.get("whoami")["name"] == node_files.USER


def test_a_port_that_speaks_something_else_is_not_taken_for_a_broker(own_node):
    assert not answers_amqp("127.0.0.1", own_node.management_port)


def test_it_consists_of_erlang_and_a_port_mapper(own_node):
    found = node.processes()
    assert sorted({process.name() for process in found}) == [node.NODE_PROCESS, node.PORT_MAPPER]
    assert own_node.pid in {process.pid for process in found}


def test_all_of_its_listeners_are_on_loopback(own_node):
    listening = {
        connection.laddr
        for process in node.processes()
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }
    ports = {own_node.amqp_port, own_node.management_port, own_node.distribution_port, own_node.epmd_port}
    assert {address.port for address in listening} == ports
    assert {address.ip for address in listening} <= {"127.0.0.1", "::1"}


@pytest.mark.skipif(not OUTGOING.exists(), reason="only Linux lists its ports for outgoing connections here")
def test_no_outgoing_connection_takes_one_of_its_ports_while_it_is_down(own_node):
    assert max(own_node.ports.values()) < int(OUTGOING.read_text().split()[0])


def test_nobody_else_can_read_its_folder_or_its_secrets(own_node):
    folder = node.node_folder()
    assert folder.stat().st_mode & 0o777 == 0o700
    telling = [path for path in folder.rglob("*") if path.is_file() and path.name == ".erlang.cookie"]
    telling += [path for path in folder.glob("*") if path.is_file() and own_node.password in path.read_text()]
    assert {path.name for path in telling} >= {".erlang.cookie", "node.json", "rabbitmq.conf"}
    assert {path.stat().st_mode & 0o777 for path in telling} <= {0o600, 0o400}


def test_its_password_is_in_no_command_line(own_node):
    lines = [" ".join(process.cmdline()) for process in node.processes()]
    assert not any(own_node.password in line for line in lines)


def test_guest_is_refused(own_node):
    parameters = own_node.broker.parameters()
    parameters.credentials.username = parameters.credentials.password = "guest"
    with pytest.raises(BrokerRefused, match="guest"):
        connect(parameters)
    assert httpx.get(f"{own_node.broker.management_url}/api/whoami", auth=("guest", "guest")).status_code == 401


def test_the_doctor_takes_it_neither_for_a_stray_nor_for_a_worker(own_node):
    """Although it was started where a lab was open, and its starter is gone."""
    found = doctor.leftovers()
    assert not any(str(process.pid) in found.detail for process in node.processes()), found


@pytest.fixture
def others_folders(own_home) -> list[Path]:
    """Files of other programs beside the node's folder, in folders with names like its own."""
    home = node.node_folder().parent
    paths = [home / "node_modules" / "left-pad" / "index.js", home / "node-red" / "settings.js", home / "nodes.txt"]
    for path in paths:
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_text("theirs")
    return paths


def test_a_lab_whose_broker_goes_away_says_so_and_can_be_closed(own_node, others_folders, no_docker, capsys):
    with Lab("deserted") as lab:
        lab.connect().channel().queue_declare("idle", durable=True)
        with RpcClient("idle") as client:
            waiting = client.submit("x", timeout=60)
            assert __main__.main(["down"]) == 0
            assert capsys.readouterr().out == "Stopped: private node.\n"
            assert isinstance(waiting.exception(60), ConnectionLost)
            with pytest.raises(BrokerUnavailable):
                client.call("y")
        for ask in (lab.queues, lab.exchanges, lab.bindings, lab.connect):
            with pytest.raises(BrokerUnavailable):
                ask()
        for ask in (lab.purge, lab.delete):
            with pytest.raises(BrokerUnavailable):
                ask("idle")
        with pytest.raises(BrokerUnavailable, match="python -m rpclab up"):
            lab.ctl("list_queues")
    assert "RPCLAB_URL" not in os.environ
    assert not node.node_folder().exists()
    assert all(path.read_text() == "theirs" for path in others_folders)


def test_a_folder_that_an_earlier_version_left_is_deleted_and_no_other(own_home, others_folders, no_docker, capsys):
    node.stop()
    node.node_folder().mkdir(mode=0o700)
    (node.node_folder() / "node.json").write_text(json.dumps(asdict(A_NODE)))
    assert not (node.node_folder() / node_files.MARK).exists()
    assert __main__.main(["down"]) == 0
    assert capsys.readouterr().out == "No broker of the lab was running.\n"
    assert not node.node_folder().exists()
    assert all(path.read_text() == "theirs" for path in others_folders)


def test_a_folder_of_its_name_that_is_not_its_own_is_left_alone_and_named(own_home):
    node.stop()
    theirs = node.node_folder() / "theirs.txt"
    theirs.parent.mkdir()
    theirs.write_text("theirs")
    try:
        with pytest.raises(LabError, match=r"needs the folder .*node, .*was not made by rpclab. Move it away"):
            node.start()
        node.stop()
        assert theirs.read_text() == "theirs"
    finally:
        shutil.rmtree(theirs.parent)


def test_a_record_of_a_node_that_is_gone_is_replaced(own_home, started_by_two):
    node.stop()
    with subprocess.Popen(["true"]) as gone:
        gone.wait()
    node.node_folder().mkdir(mode=0o700)
    (node.node_folder() / "node.json").write_text(json.dumps(asdict(replace(A_NODE, pid=gone.pid))))
    assert node.running() is None
    fresh = node.start()
    assert fresh.pid != gone.pid
    assert node.running() == fresh


def test_a_node_that_no_record_tells_of_any_more_is_found_and_ended(own_node):
    before = {process.pid for process in node.processes()}
    try:
        (node.node_folder() / "node.json").unlink()
        assert node.running() is None
        assert {process.pid for process in node.processes()} == before
        assert str(own_node.pid) in doctor.leftovers().detail
        shutil.rmtree(node.node_folder())
        assert {process.pid for process in node.processes()} == before
        assert str(own_node.pid) in doctor.leftovers().detail
        assert node.stop()
        assert all(map(ended, before))
        assert not node.node_folder().exists()
        assert not node.stop()
    finally:
        for pid in before:
            with suppress(psutil.NoSuchProcess):
                psutil.Process(pid).kill()
