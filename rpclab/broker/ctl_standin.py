"""Runs the lessons' ``rabbitmqctl`` commands over the management API, where the tool itself cannot be used.

The output has the tool's own form, so that a lesson shows the same with each broker.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rpclab.broker import inventory
from rpclab.broker.address import Broker
from rpclab.broker.management import Management
from rpclab.errors import CommandFailed


def run(broker: Broker, arguments: Sequence[str]) -> str:
    """Run one command of the lessons over the management API, and return what ``rabbitmqctl`` would print.

    Raises
    ------
    CommandFailed
        If the command is not one of those, or was rejected.
    """
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
            f"`rabbitmqctl {' '.join(arguments)}` needs the tool itself, which cannot be used for {broker!r}. "
            f"Over the management API these work: {', '.join(_COMMANDS)}."
        )
    with Management(broker) as api:
        return _COMMANDS[asked.command](broker, api, asked)


@dataclass(frozen=True)
class _Listing:
    """A list command: the path of the API that it reads, and the columns that it prints."""

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
