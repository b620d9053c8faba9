"""What is made for a learner, in pieces: the account, and how much of the broker it may use.

Limits of virtual hosts and users: https://www.rabbitmq.com/docs/vhosts#limits, https://www.rabbitmq.com/docs/user-limits.
"""

from __future__ import annotations

from dataclasses import dataclass

from rpclab.broker.management import Management
from rpclab.classroom.roster import Learner
from rpclab.errors import InvalidOption

CHANNELS_PER_CONNECTION = 5


@dataclass(frozen=True)
class Limits:
    """How much of the broker one learner may use; None for what there is already, or the usual.

    Attributes
    ----------
    connections : int
        Open connections of a learner, in all labs together.
    queues : int
        Queues in one lab.
    """

    connections: int | None = None
    queues: int | None = None

    def __post_init__(self):
        for name in ("connections", "queues"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InvalidOption(f"--{name} {value}: it is a number, 1 or more.")

    def of_vhost(self, present: dict) -> dict[str, int]:
        """Return the limits that a virtual host shall have, given those it has."""
        return {
            "max-connections": self.connections or present.get("max-connections", USUAL.connections),
            "max-queues": self.queues or present.get("max-queues", USUAL.queues),
        }

    def of_user(self, present: dict) -> dict[str, int]:
        """Return the limits that a user shall have, given those it has."""
        connections = self.connections or present.get("max-connections", USUAL.connections)
        return {"max-connections": connections, "max-channels": CHANNELS_PER_CONNECTION * connections}


USUAL = Limits(connections=100, queues=100)


def account(learner: Learner, marks: list[str]) -> dict[str, str]:
    """Return what the HTTP API has to be told to make a learner's user."""
    # `management` lets the user ask the HTTP API about virtual hosts of their own; the other tags say whose it is.
    return {"password": learner.password, "tags": ",".join(["management", *marks])}


def set_limits(api: Management, kind: str, name: str, present: dict, wanted: dict[str, int]) -> bool:
    """Set those limits that differ, and tell whether any did."""
    different = {limit: value for limit, value in wanted.items() if present.get(limit) != value}
    for limit, value in different.items():
        api.put(kind, name, limit, json={"value": value})
    return bool(different)
