"""The nodes that were started: what it takes to reach each and to end it, read from the record that each left."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass

import psutil

from rpclab.broker.address import Broker, answers_amqp
from rpclab.broker.node_files import PORTS, SHARED, USER, node_folder, title

STOP_SECONDS = 15


@dataclass(frozen=True)
class Node:
    """A private node that was started; what it takes to reach it and to stop it."""

    name: str
    pid: int
    started: float
    scripts: str
    password: str
    amqp_port: int
    management_port: int
    distribution_port: int
    epmd_port: int
    number: int = 0

    @property
    def title(self) -> str:
        """What people call it: ``rpclab-1``."""
        return title(self.number)

    @property
    def ports(self) -> dict[str, int]:
        """All of its ports by name."""
        return {port: getattr(self, port) for port in (*PORTS, "epmd_port")}

    @property
    def broker(self) -> Broker:
        """The address of this node, with those of the others of its cluster."""
        others = [node for node in recorded(self.name) if node.number != self.number] if self.number else ()
        return self.own_address(tuple(node.own_address() for node in others))

    def process(self) -> psutil.Process | None:
        """Return the node's process, or None if it has ended (a later process may have its pid)."""
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.started) < 2 and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return None
        return process if same else None

    def answers(self) -> bool:
        """Tell whether it is up and speaks AMQP."""
        return self.process() is not None and answers_amqp("127.0.0.1", self.amqp_port)

    def kill(self) -> None:
        """End it at once with SIGKILL, whatever it is doing; its data stays. Does nothing to one that has ended."""
        process = self.process()
        if process:
            process.kill()
            psutil.wait_procs([process], timeout=STOP_SECONDS)

    def own_address(self, others: tuple[Broker, ...] = ()) -> Broker:
        """Return its address, without looking whether there are others."""
        return Broker(
            url=f"amqp://{USER}:{self.password}@127.0.0.1:{self.amqp_port}",
            management_url=f"http://127.0.0.1:{self.management_port}",
            origin="private cluster" if self.number else "private node",
            node=self.name,
            others=others,
        )


def recorded(name: str = SHARED) -> list[Node]:
    """Return the nodes of a private broker as they were recorded when they were started; each may have ended since."""
    nodes = []
    for record in [node_folder(name) / "node.json", *node_folder(name).glob("*/node.json")]:
        with suppress(FileNotFoundError, ValueError, TypeError):
            nodes.append(Node(**json.loads(record.read_text())))
    return sorted(nodes, key=lambda node: node.number)
