"""The commands against a node in a state folder of its own; the one that stops it comes last, to spare boots."""

from __future__ import annotations

import subprocess
import sys

import pytest
from waiting import until

from rpclab.__main__ import main
from rpclab.broker import node, node_files

pytestmark = pytest.mark.usefixtures("no_docker")


def test_up_starts_a_broker_and_says_how_to_reach_it(own_home, capsys):
    assert main(["up"]) == 0
    said = capsys.readouterr().out
    running = node.running()
    assert "(private node)" in said.splitlines()[0]
    assert f"127.0.0.1:{running.amqp_port}" in said
    assert f"http://127.0.0.1:{running.management_port}" in said
    assert running.password in said


def test_up_a_second_time_finds_the_same_broker(own_node, capsys):
    assert main(["up"]) == 0
    assert node.running() == own_node


def test_status_says_the_same_as_up(own_node, capsys):
    assert main(["up"]) == 0
    up = capsys.readouterr().out
    assert main(["status"]) == 0
    assert capsys.readouterr().out == up


def test_the_command_of_a_terminal_finds_the_broker_as_well(own_node):
    done = subprocess.run([sys.executable, "-m", "rpclab", "status"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert str(own_node.amqp_port) in done.stdout


def test_ctl_hands_everything_on_to_rabbitmqctl(own_node, capsys):
    assert main(["ctl", "-q", "list_vhosts", "name"]) == 0
    assert capsys.readouterr().out == "name\n/\n"
    assert main(["ctl", "-q", "-p", "/", "list_queues"]) == 0
    assert main(["ctl", "list_queues", "--help"]) == 0
    assert "list_queues" in capsys.readouterr().out


def test_what_rabbitmqctl_refuses_is_an_error_and_no_traceback(own_node, capsys):
    assert main(["ctl", "purge_queue", "nowhere"]) == 1
    assert "nowhere" in capsys.readouterr().err


def test_the_doctor_finds_nothing_wrong_here(own_node, capsys):
    # A program that another test has killed may have workers for a moment.
    until(lambda: main(["doctor"]) == 0)
    lines = capsys.readouterr().out.splitlines()[-7:]
    assert [line.partition(":")[0] for line in lines] == [
        f"[ok] {what}" for what in ("Python", "Packages", "RabbitMQ", "Ports", "State folder", "Broker", "Processes")
    ]


def test_the_doctor_finds_a_broker_that_does_not_answer_and_says_what_to_do(own_node, capsys, monkeypatch):
    (port,) = node_files.free_ports(1)
    monkeypatch.setenv("RPCLAB_BROKER", f"amqp://me:pw@127.0.0.1:{port}")
    monkeypatch.setenv("RPCLAB_MANAGEMENT", f"http://127.0.0.1:{port}")
    assert main(["doctor"]) == 1
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("[!!] Broker")]
    assert f"http://127.0.0.1:{port}" in line
    assert "python -m rpclab status" in line
    assert "RPCLAB_MANAGEMENT" in line


def test_the_doctor_notices_when_amqp_is_closed_although_the_management_api_answers(own_node, capsys, monkeypatch):
    (port,) = node_files.free_ports(1)
    monkeypatch.setenv("RPCLAB_BROKER", f"amqp://{node_files.USER}:{own_node.password}@127.0.0.1:{port}")
    monkeypatch.setenv("RPCLAB_MANAGEMENT", own_node.broker.management_url)
    assert main(["doctor"]) == 1
    assert "[!!] Broker" in capsys.readouterr().out


def test_the_doctor_reports_a_url_that_is_none(own_node, capsys, monkeypatch):
    monkeypatch.setenv("RPCLAB_BROKER", "localhost:5672")
    assert main(["doctor"]) == 1
    assert "amqp://user:password@host:5672" in capsys.readouterr().out


def test_the_doctor_warns_of_a_state_folder_that_others_can_read(own_node, capsys, monkeypatch, tmp_path):
    tmp_path.chmod(0o755)
    monkeypatch.setenv("RPCLAB_HOME", str(tmp_path))
    assert main(["doctor"]) == 1
    assert f"[!!] State folder: other users may read {tmp_path}. Run: chmod 700 '{tmp_path}'" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["status", "ctl"])
def test_without_an_answer_a_command_ends_with_1_and_a_way_out(own_home, capsys, monkeypatch, command):
    (port,) = node_files.free_ports(1)
    monkeypatch.setenv("RPCLAB_BROKER", f"amqp://me:pw@127.0.0.1:{port}")
    monkeypatch.setenv("RPCLAB_MANAGEMENT", f"http://127.0.0.1:{port}")
    assert main([command, *(["list_queues"] if command == "ctl" else [])]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "RPCLAB_MANAGEMENT" in captured.err


def test_a_foreign_brokers_password_is_not_printed(own_node, capsys, monkeypatch):
    monkeypatch.setenv("RPCLAB_BROKER", own_node.broker.url)
    monkeypatch.setenv("RPCLAB_MANAGEMENT", own_node.broker.management_url)
    assert main(["status"]) == 0
    said = capsys.readouterr().out
    assert "(RPCLAB_BROKER)" in said
    assert own_node.password not in said


def test_down_stops_the_broker_and_a_second_time_says_that_none_ran(own_node, capsys):
    assert main(["down"]) == 0
    assert capsys.readouterr().out == "Stopped: private node.\n"
    assert node.processes() == []
    assert main(["down"]) == 0
    assert capsys.readouterr().out == "No broker of the lab was running.\n"
    assert main(["status"]) == 1
    assert "python -m rpclab up" in capsys.readouterr().err
