"""What runs in the process that marks one notebook: the learner's cells, and the checks of their exercises."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from multiprocessing.connection import Connection

from rpclab.classroom.handed_in import Task, answer
from rpclab.course import catalogue
from rpclab.course.verdict import NOT_ATTEMPTED, WRONG
from rpclab.errors import LabError
from rpclab.table import shortened

NOT_MARKED = "not marked"
LONGEST = 200


def run(sender: Connection, cells: Sequence[str], tasks: Sequence[Task]) -> None:
    """Mark exercises, and send state and diagnosis of each when it is known, as JSON."""
    # What the learner's code prints is not the teacher's table.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(nowhere, stream)
    for task in tasks:
        sender.send_bytes(json.dumps(_marked(task, cells)).encode())


def _marked(task: Task, cells: Sequence[str]) -> tuple[str, str]:
    exercise = catalogue.exercise(task.id)
    try:
        written = answer(exercise, task, cells)
    except BaseException as error:  # noqa: BLE001  every error is reported to its author
        said = shortened(f"{type(error).__name__}: {error}", LONGEST)
        return WRONG, f"The cell with the answer raises `{said}`."
    try:
        verdict = exercise.verdict(written)
    except LabError as error:
        return NOT_MARKED, str(error)
    # What a verdict says of an answer that is not there is for the learner.
    return verdict.state, verdict.text if verdict.state != NOT_ATTEMPTED else ""
