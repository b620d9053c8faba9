"""Manages a class: empties a learner's labs, gives a new password, and removes the class."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from rpclab.broker.address import Broker
from rpclab.broker.management import Management
from rpclab.broker.tls import CA_VARIABLE
from rpclab.broker.vhosts import EVERYTHING
from rpclab.classroom import handout, roster
from rpclab.classroom.class_inventory import (
    Ours,
    find_learner,
    other_classes,
    refuse_if_not_administrator,
    survey,
    tags,
)
from rpclab.classroom.limits import Limits, account, set_limits
from rpclab.classroom.roster import Learner
from rpclab.classroom.several import each
from rpclab.errors import LabError


def reset(broker: Broker, who: str, *, class_name: str = "", file: Path | None = None) -> Learner:
    """Close a learner's connections and empty all labs; with a class's file, also give a new password.

    Parameters
    ----------
    broker : Broker
        The broker, with an administrator's login.
    who : str
        The learner's or the user's name.
    class_name : str
        The class.
    file : Path, optional
        The class's file, which gets the new password.

    Returns
    -------
    Learner
        With an empty password if it did not change.
    """
    with Management(broker) as api:
        refuse_if_not_administrator(broker, api)
        ours = survey(api, class_name)
        user = find_learner(ours, who)
        learner = _with_new_password(api, file, user, class_name) if file else Learner(who, user, "")
        each(lambda vhost: _remake(api, ours, vhost, user, class_name), ours.of(user))
    return learner


def remove(broker: Broker, *, class_name: str = "", agreed: Callable[[Ours], bool] = lambda ours: True) -> Ours | None:
    """Remove a class's users and virtual hosts with their contents, and nothing else.

    Parameters
    ----------
    broker : Broker
        The broker, with an administrator's login.
    class_name : str
        The class.
    agreed : callable
        Takes what would be removed and returns whether to remove it.

    Returns
    -------
    Ours or None
        What was removed, or None if ``agreed`` returned False.
    """
    with Management(broker) as api:
        refuse_if_not_administrator(broker, api)
        ours = survey(api, class_name)
        if not ours.learners:
            raise LabError(f"There is no such class on {broker.host}.{other_classes(ours)}")
        if not agreed(ours):
            return None
        # Users first, so that no client reconnects; their connections end with the virtual hosts.
        each(lambda user: api.delete("users", user), sorted(ours.users))
        each(lambda vhost: api.delete("vhosts", vhost), sorted(ours.vhosts))
    return ours


def _remake(api: Management, ours: Ours, vhost: str, user: str, class_name: str) -> None:
    """Delete a virtual host and make it again: that also closes its connections, and deletes what cannot be listed."""
    api.delete("vhosts", vhost)
    api.put("vhosts", vhost, json={"description": ours.vhosts[vhost], "tags": ",".join(tags(class_name))})
    set_limits(api, "vhost-limits", vhost, {}, Limits().of_vhost(ours.vhost_limits[vhost]))
    api.put("permissions", vhost, user, json=EVERYTHING)


def _with_new_password(api: Management, file: Path, user: str, class_name: str) -> Learner:
    learners = roster.read(file)
    old = next((learner for learner in learners if learner.user == user), None)
    if old is None:
        raise LabError(f"User {user!r} is not in {file}. Give the class's file with --out.")
    password = roster.new_password()
    new = replace(old, password=password, url=old.url.replace(f":{old.password}@", f":{password}@"))
    learners[learners.index(old)] = new
    roster.write(file, learners)
    handout.write(file.with_suffix(".html"), learners, class_name, bool(os.environ.get(CA_VARIABLE)))
    api.put("users", user, json=account(new, tags(class_name)))
    return new
