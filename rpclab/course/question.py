"""A prediction's question, with the options that people really choose."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Option:
    """One thing that might happen.

    Attributes
    ----------
    says : str
        The option's text.
    value : object
        What would be observed then.
    because : str
        Why the option is right, or what is wrong with the idea behind it.
    """

    says: str
    value: object
    because: str

    @property
    def key(self) -> str:
        """What a record says of it; it stays the same when the text is reworded."""
        return repr(self.value)


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
        """Return the option that predicts a value, or None."""
        return next((option for option in self.options if option.value == value), None)
