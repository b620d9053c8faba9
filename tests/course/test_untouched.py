from __future__ import annotations

import pytest
from cells import cell

from rpclab.course.attempt_detection import defined, untouched

CLASS = '''
class Server(rpclab.BaseServer):
    """To be completed."""
    def __init__(self):
        super().__init__("reports")

    def chosen(self, bodies):
        return [body for body in bodies if body == "a"]

    def on_request(self, ch, method, properties, body, times=1):
        ...
'''
FUNCTION = "def f(a):\n    a.b(1)\n"


@pytest.mark.parametrize("answer", [
    CLASS,
    CLASS.replace("\n", "   # a comment\n\n"),
    "class Server:\n    ...",
    "class Server(rpclab.BaseServer):\n    def on_request(self, ch, method, properties, body):\n        pass",
])
def test_a_class_without_a_line_of_ones_own_is_not_attempted(answer):
    assert untouched(cell(answer, "Server"), CLASS, "Server")


@pytest.mark.parametrize("apart", [True, False], ids=["as in a notebook", "as in a module"])
def test_what_is_imported_with_it_makes_no_attempt_of_it(apart):
    starter = "import time\n\n\ndef f(a):\n    return time.time()\n"
    answer = defined(starter, "f", apart=apart)
    assert untouched(answer, starter, "f")
    assert not untouched(answer, starter.replace("time()", "monotonic()"), "f")


@pytest.mark.parametrize("change", [
    ('"a"', '"b"'), ("times=1", "times=2"), ("...", "ch.basic_ack(method.delivery_tag)"), ("...", "raise"),
    ('"reports"', "1"), ("    def chosen", "    def more(self):\n        return 1\n\n    def chosen"),
])
def test_the_least_change_is_an_attempt(change):
    changed = CLASS.replace(*change)
    assert changed != CLASS
    assert not untouched(cell(changed, "Server"), CLASS, "Server")


@pytest.mark.parametrize("body", ["...", "pass", "'what it does'", "'what it does'\n    ...", "return", "return None"])
def test_a_function_that_does_nothing_is_not_attempted(body):
    assert untouched(cell(f"def f(a):\n    {body}", "f"), FUNCTION, "f")


@pytest.mark.parametrize(
    "body", ["return 5", "return a", "a.b(2)", "a.c(1)", "return 'x'", "return ...", "raise a", "yield"]
)
def test_a_function_that_does_anything_is_an_attempt(body):
    assert not untouched(cell(f"def f(a):\n    {body}", "f"), FUNCTION, "f")


def test_what_is_neither_function_nor_class_is_an_attempt_unless_it_is_nothing():
    assert untouched(None, FUNCTION, "f")
    assert untouched(..., FUNCTION, "f")
    assert not untouched(0, FUNCTION, "f")
    assert not untouched(print, FUNCTION, "f")
