from __future__ import annotations

import math
import re

import pytest

from rpclab import InvalidName, InvalidOption
from rpclab.classroom import roster


def users(*names: str, prefix: str = "") -> list[str]:
    return [learner.user for learner in roster.enrolled([], names, prefix)]


@pytest.mark.parametrize(("name", "user"), [
    ("Zoë Müller", "zoe-mueller"),
    ("O'Brien, Seán", "o-brien-sean"),
    ("Łukasz Żółć", "lukasz-zolc"),
    ("王伟", "learner"),
    ("../../etc:passwd@", "etc-passwd"),
    ("x" * 90, "x" * 40),
])
def test_a_user_is_made_of_any_name(name, user):
    assert users(name) == [user]


def test_users_that_would_be_the_same_are_numbered():
    assert users("Anna", "anna", "ANNA", "anna 2") == ["anna", "anna-2", "anna-3", "anna-2-2"]


def test_the_class_comes_first():
    assert users("Anna", prefix="python") == ["python-anna"]


def test_nobody_is_called_guest_but_in_a_class_with_a_name():
    with pytest.raises(InvalidName, match="--class"):
        users("Guest")
    assert users("Guest", prefix="python") == ["python-guest"]


def test_passwords_are_long_and_have_no_characters_that_look_alike():
    passwords = {roster.new_password() for _ in range(200)}
    assert len(passwords) == 200
    assert all(re.fullmatch(r"([a-z2-9]{5}-){3}[a-z2-9]{5}", password) for password in passwords)
    assert not set("".join(passwords)) & set("01loi")
    assert len(set(roster.ALPHABET)) == len(roster.ALPHABET)
    assert 20 * math.log2(len(roster.ALPHABET)) >= 80


def test_names_come_from_a_file_and_numbers_make_up_the_rest(tmp_path):
    file = tmp_path / "names.txt"
    file.write_text("\ufeffZoë  Müller \n\n Ben\n", encoding="utf-8")
    assert roster.names(file, None) == ["Zoë Müller", "Ben"]
    assert roster.names(file, 3) == ["Zoë Müller", "Ben", "learner-03"]
    assert roster.names(None, 2) == ["learner-01", "learner-02"]


@pytest.mark.parametrize(("text", "students", "said"), [
    (None, None, "--students 30"), ("", None, "no names"), ("a\nb\n", 1, "2 names"), (None, 0, "1 to 1000"),
    ("a\x07\n", None, "cannot be a name"),
])
def test_what_cannot_be_a_class_is_explained(tmp_path, text, students, said):
    file = tmp_path / "names.txt" if text is not None else None
    if file:
        file.write_text(text)
    with pytest.raises((InvalidOption, InvalidName), match=said):
        roster.names(file, students)


def test_a_file_of_names_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(InvalidOption, match=r"nowhere\.txt"):
        roster.names(tmp_path / "nowhere.txt", None)


@pytest.mark.parametrize("name", ["Python 1", "-a", "a/b", "x" * 31, "ä"])
def test_a_class_has_a_plain_name(name):
    with pytest.raises(InvalidName, match="small letters"):
        roster.checked_class(name)
