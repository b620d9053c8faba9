"""Predictions: commit to what will happen, run the cells, and compare."""

from __future__ import annotations

from dataclasses import dataclass

import ipywidgets as widgets
from traitlets import Bunch

from rpclab import theme
from rpclab.course import catalogue, record
from rpclab.course.question import Option, Question
from rpclab.course.text import html, plain, unmarked
from rpclab.course.verdict import BAD, GOOD, OPEN, RIGHT, WRONG, card
from rpclab.errors import InvalidOption, LabError

NOT_MADE = "no prediction was made"
_MOODS = {RIGHT: (GOOD, "\u2713 as predicted"), WRONG: (BAD, "\u2715 not as predicted"), NOT_MADE: (OPEN, NOT_MADE)}


@dataclass(frozen=True, repr=False)
class Comparison:
    """A prediction beside what happened.

    Attributes
    ----------
    question : str
        The prediction's id.
    state : str
        ``right``, ``wrong`` or ``no prediction was made``.
    predicted : str
        The option that was chosen; empty if none was.
    happened : str
        What was observed.
    because : str
        The reason, and what is wrong with the idea behind a wrong prediction.
    """

    question: str
    state: str
    predicted: str
    happened: str
    because: str

    def __repr__(self) -> str:
        said = _MOODS[self.state][1].lstrip("\u2713\u2715 ")
        lines = [f"{self.question}: {said}", *self._lines()]
        return "\n".join([*map(plain, lines), "", plain(self.because)])

    def _repr_html_(self) -> str:
        mood, label = _MOODS[self.state]
        return card(mood, label, self.question, "\n".join([*self._lines(), self.because]))

    def _lines(self) -> list[str]:
        predicted = [f"You predicted: {self.predicted}"] if self.state == WRONG else []
        return [*predicted, f"What happened: {self.happened}"]


class Prediction(widgets.VBox):
    """A question with radio buttons: you commit to an option, run the cells, and compare.

    Parameters
    ----------
    question : Question
        What to ask.
    """

    def __init__(self, question: Question):
        self._question = question
        self._chosen: Option | None = None
        self._revealed = False
        labels = [(unmarked(option.says), number) for number, option in enumerate(question.options)]
        self._radio = widgets.RadioButtons(options=labels, value=None, layout={"width": "auto"})
        self.button = widgets.Button(description="Commit", tooltip="Commit to this option", disabled=True)
        self.button.on_click(lambda _: self._commit(question.options[self._radio.value]))
        self._radio.observe(self._enable, "value")
        self._note = widgets.HTML(theme.note("Choose, and commit before you run the next cells."))
        heading = widgets.HTML(theme.title("What will happen?", question.id) + html(question.asks))
        super().__init__([heading, self._radio, widgets.HBox([self.button, self._note])])
        self.add_class("rpclab-card")

    @property
    def committed(self) -> str | None:
        """The option that was committed to, or None."""
        return self._chosen.says if self._chosen else None

    def commit(self, option: int | str) -> Prediction:
        """Commit to an option, as a click does.

        Parameters
        ----------
        option : int or str
            Its number, from 1, or its words.

        Raises
        ------
        InvalidOption
            If there is no such option.
        LabError
            If you committed before, or what happens was already revealed.
        """
        options = self._question.options
        numbers = dict(enumerate(options, 1)) | {o.says: o for o in options} | {unmarked(o.says): o for o in options}
        if isinstance(option, bool) or not isinstance(option, int | str) or option not in numbers:
            raise InvalidOption(
                f"{option!r} is no option of {self._question.id!r}: give a number from 1 to {len(options)}."
            )
        if self._chosen or self._revealed:
            why = f"you predicted {self.committed!r}" if self._chosen else "you know what happens"
            raise LabError(f"The prediction is fixed: {why}. To try again: rpclab.predict({self._question.id!r}).")
        self._commit(numbers[option])
        return self

    def observed(self, value: object) -> Comparison:
        """Compare the prediction with what was observed.

        Parameters
        ----------
        value : object
            What the cells showed, for example ``lab.queues()["addition"]["ready"]``.
        """
        happened, chosen = self._question.option(value), self._chosen
        state = NOT_MADE if chosen is None else RIGHT if chosen is happened else WRONG
        if chosen and not self._revealed:
            record.note(record.PREDICTIONS, self._question.id, state, chosen.key)
        self._revealed = True
        self._lock("You know now what happens." if chosen is None else f"You committed to: {chosen.says}")
        reasons = [chosen.because] if chosen and state == WRONG else []
        reasons += [happened.because] if happened else ["None of the options says that: look at the cells again."]
        says = happened.says if happened else f"`{value!r}`"
        return Comparison(self._question.id, state, chosen.says if chosen else "", says, "\n".join(reasons))

    def reveal(self) -> Comparison:
        """Compare the prediction with what always happens."""
        return self.observed(self._question.happens)

    def __str__(self) -> str:
        options = [
            f"  {number}. {option.says}{'  (committed)' if option is self._chosen else ''}"
            for number, option in enumerate(self._question.options, 1)
        ]
        return "\n".join([plain(self._question.asks), *options])

    def __repr__(self) -> str:
        return f"Prediction({self._question.id!r})"

    def _enable(self, change: Bunch) -> None:
        self.button.disabled = change.new is None or self._radio.disabled

    def _commit(self, option: Option) -> None:
        self._chosen = option
        self._radio.value = self._question.options.index(option)
        self._lock(f"You committed to: {option.says}")

    def _lock(self, said: str) -> None:
        self._radio.disabled = self.button.disabled = True
        self._note.value = theme.note(unmarked(said))


def predict(id: str) -> Prediction:
    """Ask for a prediction: show it, commit to an option, run the cells, and compare with ``observed`` or ``reveal``.

    Parameters
    ----------
    id : str
        The lesson's number and the prediction's name.

    Raises
    ------
    InvalidOption
        If there is none; the message lists those of the lesson.
    """
    return Prediction(catalogue.question(id))
