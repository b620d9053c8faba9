from __future__ import annotations

import json
import shutil
import subprocess
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from rpclab import CommandFailed, LabError
from rpclab.broker import ctl, node


@pytest.fixture
def channel(lab):
    channel = lab.connect("asker").channel()
    channel.confirm_delivery()
    channel.exchange_declare("requests", "topic", durable=True)
    channel.exchange_declare("by_format", "headers", durable=True)
    for queue, messages in (("addition", 3), ("fibonacci", 0)):
        channel.queue_declare(queue, durable=True)
        channel.queue_bind(queue, "requests", f"{queue}.#")
        for number in range(messages):
            channel.basic_publish("", queue, str(number))
    channel.queue_bind("addition", "by_format", arguments={"x-match": "all", "format": "pdf"})
    channel.basic_consume("fibonacci", lambda *_: None)
    return channel


@pytest.fixture
def standin(lab):
    """What `lab.ctl` would do with a broker that rabbitmqctl cannot reach, rows sorted."""
    broker = replace(lab.broker, origin="RPCLAB_BROKER", node=None)

    def run(*arguments: str) -> str:
        header, *rows = ctl.run(broker, "-q", "-p", lab.vhost, *arguments).text.splitlines() or [""]
        return "\n".join([header, *sorted(rows)])

    return run


@pytest.fixture
def real(lab):
    if lab.broker.origin == "RPCLAB_BROKER":
        pytest.skip("rabbitmqctl cannot be reached for this broker: there is nothing to compare with")
    return lab.ctl


LISTS = [
    ("list_queues", "name", "messages", "consumers"),
    ("list_queues",),
    ("list_queues", "name", "durable", "arguments"),
    ("list_exchanges",),
    ("list_exchanges", "name", "type", "durable"),
    ("list_bindings",),
    ("list_bindings", "source_name", "destination_name", "routing_key"),
]


@pytest.mark.parametrize("arguments", LISTS, ids=" ".join)
def test_the_standin_prints_what_the_tool_prints(lab, channel, real, standin, arguments):
    assert standin(*arguments) == real(*arguments).text


def test_the_standin_says_nothing_about_the_consumers_of_an_exclusive_queue(lab, channel, standin):
    name = channel.queue_declare("", exclusive=True).method.queue
    channel.basic_consume(name, lambda *_: None)
    assert f"{name}\t" in standin("list_queues", "name", "consumers").splitlines()


def test_queues_are_listed_with_their_counts(lab, channel):
    done = lab.ctl("list_queues", "name", "messages", "consumers")
    assert str(done).splitlines() == ["name\tmessages\tconsumers", "addition\t3\t0", "fibonacci\t0\t1"]
    assert repr(done).startswith(f"$ rabbitmqctl -q -p {lab.name} list_queues name messages consumers\n")


def test_other_formats_and_tables_without_a_header_are_what_they_should_be(lab, channel, real):
    listed = json.loads(real("list_queues", "name", "messages", "--formatter", "json").text)
    assert {row["name"]: row["messages"] for row in listed} == {"addition": 3, "fibonacci": 0}
    assert json.loads(real("list_exchanges", "--formatter=json").text)
    border, header, *_ = real("list_queues", "name", "--formatter", "pretty_table").text.splitlines()
    assert "name" in header
    assert "name" not in border
    for option in ("-s", "--no-table-headers"):
        names = real(option, "list_queues", "name").text.splitlines()
        assert names == sorted(names) == ["addition", "fibonacci"]


def test_what_is_done_is_done_on_this_virtual_host(lab, channel, real):
    real("set_policy", "short", "^fib", '{"max-length": 5}', "--apply-to", "queues")
    assert "short" in real("list_policies").text
    assert real("-s", "list_policies", "-p", "/").text == real("-s", "list_policies", "--vhost=/").text == ""
    assert lab._api.get("policies", lab.vhost)[0]["definition"] == {"max-length": 5}
    real("clear_policy", "short")
    assert real("-s", "list_policies").text == ""
    assert lab.broker.username in real("list_permissions").text
    real("set_vhost_limits", '{"max-queues": 7}')
    assert "max-queues" in real("list_vhost_limits").text
    assert "fibonacci" in real("list_consumers").text


