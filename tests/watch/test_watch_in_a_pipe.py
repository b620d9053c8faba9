"""The command in a pipe: what it prints of real programs, how it ends, and what it never shows."""

from __future__ import annotations

import json
import re
import socket
import subprocess

import denied
import psutil
import pytest
from commands import COMMAND, program, tapped
from waiting import until

from rpclab import Lab
from rpclab.__main__ import main
from rpclab.broker.node_files import free_ports
from rpclab.watch.lines import PlainLines

HOSTILE = b"\x1b[2J\x1b]0;owned\x07[bold red]x[/] \xff\x00\n"


def body_with(password: str) -> str:
    return f"amqp://user:{password}@host and {password}"


def channel_of(lab: Lab):
    return lab.connect("test").channel()


def test_programs_that_connect_to_its_port_are_shown_with_their_messages(watch, start, url):
    watching = watch(url)
    address = tapped(url, watching.port)
    start(program("server"), AMQP_URL=address).says("serving")
    assert start(program("client", "3,5"), AMQP_URL=address).ended() == 3
    watching.says("client closed its connection")
    assert watching.interrupt() == 0
    for line in (
        "server connected", "client connected", "client -> queue sums: request 1: 3,5",
        "queue sums -> server: request 1",
        "server -> callback queue of client: reply to request 1: 8", "server -> queue sums: ack request 1",
        "callback queue of client -> client: reply to request 1", "2 connections, 2 messages, 1 request, 1 reply.",
        "Nothing wrong seen in 2 messages.",
    ):
        assert line in watching.out.splitlines()
    assert watching.err == ""


def test_a_program_is_started_with_the_address_and_its_exit_code_is_kept(watch, start, url, lab):
    start(program("server"), AMQP_URL=url).says("serving")
    watching = watch(url, "--", *program("client", "3,5", "20,22"))
    assert watching.ended() == 3
    assert "reply: 8\nreply: 42\n" in watching.out
    assert "client -> queue sums: request 2: 20,22" in watching.out
    # The server is connected beside the tap, which is no fault of the client's.
    assert "Nothing wrong seen" in watching.out


def test_a_server_alone_is_watched_and_its_clients_elsewhere_are_no_findings(watch, start, url):
    watching = watch(url, "--exit-code", "warning")
    start(program("server"), AMQP_URL=tapped(url, watching.port)).says("serving")
    for _ in range(2):
        assert start(program("client", "3,5", "20,22"), AMQP_URL=url).ended() == 3
    until(lambda: watching.out.count("server -> queue sums: ack request") == 4)
    assert watching.interrupt() == 0
    assert "Nothing wrong seen in 8 messages." in watching.out


def test_programs_may_use_another_virtual_host_than_the_address_names(watch, start, url):
    start(program("server"), AMQP_URL=url).says("serving")
    watching = watch(url.rpartition("/")[0], "--exit-code", "warning")
    port = int(until(lambda: re.search(r"PASSWORD@127.0.0.1:(\d+) ", watching.out))[1])
    assert start(program("client", "3,5"), AMQP_URL=tapped(url, port)).ended() == 3
    watching.says("client closed its connection")
    assert watching.interrupt() == 0
    assert "Nothing wrong seen in 2 messages." in watching.out


def test_a_program_finds_the_address_in_a_variable_of_any_name(watch, start, url, monkeypatch):
    start(program("server"), AMQP_URL=url).says("serving")
    monkeypatch.setenv("VARIABLE", "MY_BROKER")
    assert watch(url, "--env", "MY_BROKER", "--", *program("client", "1,1")).ended() == 3


@denied.aio_pikas_rpc
def test_the_rpc_of_aio_pika_is_shown_and_nothing_is_wrong_with_it(watch, url):
    watching = watch(url, "--", *program("rpc_of_aio_pika"))
    assert watching.ended() == 0
    assert "reply: 8" in watching.out
    assert "reply to request 1" in watching.out
    assert "Nothing wrong seen" in watching.out


def test_a_program_that_cannot_be_started_is_an_error_that_names_it(watch, url):
    watching = watch(url, "--", "no-such-program")
    assert watching.ended() == 1
    assert "Could not start 'no-such-program'" in watching.err


def test_a_message_to_no_queue_is_told_and_one_to_a_queue_from_earlier_is_not(watch, start, url, lab):
    channel_of(lab).queue_declare("addition", durable=True)
    watching = watch(url, "--", *program("case_study", "client"))
    assert watching.ended() == 0
    assert "published to queue 'addition'" not in watching.out
    channel_of(lab).queue_delete("addition")
    watching = watch(url, "--", *program("case_study", "client"))
    assert watching.ended() == 0
    assert "error: 1 message published to queue 'addition', which does not exist" in watching.out


def test_the_case_study_is_told_its_mistakes_and_nothing_else(watch, start, url, lab):
    channel = channel_of(lab)
    for queue in ("addition", "addition_callback"):
        channel.queue_declare(queue, durable=True)
    watching = watch(url, "--json")
    port = until(lambda: watching.out and json.loads(watching.out.splitlines()[0])["port"])
    start(program("case_study", "server"), AMQP_URL=tapped(url, port)).says("started")
    assert start(program("case_study", "client"), AMQP_URL=tapped(url, port)).ended() == 0
    lab.wait_for("addition_callback", ready=1)
    until(lambda: '"rule": "reply-queue-without-consumer"' in watching.out)
    assert watching.interrupt() == 0
    findings = json.loads(watching.out.splitlines()[-1])["findings"]
    assert {one["rule"] for one in findings} == {"missing-correlation-id", "reply-queue-without-consumer"}


