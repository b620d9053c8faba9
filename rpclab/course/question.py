"""What a prediction asks: a question whose options are the answers that people really give."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Option:
    """One thing that might happen.

    Attributes
    ----------
    says : str
        What happens, to be chosen.
    value : object
        What would be observed then.
    because : str
        Of the right option, why it is so; of a wrong one, what is wrong with the idea behind it.
    """

    says: str
    value: object
    because: str


@dataclass(frozen=True)
class Question:
    """A question about what the next cells will show.

    Attributes
    ----------
    id : str
        The lesson's number and a few words: ``04-killed-worker``.
    asks : str
        The question.
    options : tuple of Option
        What might happen, each with a value of its own.
    happens : object
        The value of the option that is right.
    """

    id: str
    asks: str
    options: tuple[Option, ...]
    happens: object

    def option(self, value: object) -> Option | None:
        """Return the option that foretells a value, if one does."""
        return next((option for option in self.options if option.value == value), None)
