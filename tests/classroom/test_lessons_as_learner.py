"""Lessons as a learner of a class runs them, strictly, while another learner runs another one on the same broker.

Only some, for the time they take: publishing, acknowledging, administration, and worker processes.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from learners import environment_of

ROOT = Path(__file__).resolve().parents[2]
LESSONS = ("01_publishing", "04_acknowledging", "10_running_the_broker")
OTHERS_LESSON = "07_worker_processes"


def run(lesson: str, learner, home: Path, log: Path) -> subprocess.Popen:
    command = [
        sys.executable, "-m", "pytest", f"notebooks/{lesson}.ipynb",
        "-q", "-n", "0", "-p", "no:cacheprovider", "--color=no",
    ]
    with log.open("wb") as file:
        return subprocess.Popen(
            command, cwd=ROOT, env=environment_of(learner, home), stdin=subprocess.DEVNULL, stdout=file, stderr=file
        )


@pytest.fixture(scope="module")
def other(pair, tmp_path_factory) -> Iterator[tuple[subprocess.Popen, Path]]:
    """Ben, who is running a lesson with worker processes."""
    home = tmp_path_factory.mktemp("ben")
    log = home / "lesson.log"
    process = run(OTHERS_LESSON, pair[1], home, log)
    yield process, log
    process.kill()
    process.wait()


@pytest.mark.parametrize("lesson", LESSONS)
def test_a_lesson_passes_strictly_for_a_learner_without_rights(pair, other, lesson, tmp_path):
    log = tmp_path / "lesson.log"
    assert run(lesson, pair[0], tmp_path, log).wait() == 0, log.read_text()


def test_and_so_does_the_other_learners_lesson(other):
    process, log = other
    assert process.wait() == 0, log.read_text()