@denied.aio_pikas_rpc
def test_findings_of_a_gravity_that_is_asked_for_make_the_exit_code_1(watch, url):
    assert watch(url, "--exit-code", "--", *program("case_study", "client")).ended() == 1
    assert watch(url, "--exit-code", "warning", "--", *program("rpc_of_aio_pika")).ended() == 0


def test_as_json_it_prints_one_object_a_line_and_nothing_else(watch, start, url):
    start(program("server"), AMQP_URL=url).says("serving")
    watching = watch(url, "--json", "--", *program("client", "3,5"))
    assert watching.ended() == 3
    events = [json.loads(line) for line in watching.out.splitlines()]
    kinds = [event["event"] for event in events]
    assert (kinds[0], kinds[1], kinds[-1]) == ("listening", "connected", "summary")
    published = events[kinds.index("published")]
    assert (published["message"], published["body"], published["routing_key"]) == ("request 1", "3,5", "sums")
    assert events[-1]["counts"]["requests"] == 1
    assert "reply: 8" in watching.err


def test_it_ends_after_the_seconds_that_are_given_and_ends_its_program(watch, start, url, lab):
    watching = watch(url, "--for", "0.5", "--", *program("server"))
    assert watching.ended() == 0
    assert lab.wait_for("sums", consumers=0)


def test_a_body_cannot_write_to_the_terminal(watch, start, url):
    start(program("server"), AMQP_URL=url).says("serving")
    watching = watch(url, "--bodies", "full")
    with_bytes = [*program("client"), HOSTILE.replace(b"\x00", b"")]
    assert start(with_bytes, AMQP_URL=tapped(url, watching.port)).ended() == 3
    watching.says("client closed its connection")
    watching.interrupt()
    assert r"request 1: \x1b[2J\x1b]0;owned\x07[bold red]x[/] \xff\n" in watching.out
    assert not {"\x1b", "\x07"} & set(watching.out)


@pytest.mark.parametrize("options", [["--bodies", "full"], ["--json", "--bodies", "full"]])
def test_the_password_is_neither_shown_nor_saved(watch, start, url, lab, tmp_path, options):
    start(program("server"), AMQP_URL=url).says("serving")
    password, page = lab.broker.password, tmp_path / "story.html"
    watching = watch(url, *options, "--save", str(page), "--", *program("client", body_with(password)))
    assert watching.ended() == 3
    assert "amqp://user:***@host and ***" in watching.out
    assert "amqp://user:***@host and ***" in page.read_text()
    for said in (watching.out, watching.err, page.read_text()):
        assert password not in said


def test_without_bodies_none_is_shown_or_saved(watch, start, url, tmp_path):
    start(program("server"), AMQP_URL=url).says("serving")
    page = tmp_path / "story.html"
    watching = watch(url, "--bodies", "none", "--save", str(page), "--json", "--", *program("client", "100,2345"))
    assert watching.ended() == 3
    assert '"published"' in watching.out
    for said in (watching.out, page.read_text()):
        assert "100,2345" not in said
        assert "request 1" in said


def test_the_traffic_goes_on_when_nobody_reads_what_is_shown(watch, start, url):
    start(program("server"), AMQP_URL=url).says("serving")
    numbers = [f"{number},1" for number in range(300)]
    command = [*COMMAND, "watch", url, "--json", "--", *program("client", *numbers)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as watching:
        assert watching.stdout
        assert watching.stderr
        assert json.loads(watching.stdout.readline())["event"] == "listening"
        watching.stdout.close()
        said = watching.stderr.read()
    assert watching.returncode == 3
    assert f"reply: {299 + 1}\n" in said
    assert "The traffic goes on." in said


def test_an_error_of_the_viewer_is_reported_once_and_stops_nothing(start, url, monkeypatch, capfd):
    def fail(self):
        raise ValueError("cannot be drawn")

    start(program("server"), AMQP_URL=url).says("serving")
    monkeypatch.setattr(PlainLines, "show", fail)
    assert main(["watch", url, "--", *program("client", *["3,5"] * 50)]) == 3
    said = capfd.readouterr()
    assert said.out.count("reply: 8") == 50
    assert said.err.count("ValueError: cannot be drawn") == 1
    assert "50 requests, 50 replies" in said.out


def test_a_wrong_address_is_an_error_without_its_password(watch):
    for wrong in ("http://user:secret-word@host", "amqp://user:secret-word@127.0.0.1:1/vhost", "amqp://u:secret/word@h"):
        watching = watch(wrong)
        assert watching.ended() == 1
        assert "secret" not in watching.out + watching.err
        assert "amqp" in watching.err
        assert "Traceback" not in watching.err


def test_a_port_in_use_is_an_error_that_says_what_to_do(watch, url):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        watching = watch(url, "--port", str(port))
        assert watching.ended() == 1
    assert watching.err == f"Port {port} on 127.0.0.1 is used by another program. Choose another port, or none.\n"


def test_a_port_of_ones_choice_is_listened_at_on_loopback_alone(watch, url):
    (port,) = free_ports(1)
    watching = watch(url, "--port", str(port))
    assert watching.port == port
    addresses = {line.split()[0] for line in _listening(port)}
    assert addresses == {"127.0.0.1"}
    assert watching.interrupt() == 0


def _listening(port: int) -> list[str]:
    found = [one.laddr for one in psutil.net_connections("tcp") if one.status == psutil.CONN_LISTEN]
    return [f"{address.ip} {address.port}" for address in found if address.port == port]
