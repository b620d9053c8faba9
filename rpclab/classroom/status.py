"""Which learners of a class are connected, to which lesson, and when each was last active.

Three requests are enough for the whole class. Queues and messages are counted now; the broker's statistics of
connections and traffic are up to five seconds old.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable
from datetime import timedelta
from itertools import pairwise

from rpclab.broker.address import LAB_PROPERTY, Broker
from rpclab.broker.management import LIVE, Management
from rpclab.broker.vhosts import learner_of
from rpclab.classroom.class_inventory import class_of
from rpclab.errors import AccessRefused, LabError
from rpclab.table import Table

COLUMNS = ("learner", "connections", "lesson", "queues", "messages", "last activity")
# The broker keeps detailed traffic of some minutes, that of the last hour by the minute, that of the last day by the
# half hour. A connection that is open for less than five seconds leaves no trace.
HISTORIES = ((600, 10), (3600, 60), (86400, 1800))
# What happened within this time counts as now: the numbers come every five seconds.
NOW_SECONDS = 15
NOW = "now"


class ClassStatus:
    """A class as it is now, read repeatedly; a context manager. It belongs to one thread.

    Parameters
    ----------
    broker : Broker
        The broker, with the login of a user with the tag ``administrator`` or ``monitoring``.
    class_name : str
        The class; by default the one without a name.
    clock : callable
        Returns the time in seconds since 1970.
    """

    def __init__(self, broker: Broker, class_name: str = "", *, clock: Callable[[], float] = time.time):
        self._api = Management(broker)
        self._broker = broker
        self._class = class_name
        self._clock = clock
        self._received: dict[str, int] | None = None
        self._active: dict[str, float] = {}

    def ask(self) -> Table:
        """Return a row for each learner, in the order of their names.

        Raises
        ------
        BrokerUnavailable
            If the broker does not answer.
        AccessRefused
            If the user may not see other users' virtual hosts.
        LabError
            If there is no such class.
        """
        names = self._learners()
        connections = self._api.fetch("connections", columns="user,vhost,client_properties")
        counts: Counter[str] = Counter()
        labs: defaultdict[str, set[str]] = defaultdict(set)
        for connection in connections:
            # A connection that is opening or closing has only a name.
            user = connection.get("user")
            if self._is_ours(connection.get("vhost")) and learner_of(connection["vhost"]) == user:
                counts[user] += 1
                if lab := connection.get("client_properties", {}).get(LAB_PROPERTY):
                    labs[user].add(lab)
        queues: Counter[str] = Counter()
        messages: Counter[str] = Counter()
        for queue in self._api.fetch("queues", **LIVE):
            if self._is_ours(queue["vhost"]):
                user = learner_of(queue["vhost"])
                queues[user] += 1
                messages[user] += queue.get("messages", 0)
        rows = [
            {
                "learner": shown,
                "user": user,
                "connections": counts[user],
                "lesson": ", ".join(sorted(labs[user])) or None,
                "queues": queues[user],
                "messages": messages[user],
                "last activity": self._said(user),
            }
            for user, shown in names.items()
        ]
        return Table(COLUMNS, rows, empty="(no learners)")

    def close(self) -> None:
        """Close the connection to the API; calling it again has no effect."""
        self._api.close()

    def __enter__(self) -> ClassStatus:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def _learners(self) -> dict[str, str]:
        """Return each user's name in the table, and record who was active."""
        found = self._api.fetch("vhosts", columns="name,tags,description,recv_oct")
        vhosts = [each for each in found if class_of(each.get("tags", ())) == self._class]
        if not vhosts:
            self._explain_nothing(found)
        names = {learner_of(each["name"]): each.get("description", "") for each in vhosts}
        self._note_activity({each["name"]: each.get("recv_oct", 0) for each in vhosts})
        twice = Counter(names.values())
        shown = {user: name if twice[name] == 1 else f"{name} ({user})" for user, name in names.items()}
        return dict(sorted(shown.items(), key=lambda item: (item[1].casefold(), item[0])))

    def _is_ours(self, vhost: str | None) -> bool:
        return vhost in (self._received or ())

    def _explain_nothing(self, found: list[dict]) -> None:
        if not {"administrator", "monitoring"} & set(self._api.fetch("whoami")["tags"]):
            raise AccessRefused(
                f"User {self._broker.username!r} sees no virtual hosts but its own. Set RPCLAB_BROKER to a user with "
                "the tag `administrator` or `monitoring`."
            )
        named = sorted({class_of(each.get("tags", ())) or "" for each in found} - {""})
        there = f" Classes there: {', '.join(named)}." if named else " `python -m rpclab classroom create` makes one."
        what = f"class {self._class!r}" if self._class else "class without a name"
        raise LabError(f"There is no {what} on the broker at {self._broker.host}.{there}")

    def _note_activity(self, received: dict[str, int]) -> None:
        now = self._clock()
        if self._received is None:
            for age, step in HISTORIES:
                self._note_history(set(received), age, step)
        else:
            for vhost, octets in received.items():
                if octets != self._received.get(vhost, 0):
                    self._note(vhost, now)
        self._received = received

    def _note_history(self, vhosts: set[str], age: int, step: int) -> None:
        """Record when clients last sent something, from the samples that the broker keeps."""
        query = {"data_rates_age": str(age), "data_rates_incr": str(step), "columns": "name,recv_oct_details"}
        for vhost in self._api.fetch("vhosts", **query):
            samples = vhost.get("recv_oct_details", {}).get("samples", ()) if vhost["name"] in vhosts else ()
            for newer, older in pairwise(samples):
                if newer["sample"] != older["sample"]:
                    self._note(vhost["name"], newer["timestamp"] / 1000)
                    break

    def _note(self, vhost: str, when: float) -> None:
        user = learner_of(vhost)
        self._active[user] = max(when, self._active.get(user, 0))

    def _said(self, user: str) -> str:
        if user not in self._active:
            return "not today"
        seconds = max(0, self._clock() - self._active[user])
        if seconds < NOW_SECONDS:
            return NOW
        minutes = round(timedelta(seconds=seconds) / timedelta(minutes=1))
        return f"{max(1, minutes)} min ago" if minutes < 60 else f"{round(minutes / 60)} h ago"
