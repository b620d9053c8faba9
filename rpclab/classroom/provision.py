"""Makes a class on a broker.

Each learner gets a pool of virtual hosts in advance. The alternative is a service that makes them on demand. It would
have to run, with an administrator's password, whenever a learner works. The learners are known in advance, and an
unused virtual host costs little.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from rpclab.broker.address import Broker
from rpclab.broker.management import Management
from rpclab.broker.tls import CA_VARIABLE
from rpclab.broker.vhosts import EVERYTHING, learner_vhosts
from rpclab.classroom import handout, roster
from rpclab.classroom.class_inventory import Ours, refuse_if_not_administrator, survey, tags
from rpclab.classroom.limits import Limits, account, set_limits
from rpclab.classroom.roster import Learner
from rpclab.classroom.several import each
from rpclab.errors import InvalidOption, LabError

LABS = 8
LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class Made:
    """What `create` has made and changed.

    Attributes
    ----------
    learners : list of Learner
        The whole class.
    changed : list of Learner
        Those for whom something was made or changed on the broker.
    sheet : Path
        The page to print.
    """

    learners: list[Learner]
    changed: list[Learner]
    sheet: Path


def create(
    broker: Broker, names: Sequence[str], file: Path, *, class_name: str = "", labs: int = LABS,
    limits: Limits | None = None, host: str = "",
) -> Made:
    """Make what a class needs and does not have; repeated, it changes nothing, and interrupted, it continues.

    Parameters
    ----------
    broker : Broker
        The broker, with an administrator's login.
    names : sequence of str
        The learners of the class. Learners who are in it already are not removed.
    file : Path
        The class's file. It is written first, so that it always has what was made.
    class_name : str
        Distinguishes classes on one broker; the users' names begin with it.
    labs : int
        How many labs a learner may have open at a time: each kernel has one, and one more while an exercise is checked.
    limits : Limits
        How much a learner may use.
    host : str
        The broker's machine, as learners reach it, if not as in ``RPCLAB_BROKER``.

    Raises
    ------
    AccessRefused
        If the broker's user is not an administrator, or is ``guest``.
    LabError
        If a user or virtual host exists that the class did not make; then nothing was changed.
    """
    roster.checked_class(class_name)
    if not 1 <= labs <= 100:
        raise InvalidOption(f"--labs {labs}: it is a number from 1 to 100.")
    with Management(broker) as api:
        refuse_if_not_administrator(broker, api)
        ours = survey(api, class_name)
        known = roster.read(file)
        learners = _addressed(roster.enrolled(known, names, class_name), broker, host or _host(known, broker))
        _refuse_what_is_not_ours(ours, learners, known, labs, file)
        page = file.with_suffix(".html")
        if learners != known:
            roster.write(file, learners)
        if learners != known or not page.exists():
            handout.write(page, learners, class_name, bool(broker.secure and os.environ.get(CA_VARIABLE)))
        maker = _Maker(api, ours, class_name, labs, limits or Limits())
        changed = each(maker.make, learners)
    return Made(learners, [learner for learner, done in zip(learners, changed, strict=True) if done], page)


class _Maker:
    """Makes what learners lack, one learner at a time, in several threads."""

    def __init__(self, api: Management, ours: Ours, class_name: str, labs: int, limits: Limits):
        self._api = api
        self._ours = ours
        self._tags = tags(class_name)
        self._labs = labs
        self._limits = limits

    def make(self, learner: Learner) -> bool:
        """Make what a learner lacks and return whether there was anything."""
        api, ours, user = self._api, self._ours, learner.user
        missing = user not in ours.users
        if missing:
            api.put("users", user, json=account(learner, self._tags))
        present = ours.user_limits[user]
        changed = [missing, set_limits(api, "user-limits", user, present, self._limits.of_user(present))]
        for vhost in learner_vhosts(user, self._labs):
            missing = vhost not in ours.vhosts
            if missing:
                api.put("vhosts", vhost, json={"description": learner.name, "tags": ",".join(self._tags)})
            present = ours.vhost_limits[vhost]
            changed += [missing, set_limits(api, "vhost-limits", vhost, present, self._limits.of_vhost(present))]
            if (user, vhost) not in ours.permitted:
                api.put("permissions", vhost, user, json=EVERYTHING)
                changed.append(True)
        return any(changed)


def on_this_machine(learner: Learner) -> bool:
    """Return whether a learner's URL leads only to a broker on the learner's own machine."""
    return urlsplit(learner.url).hostname in LOOPBACK


def _addressed(learners: Iterable[Learner], broker: Broker, host: str) -> list[Learner]:
    """Return learners with the URLs that lead to a broker."""
    parts, management = urlsplit(broker.url), urlsplit(broker.management_url)
    if host:
        host = f"[{host}]" if ":" in host else host
        port = f":{management.port}" if management.port else ""
        management = management._replace(netloc=f"{host}{port}")
    shown = host or (f"[{broker.host}]" if ":" in broker.host else broker.host)
    return [learner.at(parts.scheme, f"{shown}:{broker.port}", management.geturl()) for learner in learners]


def _host(known: Sequence[Learner], broker: Broker) -> str:
    """Return the host in learners' URLs of a broker on this machine; empty if none was given."""
    return (urlsplit(known[0].url).hostname or "") if known and broker.host in LOOPBACK else ""


def _refuse_what_is_not_ours(
    ours: Ours, learners: Sequence[Learner], known: Sequence[Learner], labs: int, file: Path
) -> None:
    taken = [name for one in learners for name in (one.user, *learner_vhosts(one.user, labs))]
    foreign = sorted(ours.foreign.intersection(taken))
    if foreign:
        raise LabError(
            f"The broker has {', '.join(foreign[:5])}{' and more' * (len(foreign) > 5)} already, which this class "
            "did not make. Nothing was changed. Use other names, or name the class (--class NAME), so that its users' "
            "names begin with that."
        )
    strangers = sorted(ours.users.intersection(one.user for one in learners[len(known):]))
    if strangers:
        raise LabError(
            f"The class has {', '.join(strangers[:5])}{' and more' * (len(strangers) > 5)} on the broker already, and "
            f"{file} does not have their passwords. Nothing was changed. Give the file that the class was made "
            "with as --out. Without it, `classroom remove` removes the class, and it can be made again."
        )
