"""What became of a client's requests, and of the replies that nobody waits for."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

REMEMBERED = 10_000


@dataclass
class Stats:
    """What became of a client's requests so far.

    Attributes
    ----------
    sent, answered, failed, timed_out, returned : int
        Requests sent; those answered with a result, answered with an error, not answered in time, and handed back by
        the broker because no queue took them.
    resent : int
        How often a request was sent once more, by a client with ``retry``.
    late, duplicate, unknown : int
        Replies that were dropped: after the deadline, a second time, or for no request of this client.
    """

    sent: int = 0
    answered: int = 0
    failed: int = 0
    timed_out: int = 0
    returned: int = 0
    late: int = 0
    duplicate: int = 0
    unknown: int = 0
    resent: int = 0
    _ended: OrderedDict[str, str] = field(default_factory=OrderedDict, repr=False, compare=False)

    def remember(self, correlation_id: str, how: str) -> None:
        """Remember for a while what became of a request: ``answered``, ``returned`` or ``timed out``."""
        self._ended[correlation_id] = how
        if len(self._ended) > REMEMBERED:
            self._ended.popitem(last=False)

    def count_stray(self, correlation_id: str | None) -> None:
        """Count a reply that no call waits for."""
        became = self._ended.get(correlation_id)
        if became == "answered":
            self.duplicate += 1
        elif became == "timed out":
            self.late += 1
        else:
            self.unknown += 1
