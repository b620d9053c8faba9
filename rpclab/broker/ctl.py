"""``rabbitmqctl`` on any broker that the lab uses.

Where the tool itself cannot be reached (a broker on another machine), the management API replaces it: see
`rpclab.broker.ctl_standin`. The tool's manual: https://www.rabbitmq.com/docs/man/rabbitmqctl.8.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rpclab.broker import compose, ctl_standin, node
from rpclab.broker.address import Broker
from rpclab.broker.node_files import environment
from rpclab.errors import BrokerUnavailable, CommandFailed, LabError

TIMEOUT_SECONDS = 60
SAID_LINES = 4
# Those that act on "/" unless another virtual host is given, in RabbitMQ 3.10 to 4.3.
PER_VHOST = {
    "cancel_sync_queue", "clear_operator_policy", "clear_parameter", "clear_permissions", "clear_policy",
    "clear_topic_permissions", "clear_vhost_limits", "close_all_connections", "delete_queue", "list_bindings",
    "list_consumers", "list_exchanges", "list_operator_policies", "list_parameters", "list_permissions",
    "list_policies", "list_queues", "list_topic_permissions", "list_unresponsive_queues", "list_vhost_limits",
    "purge_queue", "restart_vhost", "set_operator_policy", "set_parameter", "set_permissions", "set_policy",
    "set_topic_permissions", "set_vhost_limits", "sync_queue", "trace_off", "trace_on",
}


@dataclass(frozen=True)
class CommandOutput:
    """What a command printed, with the line that you would type in a terminal.

    Attributes
    ----------
    command : str
        The command line.
    text : str
        What it printed.
    """

    command: str
    text: str

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"$ {self.command}\n{self.text}".rstrip()


def run_on_vhost(broker: Broker, vhost: str, lab: str, *arguments: str) -> CommandOutput:
    """Run one ``rabbitmqctl`` command as `Lab.ctl` does: on a virtual host, quietly, tables sorted.

    Parameters
    ----------
    broker : Broker
        Which broker.
    vhost : str
        For the commands that act on one, unless the arguments name another.
    lab : str
        The virtual host's name in the command line that is shown.
    *arguments : str
        As you type them.

    Raises
    ------
    LabError
        If there is no command.
    CommandFailed
        If the command was rejected; with its message.
    """
    if not arguments:
        raise LabError('Say what to run, for example lab.ctl("list_queues", "name", "messages").')
    asked = list(map(str, arguments))
    named = {"-p", "--vhost", "--global"} & {argument.partition("=")[0] for argument in asked}
    here = [] if named or _command(asked) not in PER_VHOST else ["-p", vhost]
    done = run(broker, "-q", *here, *asked)
    return CommandOutput(done.command.replace(f"-p {vhost} ", f"-p {lab} "), _in_order(asked, done.text))


def run(broker: Broker, *arguments: str) -> CommandOutput:
    """Run one ``rabbitmqctl`` command on a broker.

    Raises
    ------
    CommandFailed
        If the command was rejected; with its message.
    BrokerUnavailable
        If the broker stopped.
    """
    command = _command_line(broker)
    shown = " ".join(("rabbitmqctl", *arguments))
    if command is None:
        return CommandOutput(shown, ctl_standin.run(broker, arguments))
    variables = _environment(_private_node(broker)) if broker.node else None
    try:
        done = subprocess.run(
            [*command, *arguments], env=variables, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=TIMEOUT_SECONDS, check=False,
        )
    except subprocess.TimeoutExpired:
        raise CommandFailed(f"`{shown}` took longer than {TIMEOUT_SECONDS} s.") from None
    if done.returncode:
        # For an unknown command, the tool also prints all known ones.
        said = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()][:SAID_LINES]
        raise CommandFailed("\n".join([f"`{shown}` failed with status {done.returncode}:", *said]))
    return CommandOutput(shown, done.stdout.rstrip())


def _command_line(broker: Broker) -> list[str] | None:
    if broker.node:
        return [str(Path(_private_node(broker).scripts) / "rabbitmqctl")]
    if broker.origin == "Docker Compose":
        return compose.exec_command("rabbitmqctl")
    return None


def _private_node(broker: Broker) -> node.Node:
    # Not whether it answers AMQP: `rabbitmqctl start_app` is for one that does not.
    found = next((known for known in node.recorded(broker.node) if known.process()), None)
    if found is None:
        raise BrokerUnavailable("The private node has stopped. Start it again: python -m rpclab up")
    return found


def _environment(found: node.Node) -> dict[str, str]:
    return environment(found.name, found.number, found.ports)


def _command(arguments: Sequence[str]) -> str:
    return next((argument for argument in arguments if not argument.startswith("-")), "")


def _format(arguments: Sequence[str]) -> str:
    """Return the format that a command should print: ``table``, ``json`` and so on."""
    for option, following in zip(arguments, [*arguments[1:], ""], strict=True):
        name, _, value = option.partition("=")
        if name == "--formatter":
            return value or following
    return "table"


def _in_order(arguments: Sequence[str], text: str) -> str:
    """Return what a command has printed, with the rows of a virtual host's tables sorted.

    The tool prints those in another order each time. Other formats and commands keep their order.
    """
    command = _command(arguments)
    if command not in PER_VHOST or not command.startswith("list_") or _format(arguments) != "table":
        return text
    headers = 0 if {"-s", "--silent", "--no-table-headers"} & set(arguments) else 1
    rows = text.splitlines()
    return "\n".join(rows[:headers] + sorted(rows[headers:]))
