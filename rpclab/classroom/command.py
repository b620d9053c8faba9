"""``python -m rpclab classroom``: a class on one broker, from a terminal.

Imports that only these commands need come late, so that the others start quickly.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from rpclab.broker.find import find
from rpclab.errors import BrokerUnavailable, InvalidOption

if TYPE_CHECKING:
    from rpclab.classroom.class_inventory import Ours

WATCH_SECONDS = 2.0
CLEAR_SCREEN = "\x1b[H\x1b[2J"
PURPOSE = "make, watch, empty and remove a class on a broker that you administer (RPCLAB_BROKER)"
CREATE = """make a user and some virtual hosts for each learner; write their passwords into FILE, and a page to print
beside it. Run it again with the same FILE to continue after an interruption, to add learners, or to change limits; what
exists stays."""


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Add the command and its own commands to those of ``python -m rpclab``."""
    classroom = commands.add_parser("classroom", help=PURPOSE, description=PURPOSE)
    actions = classroom.add_subparsers(dest="action", required=True, metavar="ACTION")

    def action(
        name: str, run: Callable[[argparse.Namespace], int | None], help: str, description: str = ""
    ) -> argparse.ArgumentParser:
        added = actions.add_parser(name, help=help, description=description or help)
        added.set_defaults(run=run)
        added.add_argument(
            "--class", dest="class_name", default="", metavar="NAME",
            help="the class, if the broker has several; its users' names begin with this",
        )
        return added

    create = action("create", _create, "make a user and virtual hosts for each learner, or continue", CREATE)
    create.add_argument("--students", type=int, metavar="N", help="how many learners")
    create.add_argument("--names", type=Path, metavar="FILE", help="a text file with their names, one a line")
    create.add_argument("--out", type=Path, required=True, metavar="FILE", help="the class's file (CSV), kept private")
    create.add_argument("--host", default="", metavar="NAME", help="the broker's machine, as learners reach it")
    create.add_argument("--labs", type=int, metavar="N", help="labs that a learner can have open at a time (8)")
    create.add_argument("--connections", type=int, metavar="N", help="connections that a learner can have open (100)")
    create.add_argument("--queues", type=int, metavar="N", help="queues that there can be in one lab (100)")

    status = action("status", _status, "show who is connected, to which lesson, and when each was last active")
    status.add_argument("--watch", action="store_true", help="again every two seconds, until Ctrl-C")

    reset = action("reset", _reset, "close a learner's connections and empty all their labs")
    reset.add_argument("learner", metavar="NAME", help="the learner's or the user's name")
    reset.add_argument("--password", action="store_true", help="also give a new password, and write it to --out")
    reset.add_argument("--out", type=Path, metavar="FILE", help="the class's file")

    remove = action("remove", _remove, "remove the class's users and virtual hosts with their contents")
    remove.add_argument("--yes", action="store_true", help="do not ask first")


def _create(asked: argparse.Namespace) -> None:
    from rpclab.classroom import provision, roster
    from rpclab.classroom.limits import Limits

    names = roster.names(asked.names, asked.students)
    limits = Limits(asked.connections, asked.queues)
    broker = find()
    labs = provision.LABS if asked.labs is None else asked.labs
    made = provision.create(
        broker, names, asked.out, class_name=asked.class_name, labs=labs, limits=limits, host=asked.host
    )
    count = len(made.learners)
    if made.changed:
        print(f"{count} learners, {len(made.changed)} of them new or changed, {labs} labs each.")
    else:
        print(f"{count} learners, all exist: nothing was changed on the broker.")
    print(f"  Passwords  {asked.out}")
    print(f"  To print   {made.sheet}")
    if provision.on_this_machine(made.learners[0]):
        print(
            f"Note: learners on other machines cannot reach {made.learners[0].url.rpartition('@')[2]}. Run this again "
            "with --host and the name of the broker's machine."
        )


def _status(asked: argparse.Namespace) -> None:
    from rpclab.classroom.status import ClassStatus

    with ClassStatus(find(), asked.class_name) as status:
        print(status.ask())
        while asked.watch:
            time.sleep(WATCH_SECONDS)
            try:
                said = str(status.ask())
            except BrokerUnavailable as error:
                said = str(error)
            print(CLEAR_SCREEN if sys.stdout.isatty() else "", said, sep="", flush=True)


def _reset(asked: argparse.Namespace) -> None:
    from rpclab.classroom import maintenance

    if asked.password and asked.out is None:
        raise InvalidOption("A new password must be written down: give the class's file with --out.")
    learner = maintenance.reset(
        find(), asked.learner, class_name=asked.class_name, file=asked.out if asked.password else None
    )
    print(f"The labs of {learner.name} (user {learner.user}) are empty, and their connections closed.")
    if learner.password:
        print(f"  New password  {learner.password}  (also in {asked.out}, and on the page to print)")


def _remove(asked: argparse.Namespace) -> int:
    from rpclab.classroom import maintenance

    broker = find()
    question = f"on {broker.host}, with their contents? [y/N] "
    removed = maintenance.remove(
        broker, class_name=asked.class_name,
        agreed=lambda ours: asked.yes or _confirmed(f"Remove {_counted(ours)} {question}"),
    )
    print(f"Removed: {_counted(removed)}. Files stay." if removed else "Nothing was removed.")
    return 0 if removed else 1


def _counted(ours: Ours) -> str:
    return f"{len(ours.users)} users and {len(ours.vhosts)} virtual hosts"


def _confirmed(question: str) -> bool:
    try:
        return input(question).strip().lower() in ("y", "yes")
    except EOFError:
        return False