# Each command of the tool that has "/" as its default virtual host.
ASK_THE_TOOL = """
lists:foreach(fun(File) ->
    Module = list_to_atom(filename:basename(File, ".beam")),
    code:ensure_loaded(Module),
    Usage = try Module:usage() catch _:_ -> "" end,
    try Module:merge_defaults([<<"a">>, <<"b">>, <<"c">>], #{}) of
        {_, #{vhost := _}} -> io:format("~ts~n", [Usage]);
        _ -> ok
    catch _:_ -> ok end
end, filelib:wildcard("Elixir.RabbitMQ.CLI.Ctl.Commands.*Command.beam")), halt().
"""


def test_every_command_that_acts_on_a_virtual_host_is_known(tmp_path):
    scripts = node.script_folder()
    found = list(scripts.parent.glob("lib/rabbitmq_server-*/escript/rabbitmqctl")) if scripts else []
    if not found or not shutil.which("erl"):
        pytest.skip("RabbitMQ's own command-line tool is not here, which could be asked")
    with zipfile.ZipFile(found[0]) as tool:
        for name in tool.namelist():
            if name.endswith(".beam"):
                (tmp_path / Path(name).name).write_bytes(tool.read(name))
    told = subprocess.run(
        ["erl", "-noshell", "-pa", ".", "-eval", ASK_THE_TOOL], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    commands = {line.split()[0] for line in told.stdout.splitlines() if line}
    assert {"list_queues", "set_policy", "purge_queue"} < commands
    # It is global, whatever its default. What one version lacks, another one has.
    assert commands - {"set_permissions_globally"} - ctl.PER_VHOST == set()
    assert ctl.PER_VHOST - commands <= {"sync_queue", "cancel_sync_queue"}


def test_purging_empties_a_queue(lab, channel):
    lab.ctl("purge_queue", "addition")
    assert lab.queues()["addition"]["ready"] == 0


def test_deleting_removes_a_queue(lab, channel):
    lab.ctl("delete_queue", "addition")
    assert lab.queues().column("name") == ["fibonacci"]


def test_the_standin_purges_and_deletes(lab, channel, standin):
    standin("purge_queue", "addition")
    assert lab.queues()["addition"]["ready"] == 0
    standin("delete_queue", "addition")
    assert lab.queues().column("name") == ["fibonacci"]


@pytest.mark.parametrize("command", ["purge_queue", "delete_queue"])
def test_a_missing_queue_fails_and_is_named(lab, standin, command):
    with pytest.raises(CommandFailed, match="nowhere"):
        lab.ctl(command, "nowhere")
    with pytest.raises(CommandFailed, match="nowhere"):
        standin(command, "nowhere")


def test_an_unknown_command_fails_in_a_few_lines(lab, standin):
    with pytest.raises(CommandFailed, match="list_quueues") as refused:
        lab.ctl("list_quueues")
    assert len(str(refused.value).splitlines()) <= 6
    with pytest.raises(CommandFailed, match=r"list_quueues.*list_queues, list_exchanges, list_bindings"):
        standin("list_quueues")


@pytest.mark.parametrize("command", ["list_queues", "list_exchanges", "list_bindings"])
def test_a_missing_virtual_host_fails(lab, standin, command):
    lab.close()
    with pytest.raises(CommandFailed, match="does not exist"):
        standin(command)


@pytest.mark.parametrize("command", ["purge_queue", "delete_queue", "purge_queue a b"])
def test_the_standin_refuses_to_act_without_one_queue_to_act_on(lab, channel, standin, command):
    with pytest.raises(CommandFailed):
        standin(*command.split())
    assert lab.queues().column("name") == ["addition", "fibonacci"]
    assert lab.queues()["addition"]["ready"] == 3


def test_the_standin_does_not_swallow_an_unknown_column(lab, channel, standin):
    with pytest.raises(CommandFailed, match="massages"):
        standin("list_queues", "name", "massages")


def test_without_a_command_it_says_what_one_could_run(lab):
    with pytest.raises(LabError, match="list_queues"):
        lab.ctl()
