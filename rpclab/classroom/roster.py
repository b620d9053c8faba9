"""The learners of a class: names, users, passwords, and the file that keeps them."""

from __future__ import annotations

import csv
import io
import re
import secrets
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path

from rpclab.broker.paths import write_privately
from rpclab.errors import InvalidName, InvalidOption, LabError

# Without characters that look alike on paper: 31 of them, so that twenty make 99 bits.
ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"
GROUPS, GROUP_LENGTH = 4, 5
LONGEST_NAME, LONGEST_USER = 100, 40
CLASS_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,29}")
GERMAN = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss", "æ": "ae", "ø": "o", "å": "a", "ł": "l"})
# The default user of every broker; it may not log in from another machine.
GUEST = "guest"


@dataclass(frozen=True)
class Learner:
    """One learner, with the addresses of their labs.

    Attributes
    ----------
    name : str
        As the teacher wrote it.
    user, password : str
        The learner's login on the broker.
    url : str
        The value for ``RPCLAB_BROKER``.
    management : str
        The value for ``RPCLAB_MANAGEMENT``.
    """

    name: str
    user: str
    password: str = field(repr=False)
    url: str = field(default="", repr=False)
    management: str = ""

    def at(self, scheme: str, address: str, management: str) -> Learner:
        """Return the learner with the URLs of a broker."""
        return replace(self, url=f"{scheme}://{self.user}:{self.password}@{address}", management=management)


def checked_class(name: str) -> str:
    """Return a class's name if it is valid; empty is the class without a name.

    Raises
    ------
    InvalidName
        If not.
    """
    if name and not CLASS_NAME.fullmatch(name):
        raise InvalidName(f"{name!r} cannot name a class: use up to 30 small letters, digits and '-', as in python-1.")
    return name


def names(file: Path | None, students: int | None) -> list[str]:
    """Return the learners' names: the lines of a file, then ``learner-01`` and so on until there are enough.

    Raises
    ------
    InvalidOption
        If neither is given, or the file cannot be read, has no names, or more than ``students``.
    """
    if file is None and students is None:
        raise InvalidOption("Give the number of learners (--students 30), or their names (--names FILE), or both.")
    if students is not None and not 1 <= students <= 1000:
        raise InvalidOption(f"--students {students}: it is a number from 1 to 1000.")
    found = _read_names(file) if file else []
    if students is not None and len(found) > students:
        raise InvalidOption(f"{file} has {len(found)} names, and --students says {students}. Leave --students out.")
    return found + [f"learner-{number:02}" for number in range(len(found) + 1, (students or 0) + 1)]


def enrolled(known: Sequence[Learner], wanted: Iterable[str], prefix: str) -> list[Learner]:
    """Return the known learners unchanged, followed by the new ones of a list of names.

    A name that is in the list twice means two learners.

    Parameters
    ----------
    known : sequence of Learner
        The learners of the class's file.
    wanted : iterable of str
        Names of all learners of the class.
    prefix : str
        What users' names begin with, the class's name usually; may be empty.

    Raises
    ------
    InvalidName
        If a learner's user would be ``guest``.
    """
    there = Counter(learner.name for learner in known)
    users = {learner.user for learner in known}
    learners = list(known)
    for name in wanted:
        if there[name]:
            there[name] -= 1
            continue
        user = _user(name, prefix, users)
        users.add(user)
        learners.append(Learner(name, user, new_password()))
    return learners


def new_password() -> str:
    """Return a password of 99 bits that is easy to type from paper."""
    groups = ("".join(secrets.choice(ALPHABET) for _ in range(GROUP_LENGTH)) for _ in range(GROUPS))
    return "-".join(groups)


def read(file: Path) -> list[Learner]:
    """Return the learners of a class's file; none if there is no such file.

    Raises
    ------
    InvalidOption
        If `write` did not write it.
    """
    if not file.exists():
        return []
    try:
        rows = list(csv.DictReader(io.StringIO(file.read_text(encoding="utf-8"))))
        learners = [Learner(**row) for row in rows]
        if not learners or any(not value for each in learners for value in asdict(each).values()):
            raise ValueError("a value is missing")
        if any(each.user == GUEST for each in learners):
            raise ValueError(f"user {GUEST!r} is in it")
    except (OSError, ValueError, TypeError) as error:
        raise InvalidOption(
            f"{file} is not the file of a class ({error}), so it is not replaced. Choose another --out, or delete it."
        ) from error
    return learners


def write(file: Path, learners: Sequence[Learner]) -> None:
    """Write a class's file completely or not at all, readable by its owner alone: it has the passwords.

    Raises
    ------
    LabError
        If it cannot be written there.
    """
    text = io.StringIO()
    rows = csv.DictWriter(text, [field.name for field in fields(Learner)], lineterminator="\n")
    rows.writeheader()
    rows.writerows(map(asdict, learners))
    try:
        write_privately(file, text.getvalue())
    except OSError as error:
        raise LabError(f"{file} cannot be written ({error.strerror}). Nothing was changed on the broker.") from error


def _read_names(file: Path) -> list[str]:
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidOption(f"Cannot read {file} ({error}). Write a text file, one name a line.") from error
    found = [" ".join(line.split()) for line in lines if line.strip()]
    if not found:
        raise InvalidOption(f"There are no names in {file}. It is a text file, one name a line.")
    for name in found:
        if len(name) > LONGEST_NAME or not name.isprintable():
            raise InvalidName(f"{name[:LONGEST_NAME]!r} in {file} cannot be a name: up to {LONGEST_NAME} characters.")
    return found


def _user(name: str, prefix: str, taken: set[str]) -> str:
    """Return a unique user's name for a learner: ``zoe-mueller`` for Zoë Müller."""
    plain = unicodedata.normalize("NFKD", name.lower().translate(GERMAN)).encode("ascii", "ignore").decode()
    words = re.findall(r"[a-z0-9]+", plain)
    base = "-".join([*([prefix] if prefix else []), *(words or ["learner"])])[:LONGEST_USER].rstrip("-")
    if base == GUEST:
        raise InvalidName(
            f"{name!r} cannot be a learner's name: `guest` is every broker's default user. Write "
            "another name, or name the class with --class."
        )
    number = 1
    user = base
    while user in taken:
        number += 1
        user = f"{base}-{number}"
    return user
