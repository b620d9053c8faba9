"""``python -m rpclab mark`` with real notebooks, as learners hand them in: finished, damaged, or dangerous."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import nbformat
import psutil
import pytest
from waiting import until

import rpclab
from rpclab.__main__ import main
from rpclab.broker import compose
from rpclab.broker.paths import state_folder
from rpclab.classroom import mark
from rpclab.course import catalogue

LESSON = Path(rpclab.__file__).parents[1] / "notebooks" / "04_acknowledging.ipynb"
ACK, LOOP, OWN = "04-ack-after-work", "04-end-the-loop", "04-own-channel"
SECONDS = 20
SOLVED = {id: catalogue.exercise(id).solved for id in (ACK, LOOP, OWN)}
WRONG = SOLVED[LOOP].replace("reject", "ack").replace(", requeue=False", "")


def hand_in(path: Path, **answers: str | tuple[str, ...] | None) -> None:
    """Write lesson 04 with cells in place of starters; None removes the exercise's cells."""
    notebook = nbformat.read(LESSON, as_version=4)
    for id in (ACK, LOOP, OWN):
        written = answers.get(id[3:].replace("-", "_"), ())
        sources = [cell.source.strip() for cell in notebook.cells]
        starter = sources.index(catalogue.exercise(id).starter.strip())
        if written is None:
            del notebook.cells[starter - 1:starter + 2]
        elif written:
            cells = (written,) if isinstance(written, str) else written
            notebook.cells[starter:starter + 1] = [nbformat.v4.new_code_cell(cell) for cell in cells]
    path.parent.mkdir(exist_ok=True)
    nbformat.write(notebook, path)


@pytest.fixture(scope="module")
def marked(tmp_path_factory) -> dict[tuple[str, str], tuple[str, str]]:
    """State and diagnosis of each exercise of a class."""
    folder = tmp_path_factory.mktemp("handed_in")
    finished = SOLVED[ACK].replace("import rpclab\n", "").replace("self.work(body)", "work(self, body)")
    hand_in(
        folder / "anna" / "04.ipynb", end_the_loop=WRONG,
        ack_after_work=(
            "%load_ext nothing\n!false\ndef work(server, body):\n    server.work(body)", "1 / 0",
            f"%%time\n{finished}\nTEXT = ('%s'\n        % 8)",
        ),
    )
    hand_in(
        folder / "ben" / "04.ipynb", ack_after_work="class ReportServer:\n    import os\n    os._exit(3)",
        end_the_loop="def on_request(ch, method, properties, body):\n    while True:\n        pass",
        own_channel="import time\nclass Archivist:\n    while True:\n        time.sleep(0.1)",
    )
    hand_in(
        folder / "carl" / "04.ipynb", ack_after_work="class ReportServer(rpclab.BaseServer:\n    ...", own_channel=None,
        end_the_loop="def on_request(ch, method, properties, body, limit=LIMIT):\n    ...",
    )
    hand_in(folder / "dora" / "04.ipynb", end_the_loop="import sys\nsys.exit(1)\nreject = print\n" + SOLVED[LOOP])
    below = nbformat.read(folder / "dora" / "04.ipynb", as_version=4)
    below.cells.append(nbformat.v4.new_code_cell(SOLVED[OWN].replace("Archivist", "Archivar")))
    below.cells.append(nbformat.v4.new_code_cell("three.check(Archivar)"))
    nbformat.write(below, folder / "dora" / "04.ipynb")
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1")]), folder / "=empty.ipynb")
    (folder / "half.ipynb").write_text(LESSON.read_text()[:1000])
    (folder / "list.ipynb").write_text("[3]")
    (folder / "picture.ipynb").write_bytes(b"\x89PNG\xff")
    table = folder / "marks.csv"
    given = [str(folder), str(folder / "gone.ipynb"), "--csv", str(table), "--timeout", str(SECONDS)]
    assert main(["mark", *given]) == 0
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["name", "exercise", "state", "diagnosis"]
    return {(Path(row["name"]).name if "gone" in row["name"] else row["name"], row["exercise"]): (
        row["state"], row["diagnosis"]) for row in rows}


@pytest.mark.parametrize(("name", "exercise", "state", "words"), [
    ("anna/04", ACK, "right", "redelivered it to the second worker"),
    ("anna/04", LOOP, "wrong", "you acknowledged it, and `sums.dead` is empty"),
    ("anna/04", OWN, "not attempted", "^$"),
    ("ben/04", ACK, "wrong", r"ended the process that ran it \(exit code 3\)"),
    ("ben/04", LOOP, "wrong", "was never acknowledged or rejected"),
    ("ben/04", OWN, "wrong", f"not finished after {SECONDS} s"),
    ("carl/04", ACK, "wrong", "The cell with the answer raises `SyntaxError: "),
    ("carl/04", LOOP, "wrong", "The cell with the answer raises `NameError: name 'LIMIT' is not defined"),
    ("carl/04", OWN, "missing", r'no cell with rpclab\.exercise\("04-own-channel"\)'),
    ("dora/04", LOOP, "right", ""),
    ("dora/04", OWN, "right", ""),
    ("'=empty", "", "not marked", "no exercise and no prediction"),
    ("half", "", "not marked", "It is not JSON"),
    ("list", "", "not marked", "It is JSON, but not a notebook"),
    ("picture", "", "not marked", "It is not JSON"),
    ("gone", "", "not marked", "There is no such file"),
])
def test_each_answer_has_a_row_whatever_it_does(marked, name, exercise, state, words):
    assert marked[name, exercise][0] == state
    assert re.search(words, marked[name, exercise][1])


def test_every_exercise_of_a_lesson_has_one_row(marked):
    assert {exercise for name, exercise in marked if name == "dora/04"} == {ACK, LOOP, OWN}
    assert len(marked) == 4 * 3 + 5


def test_it_leaves_no_process_no_virtual_host_and_the_teachers_own_progress_alone(marked, lab):
    def left() -> list[str]:
        return [vhost["name"] for vhost in lab._api.fetch("vhosts") if vhost["name"].startswith(f"check-{OWN}")]

    until(lambda: not left())
    until(lambda: not [one for one in psutil.Process().children(recursive=True) if "spawn_main" in str(one.cmdline())])
    assert not (state_folder() / "progress.json").exists()


def test_it_says_whose_code_it_runs_and_how_to_do_so_in_the_container(tmp_path, capsys):
    nothing = tmp_path / "nothing.ipynb"
    assert main(["mark", str(nothing)]) == 0
    said = capsys.readouterr()
    assert said.out == f"name,exercise,state,diagnosis\n{nothing.with_suffix('')},,not marked,There is no such file.\n"
    assert "other people's code" in said.err
    assert "docker compose --profile lab run " in said.err
    compose_file = compose.compose_file().read_text()
    assert "\n  lab:\n    profiles: [lab]\n" in compose_file
    assert all(volume in compose_file for volume in re.findall(r"--volume (/\S+) lab ", mark.WARNING))


@pytest.mark.parametrize(("arguments", "said"), [
    (["--timeout", "0"], "--timeout 0: it is a number of seconds"),
    (["--csv", "/nowhere/marks.csv"], "cannot be written"),
])
def test_a_wrong_option_is_an_error_without_a_traceback(arguments, said, capsys):
    assert main(["mark", str(LESSON), *arguments]) == 1
    assert said in capsys.readouterr().err
