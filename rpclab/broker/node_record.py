"""The recorded private nodes: how to reach each and how to end it."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass, field

import psutil

from rpclab.broker.address import Broker, answers_amqp
from rpclab.broker.node_files import PORTS, SHARED, USER, node_folder, records, title

STOP_SECONDS = 15


@dataclass(frozen=True)
class Node:
    """A private node that was started: how to reach it and how to stop it."""

    name: str
    pid: int
    started: float
    scripts: str
    password: str = field(repr=False)
    amqp_port: int
    management_port: int
    distribution_port: int
    epmd_port: int
    number: int = 0

    @property
    def title(self) -> str:
        """Its name for people: ``rpclab-1``."""
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
        """Return whether it is running and speaks AMQP."""
        return self.process() is not None and answers_amqp("127.0.0.1", self.amqp_port)

    def kill(self) -> None:
        """Kill it at once with SIGKILL; its data stays. Has no effect if it has ended."""
        process = self.process()
        if process:
            process.kill()
            psutil.wait_procs([process], timeout=STOP_SECONDS)

    def own_address(self, others: tuple[Broker, ...] = ()) -> Broker:
        """Return its address, without those of other nodes."""
        return Broker(
            url=f"amqp://{USER}:{self.password}@127.0.0.1:{self.amqp_port}",
            management_url=f"http://127.0.0.1:{self.management_port}",
            origin="private cluster" if self.number else "private node",
            node=self.name,
            others=others,
        )


def recorded(name: str = SHARED) -> list[Node]:
    """Return the nodes of a private broker as recorded at their start; each may have ended since."""
    nodes = []
    for record in records(node_folder(name)):
        with suppress(FileNotFoundError, ValueError, TypeError):
            nodes.append(Node(**json.loads(record.read_text())))
    return sorted(nodes, key=lambda node: node.number)
