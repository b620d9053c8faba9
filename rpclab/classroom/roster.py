"""Who is in a class: names, the users made of them, passwords, and the file that remembers all this."""

from __future__ import annotations

import csv
import io
import re
import secrets
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

from rpclab.broker.state import write_privately
from rpclab.errors import InvalidName, InvalidOption, LabError

# Without characters that look alike on paper: 31 of them, so that twenty make 99 bits.
ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"
GROUPS, GROUP_LENGTH = 4, 5
LONGEST_NAME, LONGEST_USER = 100, 40
CLASS_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,29}")
GERMAN = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss", "æ": "ae", "ø": "o", "å": "a", "ł": "l"})
# The user that every broker is delivered with; it must not come from another machine.
GUEST = "guest"


@dataclass(frozen=True)
class Learner:
    """One learner, and what they need to reach their labs.

    Attributes
    ----------
    name : str
        As the teacher wrote it.
    user, password : str
        What the broker knows the learner by.
    url : str
        The value for ``RPCLAB_BROKER``.
    management : str
        The value for ``RPCLAB_MANAGEMENT``.
    """

    name: str
    user: str
    password: str
    url: str = ""
    management: str = ""

    def at(self, scheme: str, address: str, management: str) -> Learner:
        """Return the learner with the URLs of a broker."""
        return replace(self, url=f"{scheme}://{self.user}:{self.password}@{address}", management=management)


def checked_class(name: str) -> str:
    """Return a class's name if it may be one; empty is the class without a name.

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
        If neither is given, the file cannot be read, holds no names, or more of them than students.
    """
    if file is None and students is None:
        raise InvalidOption("Say how many learners there are (--students 30) or who they are (--names FILE), or both.")
    if students is not None and not 1 <= students <= 1000:
        raise InvalidOption(f"--students {students}: it is a number from 1 to 1000.")
    found = _read_names(file) if file else []
    if students is not None and len(found) > students:
        raise InvalidOption(f"{file} has {len(found)} names, and --students says {students}. Leave --students out.")
    return found + [f"learner-{number:02}" for number in range(len(found) + 1, (students or 0) + 1)]


def enrolled(known: Sequence[Learner], wanted: Iterable[str], prefix: str) -> list[Learner]:
    """Return the learners known already, as they are, and after them those of a list of names who are new.

    A name that stands in the list twice means two learners.

    Parameters
    ----------
    known : sequence of Learner
        Who is in the class's file.
    wanted : iterable of str
        Names of all who shall be in the class.
    prefix : str
        What users' names begin with, the class's name usually; may be empty.

    Raises
    ------
    InvalidName
        If a learner would be called ``guest``.
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
    """Return a password of 99 bits that one can type from paper."""
    groups = ("".join(secrets.choice(ALPHABET) for _ in range(GROUP_LENGTH)) for _ in range(GROUPS))
    return "-".join(groups)


def read(file: Path) -> list[Learner]:
    """Return the learners of a class's file; none if there is no such file.

    Raises
    ------
    InvalidOption
        If it is no file that `write` has written.
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
            f"{file} is no list of a class ({error}), so it is not written over. Choose another --out, or remove it."
        ) from error
    return learners


def write(file: Path, learners: Sequence[Learner]) -> None:
    """Write a class's file, whole or not at all, readable by its owner alone: the passwords are in it.

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
    """Return a user's name for a learner that nobody else has: ``zoe-mueller`` for Zoë Müller."""
    plain = unicodedata.normalize("NFKD", name.lower().translate(GERMAN)).encode("ascii", "ignore").decode()
    words = re.findall(r"[a-z0-9]+", plain)
    base = "-".join([*([prefix] if prefix else []), *(words or ["learner"])])[:LONGEST_USER].rstrip("-")
    if base == GUEST:
        raise InvalidName(
            f"{name!r} cannot be a learner's name: `guest` is the user that every broker is delivered with. Write "
            "another name, or name the class with --class."
        )
    number = 1
    user = base
    while user in taken:
        number += 1
        user = f"{base}-{number}"
    return user
