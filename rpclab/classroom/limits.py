"""A learner's account, and how much of the broker it may use.

Limits of virtual hosts and users: https://www.rabbitmq.com/docs/vhosts#limits, https://www.rabbitmq.com/docs/user-limits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rpclab.broker.management import Management
from rpclab.classroom.roster import Learner
from rpclab.errors import InvalidOption

CHANNELS_PER_CONNECTION = 5
# Connections of a learner, and queues in one lab.
USUAL = 100


@dataclass(frozen=True)
class Limits:
    """How much of the broker one learner may use; None for the current limit, or the default.

    Attributes
    ----------
    connections : int
        Open connections of a learner, in all labs together.
    queues : int
        Queues in one lab.
    """

    connections: int | None = None
    queues: int | None = None

    def __post_init__(self) -> None:
        for name in ("connections", "queues"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InvalidOption(f"--{name} {value}: it is a number, 1 or more.")

    def of_vhost(self, present: Mapping[str, int]) -> dict[str, int]:
        """Return the limits that a virtual host should have, given those it has."""
        return {
            "max-connections": self.connections or present.get("max-connections", USUAL),
            "max-queues": self.queues or present.get("max-queues", USUAL),
        }

    def of_user(self, present: Mapping[str, int]) -> dict[str, int]:
        """Return the limits that a user should have, given those it has."""
        connections = self.connections or present.get("max-connections", USUAL)
        return {"max-connections": connections, "max-channels": CHANNELS_PER_CONNECTION * connections}


def account(learner: Learner, marks: list[str]) -> dict[str, str]:
    """Return the HTTP API's request body for a learner's user."""
    # `management` lets the user read their own virtual hosts over the HTTP API; the other tags name the class.
    return {"password": learner.password, "tags": ",".join(["management", *marks])}


def set_limits(api: Management, kind: str, name: str, present: Mapping[str, int], wanted: Mapping[str, int]) -> bool:
    """Set those limits that differ, and return whether any did."""
    different = {limit: value for limit, value in wanted.items() if present.get(limit) != value}
    for limit, value in different.items():
        api.put(kind, name, limit, json={"value": value})
    return bool(different)
