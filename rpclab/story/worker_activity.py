"""What each process holds and has done, from the lab's story."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from rpclab.rpc.reliability.reply_memory import SUFFIX
from rpclab.story.story import Story
from rpclab.wire.messages import ACKED, LOST, REJECTED, REQUEUED, Step

PROCESSES_KEPT = 1_000


@dataclass
class Record:
    """One process's work, as far as the lab remembers.

    Attributes
    ----------
    done : int
        Deliveries that it acknowledged, or that counted as acknowledged at once.
    redelivered : int
        Deliveries that were not the first of their message.
    held : dict of tuple to Step
        The deliveries that it holds, in the order in which they came.
    """

    done: int = 0
    redelivered: int = 0
    held: dict[tuple[int, str], Step] = field(default_factory=dict)


class Work:
    """Follows the processes of a lab, by their pids: two of them may have the same name.

    Parameters
    ----------
    story : Story
        The lab's messages.
    changed : callable
        Called in the tap's thread when something changed.
    """

    def __init__(self, story: Story, changed: Callable[[], None]):
        self._changed = changed
        self._lock = threading.Lock()
        self._records: OrderedDict[int, Record] = OrderedDict()
        self.close = story.listen(self._take, past=True)

    def of(self, pid: int | None) -> Record:
        """Return a copy of what is known of one process; empty for one that has no pid yet."""
        with self._lock:
            record = Record() if pid is None else self._records.get(pid, Record())
            return Record(record.done, record.redelivered, dict(record.held))

    def _take(self, step: Step) -> None:
        # What a service looks up in its memory of replies is no request.
        if step.pid is not None and step.what in _STEPS and not step.queue.endswith(SUFFIX):
            with self._lock:
                record = self._records.setdefault(step.pid, Record())
                self._records.move_to_end(step.pid)
                _STEPS[step.what](self, step, record)
                if len(self._records) > PROCESSES_KEPT:
                    self._records.popitem(last=False)
            self._changed()

    def _delivered(self, step: Step, record: Record) -> None:
        record.redelivered += step.redelivered
        if step.auto_acked:
            record.done += 1
        else:
            record.held[_key(step)] = step

    def _acked(self, step: Step, record: Record) -> None:
        record.done += 1
        self._given_up(step, record)

    def _given_up(self, step: Step, record: Record) -> None:
        record.held.pop(_key(step), None)


def _key(step: Step) -> tuple[int, str]:
    return step.message.number, step.queue


_STEPS = {
    "delivered": Work._delivered,
    ACKED: Work._acked,
    REJECTED: Work._given_up,
    REQUEUED: Work._given_up,
    LOST: Work._given_up,
}
