"""Whether a binding takes a message, by the rules of each type of exchange: https://www.rabbitmq.com/docs/exchanges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple


class Binding(NamedTuple):
    """From an exchange to a queue, or to another exchange."""

    destination: str
    to_exchange: bool
    key: str
    arguments: tuple[tuple[str, object], ...]


def takes(kind: str, binding: Binding, key: str, headers: Mapping) -> bool:
    """Return whether a binding to an exchange of this type takes a message; an unknown type takes none."""
    return kind in _MATCHERS and _MATCHERS[kind](binding, key, headers)


def _by_key(binding: Binding, key: str, headers: Mapping) -> bool:
    return binding.key == key


def _always(binding: Binding, key: str, headers: Mapping) -> bool:
    return True


def _by_topic(binding: Binding, key: str, headers: Mapping) -> bool:
    return _fits(_words(binding.key), _words(key))


def _words(key: str) -> list[str]:
    return key.split(".") if key else []


def _fits(pattern: Sequence[str], words: Sequence[str]) -> bool:
    """Match a topic pattern: ``*`` stands for one word, ``#`` for any number of words."""
    # How many words the part of the pattern read so far can match: the time grows with the product of the lengths.
    used = {0}
    for part in pattern:
        if part == "#":
            used = set(range(min(used), len(words) + 1))
        else:
            used = {count + 1 for count in used if count < len(words) and part in ("*", words[count])}
        if not used:
            return False
    return len(words) in used


def _by_headers(binding: Binding, key: str, headers: Mapping) -> bool:
    arguments = dict(binding.arguments)
    how = str(arguments.pop("x-match", "all"))
    names = [name for name in arguments if how.endswith("-with-x") or not name.startswith("x-")]
    fitting = [name in headers and arguments[name] in (None, headers[name]) for name in names]
    return any(fitting) if how.startswith("any") else all(fitting)


_MATCHERS = {"direct": _by_key, "fanout": _always, "topic": _by_topic, "headers": _by_headers}
