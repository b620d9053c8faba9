"""One exercise: a task, starter code, hints, a solution, and a check against the broker."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from types import FunctionType
from typing import Any

from pika.exceptions import AMQPError

from rpclab.course import record
from rpclab.course.attempt_detection import defined, untouched
from rpclab.course.text import Markdown, changes, fenced
from rpclab.course.trial import Trial, open_trial
from rpclab.course.verdict import NOT_ATTEMPTED, RIGHT, WRONG, Mistake, Verdict


@dataclass(repr=False)
class Exercise:
    """One exercise; `rpclab.exercise` finds it by its id.

    Parameters
    ----------
    id : str
        The lesson's number and a few words: ``04-ack-after-work``.
    title : str
        Its title on the map, and its heading in the lesson.
    task : str
        What to do, in Markdown.
    name : str
        The class or function that the learner writes.
    starter : str
        The starter code; at most 20 lines, so that it fits a cell.
    solved : str
        Code that passes the check.
    hints : tuple of str
        From a first clue to nearly the solution; the lines that change are added as the last one.
    judge : callable
        Runs the answer in a `Trial`; returns what happened if it is right, else raises `Mistake`.
    """

    id: str
    title: str
    task: str
    name: str
    starter: str
    solved: str
    hints: tuple[str, ...]
    judge: Callable[[Trial, Any], str]
    _hints_given: int = field(default=0, init=False)

    @property
    def question(self) -> Markdown:
        """What to do, rendered in a notebook."""
        how = f"Complete or fix `{self.name}`, run its cell, and check with `.check({self.name})`."
        return Markdown(f"**Exercise {self.id}.** {self.task.strip()}\n\n{how} Stuck? `.hint()`")

    def check(self, answer: object = None) -> Verdict:
        """Run the answer in separate processes on its own virtual host, and judge it by what crossed the wire.

        Takes a second or two, 15 at most. An error in the answer is reported, never raised.

        Parameters
        ----------
        answer : type or function, optional
            What the learner wrote. Nothing, ``...`` and the untouched starter count as *not attempted*.

        Raises
        ------
        BrokerUnavailable
            If there is no broker to check with.
        """
        verdict = self.verdict(answer)
        if verdict.state != NOT_ATTEMPTED:
            record.note(record.EXERCISES, self.id, verdict.state)
        return verdict

    def verdict(self, answer: object = None) -> Verdict:
        """Judge an answer as `check` does, without recording it."""
        if untouched(answer, self.starter, self.name):
            how = f"Write your own `{self.name}` in the cell above, run that cell, and check again."
            return Verdict(self.id, NOT_ATTEMPTED, how)
        is_class = isinstance(defined(self.starter, self.name), type)
        if isinstance(answer, type if is_class else FunctionType):
            return self._tried(answer)
        return Verdict(
            self.id, WRONG,
            f"Hand over the {'class' if is_class else 'function'} itself, without calling it: `.check({self.name})`. "
            f"This was an object of type `{type(answer).__name__}`.",
        )

    def hint(self) -> Markdown:
        """Return the next hint, the lines that change after the others, and at last where the solution is."""
        hints = (*self.hints, f"The lines that change:\n\n{fenced(changes(self.starter, self.solved), 'diff')}")
        if self._hints_given == len(hints):
            return Markdown("Those were all the hints. `.solution()` shows one way to do it.")
        self._hints_given += 1
        return Markdown(f"*Hint {self._hints_given} of {len(hints)}.* {hints[self._hints_given - 1]}")

    def solution(self) -> Markdown:
        """Return one solution; in a notebook it is also put into a new cell below."""
        # Only a front end makes a cell of it; a run without one ignores it.
        ipython = sys.modules.get("IPython")
        if ipython and (shell := ipython.get_ipython()):
            shell.set_next_input(self.solved, replace=False)
        return Markdown(fenced(self.solved))

    def __repr__(self) -> str:
        return f"Exercise({self.id!r})"

    def _tried(self, answer: object) -> Verdict:
        with open_trial(self.id) as trial:
            try:
                state, text = RIGHT, self.judge(trial, answer)
            except Mistake as mistake:
                state, text = WRONG, str(mistake)
            except AMQPError as error:  # the answer broke something that the check itself uses
                state, text = WRONG, f"Your code broke the check's own channel: `{error!r}`."
            return Verdict(self.id, state, text, trial.seen(), trial.said() if state == WRONG else ())
