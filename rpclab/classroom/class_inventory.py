"""A class on a broker: the users and virtual hosts with the class's tag, and no others."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from rpclab.broker.address import Broker
from rpclab.broker.management import Management
from rpclab.broker.vhosts import CLASSROOM_TAG, learner_of
from rpclab.classroom.roster import GUEST
from rpclab.errors import AccessRefused, LabError

CLASS_TAG = "rpclab-class-"
VHOST_COLUMNS = "name,tags,description"


@dataclass
class Ours:
    """The users and virtual hosts of one class, as the broker has them.

    Attributes
    ----------
    users : set of str
        The class's users.
    vhosts : dict of str to str
        The class's virtual hosts, and the name of each one's learner.
    permitted : set of tuple
        Users and the virtual hosts that they may use.
    vhost_limits, user_limits : dict
        The limits of each virtual host and user.
    foreign : set of str
        The names of all users and virtual hosts that are not the class's.
    classes : set of str
        The names of all classes on the broker.
    """

    users: set[str] = field(default_factory=set)
    vhosts: dict[str, str] = field(default_factory=dict)
    permitted: set[tuple[str, str]] = field(default_factory=set)
    vhost_limits: dict[str, dict] = field(default_factory=lambda: defaultdict(dict))
    user_limits: dict[str, dict] = field(default_factory=lambda: defaultdict(dict))
    foreign: set[str] = field(default_factory=set)
    classes: set[str] = field(default_factory=set)

    def of(self, user: str) -> list[str]:
        """Return the virtual hosts that were made for a user."""
        return sorted(vhost for vhost in self.vhosts if learner_of(vhost) == user)

    @property
    def learners(self) -> set[str]:
        """The users, and those whose removal was interrupted and left virtual hosts."""
        return self.users | {learner_of(vhost) for vhost in self.vhosts}


def tags(class_name: str) -> list[str]:
    """Return the tags of what is made for a class."""
    return [CLASSROOM_TAG, *([CLASS_TAG + class_name] if class_name else [])]


def class_of(found: Iterable[str]) -> str | None:
    """Return the class of a user or virtual host with these tags, or None."""
    found = list(found)
    if CLASSROOM_TAG not in found:
        return None
    return next((tag.removeprefix(CLASS_TAG) for tag in found if tag.startswith(CLASS_TAG)), "")


def survey(api: Management, class_name: str) -> Ours:
    """Return what the broker has of a class."""
    ours = Ours()
    for user in api.fetch("users"):
        made_for = class_of(user["tags"])
        (ours.users if made_for == class_name else ours.foreign).add(user["name"])
        if made_for is not None:
            ours.classes.add(made_for)
    for vhost in api.fetch("vhosts", columns=VHOST_COLUMNS):
        made_for = class_of(vhost.get("tags", ()))
        if made_for == class_name:
            ours.vhosts[vhost["name"]] = vhost.get("description", "")
        else:
            ours.foreign.add(vhost["name"])
        if made_for is not None:
            ours.classes.add(made_for)
    ours.permitted = {(each["user"], each["vhost"]) for each in api.fetch("permissions")}
    ours.vhost_limits.update({each["vhost"]: each["value"] for each in api.fetch("vhost-limits")})
    ours.user_limits.update({each["user"]: each["value"] for each in api.fetch("user-limits")})
    return ours


def refuse_if_not_administrator(broker: Broker, api: Management) -> None:
    """Raise an error unless the teacher's login may make users, and is not the default user.

    Raises
    ------
    AccessRefused
        With what to do instead.
    """
    if broker.username == GUEST:
        raise AccessRefused(
            "The user `guest` may not make a class: its password is well known. Make an administrator: "
            "rabbitmqctl add_user NAME, rabbitmqctl set_user_tags NAME administrator, and set RPCLAB_BROKER to it."
        )
    if "administrator" not in api.fetch("whoami")["tags"]:
        raise AccessRefused(
            f"User {broker.username!r} does not administer the broker at {broker.host}, so it cannot manage a "
            "class there. Set RPCLAB_BROKER to a user with the tag `administrator`."
        )


def find_learner(ours: Ours, who: str) -> str:
    """Return the user with a user's or learner's name.

    Raises
    ------
    LabError
        If there is none, or more than one.
    """
    if who in ours.learners:
        return who
    users = sorted({learner_of(vhost) for vhost, name in ours.vhosts.items() if name == who})
    if len(users) == 1:
        return users[0]
    if users:
        raise LabError(f"{len(users)} learners have the name {who!r}. Give the user's name: {', '.join(users)}.")
    known = ", ".join(sorted(ours.learners)) or "none"
    raise LabError(f"There is no learner {who!r} in this class. Its learners: {known}.{other_classes(ours)}")


def other_classes(ours: Ours) -> str:
    """Return which named classes exist."""
    named = sorted(ours.classes - {""})
    return f" Classes on this broker: {', '.join(named)}; choose one with --class." if named else ""
