"""A lab's virtual host: a new one, or, for a user who may not make any, a free one of the user's.

An administrator's lab makes a virtual host of its name and deletes it at the end. A learner in a class is not an
administrator: the teacher made some virtual hosts in advance (`rpclab.classroom`), and a lab takes one of them, empties
it, and leaves it empty.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import suppress

from filelock import FileLock, Timeout

from rpclab.broker.management import LIVE, Management
from rpclab.broker.paths import state_folder
from rpclab.errors import AccessRefused, BrokerUnavailable, CommandFailed, LabError, VhostNotOurs

LAB_TAG = "rpclab"
CLASSROOM_TAG = "rpclab-classroom"
EVERYTHING = {"configure": ".*", "write": ".*", "read": ".*"}
SAME_LAB_TWICE = 20
EMPTY_SECONDS = 15.0
START_SECONDS = 15.0
POLL_SECONDS = 0.05


class LabVhost:
    """An empty virtual host that no other lab on this machine uses; release it at the end.

    Parameters
    ----------
    api : Management
        The broker's HTTP API; it must stay open until `clear` has been called.
    username : str
        The user as whom the lab connects.
    lab : str
        The lab's name.

    Attributes
    ----------
    name : str
        The virtual host's name.

    Raises
    ------
    VhostNotOurs
        If a virtual host of the lab's name exists that rpclab did not make.
    AccessRefused
        If the user may not make virtual hosts, and has none of a class.
    LabError
        If all of the user's virtual hosts are in use.
    """

    def __init__(self, api: Management, username: str, lab: str):
        self._api = api
        self._made = "administrator" in api.fetch("whoami")["tags"]
        if self._made:
            self.name, self._lock = free_name(lab)
        else:
            names = _pool(api, username)
            all_taken = f"{len(names)} of your labs are open, which is the limit. Shut down a kernel that uses one."
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
        """Delete the virtual host, or empty it if it is one of a class; do nothing if the broker has stopped."""
        if self._made:
            with suppress(BrokerUnavailable):
                self._api.delete("vhosts", self.name)
        else:
            # The lab that takes it next empties it again, and raises an error if it cannot.
            with suppress(LabError):
                empty(self._api, self.name)

    def release(self) -> None:
        """Release it for other labs."""
        self._lock.release()


def free_name(lab: str, prefix: str = "") -> tuple[str, FileLock]:
    """Return a name for what a lab has to itself, such as ``publishing`` or ``publishing-2``, and the lock on it.

    No other process can get it until the lock is released, or this process has ended.

    Raises
    ------
    LabError
        If all that there may be are in use.
    """
    names = [f"{prefix}{lab}", *(f"{prefix}{lab}-{number}" for number in range(2, SAME_LAB_TWICE + 1))]
    return _first_free(names, f"The lab {lab!r} is open {SAME_LAB_TWICE} times already. Shut down some of its kernels.")


def learner_vhosts(username: str, count: int) -> list[str]:
    """Return the names of a learner's virtual hosts."""
    return [f"{username}.{number}" for number in range(1, count + 1)]


def learner_of(vhost: str) -> str:
    """Return the user for whom a virtual host of a class was made."""
    return vhost.rpartition(".")[0]


def empty(api: Management, vhost: str) -> None:
    """Close a virtual host's connections and delete its queues, exchanges and bindings; policies stay.

    Raises
    ------
    LabError
        If another program keeps using it, so that it cannot be emptied.
    """
    deadline = time.monotonic() + EMPTY_SECONDS
    while not _emptied(api, vhost):
        # A connection is listed just after it opens, and its exclusive queues are deleted just after it closes.
        if time.monotonic() > deadline:
            raise LabError(
                f"Could not empty the virtual host {vhost!r}: another program keeps using it, perhaps on another "
                "machine. Stop that program, and open the lab again."
            )
        time.sleep(POLL_SECONDS)


def _first_free(names: Iterable[str], all_taken: str) -> tuple[str, FileLock]:
    """Return the first of some names that no running process uses, and the lock that reserves it."""
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
                f"The broker has a virtual host {vhost!r} that rpclab did not make, and a lab empties its own. "
                "Choose another name for the lab."
            )
        api.delete("vhosts", vhost)
    api.put("vhosts", vhost, json={"description": f"rpclab: {lab}", "tags": LAB_TAG})
    api.put("permissions", vhost, username, json=EVERYTHING)
    _start_everywhere(api, vhost)


def _start_everywhere(api: Management, vhost: str) -> None:
    """Wait until a virtual host runs on each node of a cluster; a busy node may fail to start it by itself."""
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
    # A node that has just opened its listeners does not count itself yet; without nodes this is an empty list.
    return dict(api.fetch("vhosts", vhost)["cluster_state"])


def _pool(api: Management, username: str) -> list[str]:
    pool = [
        vhost["name"] for vhost in api.fetch("vhosts")
        if CLASSROOM_TAG in vhost.get("tags", ()) and learner_of(vhost["name"]) == username
    ]
    if not pool:
        raise AccessRefused(
            f"User {username!r} may not make virtual hosts on this broker, and has none of a class. The "
            "broker's administrator can make some for you, see `python -m rpclab classroom create --help`, or give the "
            "user the tag `administrator`."
        )
    return sorted(pool, key=lambda name: int(name.rpartition(".")[2]))


def _emptied(api: Management, vhost: str) -> bool:
    """Delete what can be deleted now, and return whether nothing was refused."""
    refused = [path for path in _contents(api, vhost) if not _deleted(api, path)]
    return not refused


def _contents(api: Management, vhost: str) -> Iterator[tuple[str, ...]]:
    """Yield the paths of what is to be deleted; each kind is listed when all before it has been deleted."""
    for connection in api.get("vhosts", vhost, "connections") or ():
        yield "connections", connection["name"]
    for queue in api.get("queues", vhost, **LIVE) or ():
        yield "queues", vhost, queue["name"]
    for exchange in api.get("exchanges", vhost) or ():
        if not _is_built_in(exchange["name"]):
            yield "exchanges", vhost, exchange["name"]
    for binding in api.get("bindings", vhost) or ():
        if binding["destination_type"] == "exchange":
            yield "bindings", vhost, "e", binding["source"], "e", binding["destination"], binding["properties_key"]


def _deleted(api: Management, path: tuple[str, ...]) -> bool:
    """Return whether it is gone; the broker refuses an exclusive queue, and a connection that is just closing."""
    try:
        api.delete(*path)
    except CommandFailed:
        return False
    return True


def _is_built_in(exchange: str) -> bool:
    return not exchange or exchange.startswith("amq.")
