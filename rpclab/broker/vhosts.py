"""The virtual host that a lab has for itself: made for it, or where one may make none, a free one of those one has.

An administrator's lab makes a virtual host of its name and deletes it in the end. A learner in a class is no
administrator: the teacher made some virtual hosts in advance (`rpclab.classroom`), and a lab takes one of them, empties
it, and leaves it empty.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import suppress

from filelock import FileLock, Timeout

from rpclab.broker.management import LIVE, Management
from rpclab.broker.state import state_folder
from rpclab.errors import AccessRefused, BrokerUnavailable, CommandFailed, LabError, VhostNotOurs

LAB_TAG = "rpclab"
CLASSROOM_TAG = "rpclab-classroom"
EVERYTHING = {"configure": ".*", "write": ".*", "read": ".*"}
SAME_LAB_TWICE = 20
EMPTY_SECONDS = 15.0
START_SECONDS = 15.0
POLL_SECONDS = 0.05


class LabVhost:
    """A virtual host that no other lab on this machine uses, empty; to be released in the end.

    Parameters
    ----------
    api : Management
        The broker's HTTP API; it has to stay open until `clear` has been called.
    username : str
        As whom the lab connects.
    lab : str
        The lab's name.

    Attributes
    ----------
    name : str
        The virtual host's name.

    Raises
    ------
    VhostNotOurs
        If a virtual host of the lab's name exists which no lab has made.
    AccessRefused
        If the user can neither make virtual hosts nor has any of a class.
    LabError
        If all that there may be are in use.
    """

    def __init__(self, api: Management, username: str, lab: str):
        self._api = api
        self._made = "administrator" in api.get("whoami")["tags"]
        if self._made:
            names = [lab, *(f"{lab}-{number}" for number in range(2, SAME_LAB_TWICE + 1))]
            all_taken = f"The lab {lab!r} is open {SAME_LAB_TWICE} times already. Shut down some of its kernels."
        else:
            names = _pool(api, username)
            all_taken = f"{len(names)} labs of yours are open, and there are no more. Shut down a kernel that has one."
        self.name, self._lock = _first_free(names, all_taken)
        try:
            if self._made:
                _make_empty(api, self.name, username, lab)
            else:
                empty(api, self.name)
        except BaseException:
            self.release()
            raise

    def clear(self) -> None:
        """Delete the virtual host, or empty it if it is one of a class; not if the broker has gone."""
        if self._made:
            with suppress(BrokerUnavailable):
                self._api.delete("vhosts", self.name)
        else:
            # Whoever takes it next empties it again, and is told if that cannot be done.
            with suppress(LabError):
                empty(self._api, self.name)

    def release(self) -> None:
        """Let other labs have it."""
        self._lock.release()


def learner_vhosts(username: str, count: int) -> list[str]:
    """Return the names of the virtual hosts that are made for a learner."""
    return [f"{username}.{number}" for number in range(1, count + 1)]


def learner_of(vhost: str) -> str:
    """Return the user for whom a virtual host of a class was made."""
    return vhost.rpartition(".")[0]


def empty(api: Management, vhost: str) -> None:
    """Close a virtual host's connections and delete its queues, exchanges and bindings; policies stay.

    Raises
    ------
    LabError
        If somebody goes on to use it, so that it does not get empty.
    """
    deadline = time.monotonic() + EMPTY_SECONDS
    while not _emptied(api, vhost):
        # A connection is listed a moment after it was opened, and its exclusive queues go a moment after it was closed.
        if time.monotonic() > deadline:
            raise LabError(
                f"The virtual host {vhost!r} does not get empty: a program goes on to use it, perhaps on another "
                "machine. Stop that program, and open the lab again."
            )
        time.sleep(POLL_SECONDS)


def _first_free(names: Iterable[str], all_taken: str) -> tuple[str, FileLock]:
    """Return the first of some virtual hosts that no running process uses, and the lock that keeps it so."""
    folder = state_folder() / "labs"
    folder.mkdir(mode=0o700, exist_ok=True)
    for name in names:
        lock = FileLock(folder / f"{name}.lock")
        with suppress(Timeout):
            lock.acquire(timeout=0)
            return name, lock
    raise LabError(all_taken)


def _make_empty(api: Management, vhost: str, username: str, lab: str) -> None:
    there = api.get("vhosts", vhost)
    if there is not None:
        if LAB_TAG not in there.get("tags", ()):
            raise VhostNotOurs(
                f"The broker has a virtual host {vhost!r} that no lab has made, and a lab empties its own. "
                "Choose another name for the lab."
            )
        api.delete("vhosts", vhost)
    api.put("vhosts", vhost, json={"description": f"rpclab: {lab}", "tags": LAB_TAG})
    api.put("permissions", vhost, username, json=EVERYTHING)
    _start_everywhere(api, vhost)


def _start_everywhere(api: Management, vhost: str) -> None:
    """Wait until a virtual host runs on each node of a cluster; one that is busy may fail to start it by itself."""
    deadline = time.monotonic() + START_SECONDS
    while set((states := _states(api, vhost)).values()) != {"running"}:
        down = [node for node, state in states.items() if state != "running"]
        if time.monotonic() > deadline:
            where = ", ".join(down) or "any node"
            raise LabError(f"The virtual host {vhost!r} does not start on {where}. Look at that node's log.")
        for node in down:
            api.post("vhosts", vhost, "start", node)
        time.sleep(POLL_SECONDS)


def _states(api: Management, vhost: str) -> dict[str, str]:
    # A node that has just opened its listeners does not count itself yet; no node is an empty list here, no object.
    return dict(api.get("vhosts", vhost)["cluster_state"])


def _pool(api: Management, username: str) -> list[str]:
    pool = [
        vhost["name"] for vhost in api.get("vhosts")
        if CLASSROOM_TAG in vhost.get("tags", ()) and learner_of(vhost["name"]) == username
    ]
    if not pool:
        raise AccessRefused(
            f"User {username!r} may not make virtual hosts on this broker, and has none of a class. Whoever "
            "administers the broker can make some for you, see `python -m rpclab classroom create --help`, or give the "
            "user the tag `administrator`."
        )
    return sorted(pool, key=lambda name: int(name.rpartition(".")[2]))


def _emptied(api: Management, vhost: str) -> bool:
    """Delete what can be deleted now, and tell whether all is gone."""
    for connection in api.get("vhosts", vhost, "connections") or ():
        api.delete("connections", connection["name"])
    left = False
    for queue in api.get("queues", vhost, **LIVE) or ():
        try:
            api.delete("queues", vhost, queue["name"])
        except CommandFailed:  # it is exclusive to a connection that is still there, and goes with it
            left = True
    for exchange in api.get("exchanges", vhost) or ():
        if not _is_built_in(exchange["name"]):
            api.delete("exchanges", vhost, exchange["name"])
    for binding in api.get("bindings", vhost) or ():
        if binding["destination_type"] == "exchange":
            ends = ("e", binding["source"], "e", binding["destination"])
            api.delete("bindings", vhost, *ends, binding["properties_key"])
    return not left


def _is_built_in(exchange: str) -> bool:
    return not exchange or exchange.startswith("amq.")
