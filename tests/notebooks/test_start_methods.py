"""Lesson 07's program with each start method of multiprocessing, of which the notebook itself shows the default."""

from __future__ import annotations

import multiprocessing

import nbformat
import psutil
import pytest
from navigation import NOTEBOOKS
from waiting import ended, until

LESSON = next(path for path in NOTEBOOKS if path.stem.startswith("07_"))
GUARD = 'if __name__ == "__main__":\n'
# The cells that write the program, start it, and end it, by what is in them.
CELLS = ("%%writefile case_study_servers.py", "subprocess.Popen(", ".terminate()")


def cells_with(*marks: str) -> list[str]:
    cells = [cell.source for cell in nbformat.read(LESSON, as_version=4).cells if cell.cell_type == "code"]
    return [next(source for source in cells if mark in source) for mark in marks]


@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_the_servers_of_lesson_07_start_and_end_with_each_start_method(lab, tmp_path, monkeypatch, capsys, method):
    written, start, end = cells_with(*CELLS)
    program = written.partition("\n")[2]
    assert GUARD in program
    program = program.replace(GUARD, f"{GUARD}    multiprocessing.set_start_method({method!r})\n")
    (tmp_path / "case_study_servers.py").write_text(program)
    monkeypatch.chdir(tmp_path)
    names = {"lab": lab}
    exec(start, names)
    lab.wait_for("fibonacci", consumers=2)
    script = psutil.Process(names["script"].pid)
    processes = [script, *script.children(recursive=True)]
    assert len(processes) >= 3
    exec(end, names)
    assert names["script"].returncode == 0
    until(lambda: all(ended(process.pid) for process in processes))
    assert [f"FibonacciServer-{number}" in line for number, line in enumerate(names["lines"])] == [True, True]
