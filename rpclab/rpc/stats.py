"""What happened to a client's requests, and to the replies that match none of them."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

REMEMBERED = 10_000


@dataclass
class Stats:
    """What happened to a client's requests so far.

    Attributes
    ----------
    sent, answered, failed, timed_out, returned : int
        Requests sent; those answered with a result, answered with an error, not answered in time, and those that the
        broker sent back or rejected because no queue took them. Calls that were cancelled, or ended with the connection
        or the client, are in ``sent`` alone.
    resent : int
        How often a request was sent once more, by a client with ``retry``.
    late, duplicate, unknown : int
        Replies that were dropped: after the call was given up, a second one for a request, or for no request of this
        client.

    Notes
    -----
    Only the client's thread counts. While a lost connection closes, there may be two such threads; no addition is lost,
    because CPython does not switch threads within ``stats.late += 1``.
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
    _without_id: int = field(default=0, repr=False, compare=False)
    _ended: OrderedDict[str, str] = field(default_factory=OrderedDict, repr=False, compare=False)

    def remember(self, correlation_id: str, how: str) -> None:
        """Remember for a while how a request ended: ``answered``, ``returned`` or ``given up``."""
        self._ended[correlation_id] = how
        if len(self._ended) > REMEMBERED:
            self._ended.popitem(last=False)

    @property
    def unmatched(self) -> tuple[int, int]:
        """How many replies matched no request of this client: without a correlation id, and with an unknown one."""
        return self._without_id, self.unknown - self._without_id

    def count_unmatched(self, correlation_id: str | None) -> None:
        """Count a reply that no call waits for."""
        became = self._ended.get(correlation_id) if correlation_id else None
        self._without_id += not correlation_id
        if became == "answered":
            self.duplicate += 1
        elif became == "given up":
            self.late += 1
        else:
            self.unknown += 1
