"""What a lab's virtual host has at the moment, as tables and as a graph; queues have their names for people."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from rpclab.broker import inventory
from rpclab.broker.management import Management
from rpclab.errors import BrokerUnavailable, InvalidOption, LabError
from rpclab.story.diagram import Picture
from rpclab.story.topology import topology
from rpclab.table import Table

if TYPE_CHECKING:
    from rpclab.lab.lab import Lab

POLL_SECONDS = 0.02


class Inventory:
    """The queues, exchanges and bindings of a lab. `Lab` has the same methods, and documents them.

    Parameters
    ----------
    lab : Lab
        The lab whose virtual host it reads.
    api : Management
        The broker's HTTP API.
    """

    def __init__(self, lab: Lab, api: Management):
        self._lab = lab
        self._api = api

    def queues(self) -> Table:
        self._lab.check_open()
        found = inventory.queues(self._lab.broker, self._api, self._lab.vhost)
        if found is None:
            raise self._gone()
        return self.queue_table(found)

    def queue_table(self, found: list[dict]) -> Table:
        registry = self._lab.tap.registry
        rows = [
            {
                "name": registry.shown(queue["name"]),
                "queue": queue["name"],
                "ready": queue.get("messages_ready"),
                "unacked": queue.get("messages_unacknowledged"),
                # The broker reports an exclusive queue to its owner alone; what passed the tap says the same.
                "consumers": registry.consumers(queue["name"]) if queue["exclusive"] else queue["consumers"],
                "type": queue["type"],
                "state": queue.get("state"),
                "durable": queue["durable"],
                "exclusive": queue["exclusive"],
                "arguments": queue["arguments"],
            }
            for queue in found
        ]
        rows.sort(key=lambda row: row["name"])
        columns = ["name", "ready", "unacked", "consumers"]
        # Its node, or the majority of its nodes, is down; a single node that answers is running.
        if self._lab.broker.others and any(row["state"] == "down" for row in rows):
            columns.append("state")
        return Table(columns, rows, empty="(no queues)")

    def wait_for(self, queue: str, timeout: float, counts: Mapping[str, int | None]) -> Table:
        if not counts or not counts.keys() <= {"ready", "unacked", "consumers"}:
            raise InvalidOption('Say what to wait for, for example lab.wait_for("addition", ready=1, unacked=0).')
        deadline = time.monotonic() + timeout
        while True:
            queues = self.queues()
            row = find(queues, queue)
            found = row and {name: row[name] for name in counts}
            if found == counts:
                return queues
            if time.monotonic() > deadline:
                raise LabError(f"After {timeout:g} s queue {queue!r} has {found or 'not been declared'}, not {counts}.")
            time.sleep(POLL_SECONDS)

    def exchanges(self) -> Table:
        rows = [row | {"name": row["name"] or "(default)"} for row in self._listing("exchanges")]
        return Table(("name", "type", "durable"), rows, empty="(no exchanges)")

    def bindings(self) -> Table:
        shown = self._lab.tap.registry.shown
        rows = [
            {
                "exchange": row["source"] or "(default)",
                "routing key": shown(row["routing_key"]),
                "destination": shown(row["destination"]),
                "destination name": row["destination"],
                "kind": row["destination_type"],
                "arguments": row["arguments"] or None,
            }
            for row in self._listing("bindings")
        ]
        rows.sort(key=lambda row: (row["exchange"], row["destination"], row["routing key"], str(row["arguments"])))
        columns = ["exchange", "routing key", "destination"]
        if any(row["arguments"] for row in rows):
            columns.append("arguments")
        return Table(columns, rows, empty="(no bindings)")

    def topology(self) -> Picture:
        queues = self.queues()
        consumers = {queue["queue"]: self._lab.tap.registry.consuming(queue["queue"]) for queue in queues}
        return topology(queues, self.bindings(), self.exchanges(), consumers)

    def _listing(self, kind: str) -> list[dict]:
        self._lab.check_open()
        found = self._api.get(kind, self._lab.vhost)
        if found is None:
            raise self._gone()
        return sorted(found, key=lambda row: row.get("name", ""))

    def _gone(self) -> LabError:
        return BrokerUnavailable(
            f"The virtual host {self._lab.vhost!r} does not exist any more: the broker was restarted, or another "
            f"program deleted it. Run lab = rpclab.Lab({self._lab.name!r}) again, and the cells after it."
        )


def find(queues: Table, queue: str) -> dict | None:
    """Return the row of a queue in a table of queues, by its real name or the one for people."""
    return next((row for row in queues if queue in (row["name"], row["queue"])), None)
