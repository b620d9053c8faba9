"""One exercise: a question, code to begin with, hints, a solution, and a check against the broker."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from types import FunctionType

from pika.exceptions import AMQPError

from rpclab.course import record
from rpclab.course.text import Markdown, fenced
from rpclab.course.trial import Trial, open_trial
from rpclab.course.untouched import defined, untouched
from rpclab.course.verdict import NOT_ATTEMPTED, RIGHT, WRONG, Mistake, Verdict


@dataclass(repr=False)
class Exercise:
    """One exercise; `rpclab.exercise` finds it by its id.

    Parameters
    ----------
    id : str
        The lesson's number and a few words: ``04-ack-after-work``.
    title : str
        What it is called on the map.
    task : str
        What to do, in Markdown.
    name : str
        The class or function that the learner writes.
    starter : str
        The code to begin with; at most 20 lines, so that it fits a cell.
    solved : str
        Code that passes the check.
    hints : tuple of str
        From a nudge to nearly there.
    judge : callable
        Takes a `Trial` and the answer, runs it, and returns what happened if all is well; else it raises `Mistake`.
    """

    id: str
    title: str
    task: str
    name: str
    starter: str
    solved: str
    hints: tuple[str, ...]
    judge: Callable[[Trial, object], str]
    _hints_given: int = field(default=0, init=False)

    @property
    def question(self) -> Markdown:
        """What to do, rendered in a notebook."""
        how = f"Complete or mend `{self.name}`, run its cell, and check with `.check({self.name})`."
        return Markdown(f"**Exercise {self.id}: {self.title}**\n\n{self.task.strip()}\n\n{how} Stuck? `.hint()`")

    def check(self, answer: object = None) -> Verdict:
        """Run the answer in processes against a virtual host of its own, and judge by what crossed the wire.

        Takes a second or two, 15 at the most. Whatever is wrong with the answer is told and never raised.

        Parameters
        ----------
        answer : type or function, optional
            What the learner wrote. Nothing, ``...`` and the untouched starter count as *not attempted*.

        Raises
        ------
        BrokerUnavailable
            If there is no broker to check with.
        """
        if untouched(answer, self.starter, self.name):
            how = f"Write your own `{self.name}` in the cell above, run that cell, and check again."
            return Verdict(self.id, NOT_ATTEMPTED, how)
        verdict = self._wrong_kind(answer)
        if verdict is None:
            verdict = self._tried(answer)
        record.note(record.EXERCISES, self.id, verdict.state)
        return verdict

    def hint(self) -> Markdown:
        """Return the next hint; after the last, say where the solution is."""
        if self._hints_given == len(self.hints):
            return Markdown("Those were all the hints. `.solution()` shows one way to do it.")
        self._hints_given += 1
        return Markdown(f"*Hint {self._hints_given} of {len(self.hints)}.* {self.hints[self._hints_given - 1]}")

    def solution(self) -> Markdown:
        """Return one way to do it; in a notebook it is also put into a new cell below."""
        # Only a person's front end makes a cell of it; a run without one ignores it.
        ipython = sys.modules.get("IPython")
        if ipython and (shell := ipython.get_ipython()):
            shell.set_next_input(self.solved, replace=False)
        return Markdown(fenced(self.solved))

    def __repr__(self) -> str:
        return f"Exercise({self.id!r})"

    def _wrong_kind(self, answer: object) -> Verdict | None:
        """Return a verdict on what is no class where one is asked for, or no function."""
        wanted = type if isinstance(defined(self.starter, self.name), type) else FunctionType
        if isinstance(answer, wanted):
            return None
        kind = "class" if wanted is type else "function"
        return Verdict(
            self.id, WRONG,
            f"Hand over the {kind} itself, without calling it: `.check({self.name})`. This was an object of type "
            f"`{type(answer).__name__}`.",
        )

    def _tried(self, answer: object) -> Verdict:
        with open_trial(self.id) as trial:
            try:
                state, text = RIGHT, self.judge(trial, answer)
            except Mistake as mistake:
                state, text = WRONG, str(mistake)
            except AMQPError as error:  # the answer has done something to what the check itself uses
                state, text = WRONG, f"Your code got in the way of the check's own channel: `{error!r}`."
            return Verdict(self.id, state, text, trial.seen(), trial.said() if state == WRONG else ())
