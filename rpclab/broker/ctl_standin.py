"""Runs the lessons' ``rabbitmqctl`` commands over the management API, where the tool itself cannot be used.

The output has the tool's own form, so that a lesson shows the same with each broker.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from rpclab.broker import inventory
from rpclab.broker.address import Broker
from rpclab.broker.management import Management
from rpclab.errors import CommandFailed

# Of each list, the columns that are printed if none are named, and those that can be named as well.
LISTS = {
    "list_queues": (
        ("name", "messages"),
        (
            "messages_ready", "messages_unacknowledged", "consumers", "durable", "auto_delete", "exclusive",
            "arguments", "type", "state",
        ),
    ),
    "list_exchanges": (("name", "type"), ("durable", "auto_delete", "internal", "arguments")),
    "list_bindings": (
        ("source_name", "source_kind", "destination_name", "destination_kind", "routing_key", "arguments"), (),
    ),
}
# What the API calls a column, where the names differ.
KEYS = {"source_name": "source", "destination_name": "destination", "destination_kind": "destination_type"}
# What is deleted below a queue's path; for the last one, the queue itself.
ACTIONS = {"purge_queue": ("contents",), "delete_queue": ()}


def run(broker: Broker, arguments: Sequence[str]) -> str:
    """Run one command of the lessons over the management API, and return what ``rabbitmqctl -q`` would print.

    Raises
    ------
    CommandFailed
        If the command is not one of those, or was rejected.
    """
    parser = argparse.ArgumentParser(prog="rabbitmqctl", exit_on_error=False, add_help=False)
    parser.add_argument("-p", "--vhost", default="/")
    parser.add_argument("-q", "--quiet", action="store_true")
    parser.add_argument("command", nargs="?")
    parser.add_argument("rest", nargs="*")
    try:
        asked, unknown = parser.parse_known_intermixed_args(arguments)
    except argparse.ArgumentError as error:
        raise CommandFailed(f"rabbitmqctl: {error}") from error
    if unknown or asked.command not in (*LISTS, *ACTIONS):
        raise CommandFailed(
            f"`rabbitmqctl {' '.join(arguments)}` needs the tool itself, which cannot be used for {broker!r}. "
            f"Over the management API these work: {', '.join((*LISTS, *ACTIONS))}."
        )
    with Management(broker) as api:
        if asked.command in LISTS:
            return _list(broker, api, asked.vhost, asked.command, asked.rest)
        queue = " ".join(asked.rest)
        if not api.delete("queues", asked.vhost, queue, *ACTIONS[asked.command]):
            raise CommandFailed(f"Queue '{queue}' was not found in virtual host '{asked.vhost}'")
    return ""


def _list(broker: Broker, api: Management, vhost: str, command: str, named: Sequence[str]) -> str:
    usual, more = LISTS[command]
    kind = command.removeprefix("list_")
    rows = inventory.queues(broker, api, vhost) if kind == "queues" else api.get(kind, vhost)
    if rows is None:
        raise CommandFailed(f"Virtual host '{vhost}' does not exist")
    columns = named or usual
    if unknown := [column for column in columns if column not in (*usual, *more)]:
        known = ", ".join((*usual, *more))
        raise CommandFailed(f"No column {unknown[0]!r} over the management API. There are: {known}.")
    cells = [[_cell({"source_kind": "exchange", **row}.get(KEYS.get(name, name))) for name in columns] for row in rows]
    return "\n".join("\t".join(line) for line in (columns, *cells))


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "[" + ",".join(f'{{"{name}",{_quoted(part)}}}' for name, part in value.items()) + "]"
    return "" if value is None else str(value)


def _quoted(value: object) -> str:
    """Return an argument's value as Erlang writes it."""
    return f'"{value}"' if isinstance(value, str) else _cell(value)
