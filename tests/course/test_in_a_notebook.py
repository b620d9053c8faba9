"""The same in a real kernel, where cells are compiled by IPython."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from jupyter_client.manager import run_kernel

from rpclab.course import catalogue

SECONDS = 60
FIRST = """
import pathlib, pika, rpclab
from rpclab.course import record
from rpclab.course.catalogue import exercise
record.state_folder = lambda: pathlib.Path({folder!r})
ex = exercise("04-ack-after-work")
"""


class Notebook:
    """A kernel, and what its last cell has put out."""

    def __init__(self, client):
        self._client = client
        self.outputs: list[dict] = []

    def run(self, source: str) -> dict:
        """Run a cell and return the kernel's reply."""
        self.outputs.clear()
        reply = self._client.execute_interactive(source, timeout=SECONDS, output_hook=self.outputs.append)
        assert reply["content"]["status"] == "ok", reply["content"]
        return reply["content"]

    @property
    def result(self) -> dict[str, str]:
        """The last expression's value, in all its forms."""
        (message,) = [m for m in self.outputs if m["msg_type"] == "execute_result"]
        return message["content"]["data"]


@pytest.fixture(scope="module")
def notebook(tmp_path_factory) -> Iterator[Notebook]:
    with run_kernel() as client:
        opened = Notebook(client)
        opened.run(FIRST.format(folder=str(tmp_path_factory.mktemp("progress"))))
        yield opened


@pytest.fixture(scope="module")
def exercise():
    return catalogue.exercise("04-ack-after-work")


def test_the_question_is_markdown(notebook):
    notebook.run("ex.question")
    assert notebook.result["text/markdown"].startswith("**Exercise 04-ack-after-work.** ")


def test_the_untouched_starter_is_not_attempted(notebook, exercise):
    notebook.run(exercise.starter)
    notebook.run("ex.check(ReportServer)")
    assert notebook.result["text/plain"].startswith("04-ack-after-work: not attempted")
    assert "not attempted</span>" in notebook.result["text/html"]


def test_a_wrong_answer_is_told_by_its_own_line(notebook, exercise):
    notebook.run(exercise.solved.replace("method.delivery_tag", "method.tag"))
    notebook.run("ex.check(ReportServer)")
    assert "in `on_request`, at\n`ch.basic_ack(delivery_tag=method.tag)`" in notebook.result["text/plain"]


def test_the_solution_is_put_into_a_cell_below(notebook, exercise):
    reply = notebook.run("ex.solution()")
    assert reply["payload"] == [{"source": "set_next_input", "text": exercise.solved, "replace": False}]
    assert notebook.result["text/markdown"].startswith("```python\nclass ReportServer")
