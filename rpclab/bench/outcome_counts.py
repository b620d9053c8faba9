"""Counts what happened to the calls of a soak."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import asdict, dataclass, field

from rpclab.table import Table


@dataclass
class Tally:
    """Calls by their outcome.

    Attributes
    ----------
    sent, answered, lost, mismatched : int
        Calls made; those that ended with their answer, with neither answer nor error, and with another one's answer.
    errors : collections.Counter
        Calls that ended with an error, by the name of its class.
    duplicate, late, unknown : int
        Replies that the clients dropped: to a call that was answered before, that had timed out, or that they never
        made.
    kills, cuts : int
        How many workers were killed and connections cut.
    seconds : float
        How long it took until the last call had ended.
    """

    sent: int = 0
    answered: int = 0
    lost: int = 0
    mismatched: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    duplicate: int = 0
    late: int = 0
    unknown: int = 0
    kills: int = 0
    cuts: int = 0
    seconds: float = 0.0

    @property
    def sound(self) -> bool:
        """Whether each call has ended, and none with an answer that belongs to another."""
        return not self.lost and not self.mismatched

    def take(self, call: Future, expected: str, patience: float) -> None:
        """Wait for a call's end and count it; one that has not ended after the given seconds counts as lost."""
        self.sent += 1
        try:
            answer = call.result(patience)
        except FutureTimeout:
            self.lost += 1
        except Exception as error:  # noqa: BLE001  an error that is not the lab's own is worth a line as well
            self.errors[type(error).__name__] += 1
        else:
            self.answered += answer == expected
            self.mismatched += answer != expected

    def __add__(self, other: Tally) -> Tally:
        return Tally(**{name: value + getattr(other, name) for name, value in vars(self).items()})

    def plain(self) -> dict:
        """Return the counts as a plain dictionary."""
        return asdict(self) | {"errors": dict(self.errors), "sound": self.sound}

    def table(self) -> Table:
        """Return the counts as they are printed."""
        counts = self.plain()
        errors = {f"error: {kind}": count for kind, count in sorted(counts.pop("errors").items())}
        counts |= {"seconds": round(self.seconds, 1)}
        return Table(("what", "count"), [{"what": what, "count": count} for what, count in (counts | errors).items()])
