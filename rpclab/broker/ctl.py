"""``rabbitmqctl`` on the lab's broker, whichever it is.

Where the tool itself cannot be reached (a broker on another machine), the commands of the lessons are carried out over
the management API and answered in the tool's own form. The tool's manual: https://www.rabbitmq.com/docs/man/rabbitmqctl.8.
"""

from __future__ import annotations

import argparse
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rpclab.broker import compose, inventory, node
from rpclab.broker.address import Broker
from rpclab.broker.management import Management
from rpclab.broker.node_files import environment
from rpclab.errors import BrokerUnavailable, CommandFailed

TIMEOUT_SECONDS = 60
SAID_LINES = 4


@dataclass(frozen=True)
class CommandOutput:
    """What a command printed, together with the line one would type in a terminal.

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


def run(broker: Broker, *arguments: str) -> CommandOutput:
    """Run one ``rabbitmqctl`` command on a broker.

    Raises
    ------
    CommandFailed
        If the command was turned down; with what it said.
    BrokerUnavailable
        If the broker went away.
    """
    command = _command_line(broker)
    shown = " ".join(("rabbitmqctl", *arguments))
    if command is None:
        return CommandOutput(shown, _over_http(broker, arguments))
    variables = _environment(_private_node(broker)) if broker.node else None
    try:
        done = subprocess.run(
            [*command, *arguments], env=variables, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=TIMEOUT_SECONDS, check=False,
        )
    except subprocess.TimeoutExpired:
        raise CommandFailed(f"`{shown}` took longer than {TIMEOUT_SECONDS} s.") from None
    if done.returncode:
        # For a command that it does not know, the tool prints all that it does know below.
        said = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()][:SAID_LINES]
        raise CommandFailed("\n".join([f"`{shown}` failed with status {done.returncode}:", *said]))
    return CommandOutput(shown, done.stdout.rstrip())


def is_real(broker: Broker) -> bool:
    """Tell whether the tool itself can be reached, or the management API stands in for it."""
    return _command_line(broker) is not None


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


def _over_http(broker: Broker, arguments: tuple[str, ...]) -> str:
    parser = argparse.ArgumentParser(prog="rabbitmqctl", exit_on_error=False, add_help=False)
    parser.add_argument("-p", "--vhost", default="/")
    parser.add_argument("-q", "--quiet", action="store_true")
    parser.add_argument("-s", "--silent", action="store_true")
    parser.add_argument("command", nargs="?")
    parser.add_argument("rest", nargs="*")
    try:
        asked, unknown = parser.parse_known_intermixed_args(arguments)
    except argparse.ArgumentError as error:
        raise CommandFailed(f"rabbitmqctl: {error}") from error
    if unknown or asked.command not in _COMMANDS:
        raise CommandFailed(
            f"`rabbitmqctl {' '.join(arguments)}` needs the tool itself, which cannot be reached for {broker!r}. "
            f"Over the management API these work: {', '.join(_COMMANDS)}."
        )
    with Management(broker) as api:
        return _COMMANDS[asked.command](broker, api, asked)


@dataclass(frozen=True)
class _Listing:
    """A list command: which path of the API it reads, and which columns it prints."""

    path: str
    columns: tuple[str, ...]
    more: tuple[str, ...] = ()
    renamed: tuple[tuple[str, str], ...] = ()

    def __call__(self, broker: Broker, api: Management, asked: argparse.Namespace) -> str:
        live = self.path == "queues"
        rows = inventory.queues(broker, api, asked.vhost) if live else api.get(self.path, asked.vhost)
        if rows is None:
            raise CommandFailed(f"Virtual host '{asked.vhost}' does not exist")
        columns = asked.rest or self.columns
        unknown = [column for column in columns if column not in (*self.columns, *self.more)]
        if unknown:
            known = ", ".join((*self.columns, *self.more))
            raise CommandFailed(f"No column {unknown[0]!r} over the management API. There are: {known}.")
        keys = [dict(self.renamed).get(column, column) for column in columns]
        for row in rows:
            row.update({"source_kind": "exchange"} if self.path == "bindings" else {})
        lines = [] if asked.silent else ["\t".join(columns)]
        return "\n".join(lines + ["\t".join(_cell(row.get(key, "")) for key in keys) for row in rows])


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "[" + ",".join(f'{{"{name}",{_quoted(part)}}}' for name, part in value.items()) + "]"
    return "" if value is None else str(value)


def _quoted(value: object) -> str:
    """Return an argument's value as Erlang writes it."""
    return f'"{value}"' if isinstance(value, str) else _cell(value)


def _purge(broker: Broker, api: Management, asked: argparse.Namespace) -> str:
    return _on_queue(api, asked, "purged", "contents")


def _delete(broker: Broker, api: Management, asked: argparse.Namespace) -> str:
    return _on_queue(api, asked, "deleted")


def _on_queue(api: Management, asked: argparse.Namespace, done: str, *below: str) -> str:
    queue = " ".join(asked.rest)
    if not api.delete("queues", asked.vhost, queue, *below):
        raise CommandFailed(f"Queue '{queue}' was not found in virtual host '{asked.vhost}'")
    return "" if asked.quiet or asked.silent else f"Queue '{queue}' on vhost '{asked.vhost}' was {done}"


_COMMANDS: dict[str, Callable[[Broker, Management, argparse.Namespace], str]] = {
    "list_queues": _Listing(
        "queues",
        ("name", "messages"),
        (
            "messages_ready", "messages_unacknowledged", "consumers", "durable", "auto_delete", "exclusive",
            "arguments", "type", "state",
        ),
    ),
    "list_exchanges": _Listing(
        "exchanges", ("name", "type"), ("durable", "auto_delete", "internal", "arguments")
    ),
    "list_bindings": _Listing(
        "bindings",
        ("source_name", "source_kind", "destination_name", "destination_kind", "routing_key", "arguments"),
        renamed=(
            ("source_name", "source"), ("destination_name", "destination"), ("destination_kind", "destination_type"),
        ),
    ),
    "purge_queue": _purge,
    "delete_queue": _delete,
}
