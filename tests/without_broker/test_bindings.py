from __future__ import annotations

import random
import re
import time

from rpclab.wire.bindings import Binding, takes


def fits(pattern: str, key: str) -> bool:
    return takes("topic", Binding("queue", False, pattern, ()), key, {})


def by_regular_expression(pattern: str, key: str) -> bool:
    """Match as the definition says it: words with dots between them, each word here one letter and a dot."""
    meaning = {"*": r"[a-z]\.", "#": r"(?:[a-z]\.)*"}
    expression = "".join(meaning.get(word, rf"{word}\.") for word in pattern.split(".") if pattern)
    return re.fullmatch(expression, "".join(f"{word}." for word in key.split(".") if key)) is not None


def test_topics_match_as_they_are_defined():
    chance = random.Random(1)
    outcomes = set()
    for _ in range(5000):
        pattern = ".".join(chance.choices("ab*#", k=chance.randrange(6)))
        key = ".".join(chance.choices("ab", k=chance.randrange(6)))
        outcome = fits(pattern, key)
        assert outcome == by_regular_expression(pattern, key), (pattern, key)
        outcomes.add(outcome)
    assert outcomes == {True, False}


def test_many_hashes_hold_up_nothing():
    begun = time.perf_counter()
    assert not fits("#.#.#.#.#.#.#.z", ".".join(["a"] * 40))
    assert fits("#.#.#.#.#.#.#.z", ".".join([*["a"] * 40, "z"]))
    assert time.perf_counter() - begun < 0.1
