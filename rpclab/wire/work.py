"""What each process has taken, has at hand and has done, put together from the lab's story."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

from rpclab.rpc.memory import SUFFIX
from rpclab.wire.frames import Event
from rpclab.wire.messages import ACKED, AUTO_ACKED, LOST, REJECTED, REQUEUED, Step
from rpclab.wire.story import Story
from rpclab.wire.tap import Tap


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
        The deliveries that it has at hand, in the order in which they came.
    """

    done: int = 0
    redelivered: int = 0
    held: dict[tuple[int, str], Step] = field(default_factory=dict)


class Work:
    """Follows the processes of a lab, told apart by their pids: two of them may have a name in common.

    Parameters
    ----------
    story : Story
        The lab's messages.
    tap : Tap
        Its connections, which say which process they belong to.
    changed : callable
        Called in the tap's thread when something changed.
    """

    def __init__(self, story: Story, tap: Tap, changed: Callable[[], None]):
        self._tap = tap
        self._changed = changed
        self._lock = threading.Lock()
        self._pids: dict[int, int | None] = {}
        self._records: defaultdict[int | None, Record] = defaultdict(Record)
        # The story tells of connections by their numbers. Those that are closed by now are known from the tap's events.
        tap.replay(self._meet)()
        self.close = story.listen(self._take, past=True)

    def of(self, pid: int) -> Record:
        """Return a copy of what is known of one process."""
        with self._lock:
            record = self._records[pid]
            return Record(record.done, record.redelivered, dict(record.held))

    def _meet(self, event: Event) -> None:
        self._pids[event.link.number] = event.link.pid

    def _pid(self, link: int) -> int | None:
        if link not in self._pids:
            self._pids.update((each.number, each.pid) for each in self._tap.links())
        return self._pids.setdefault(link, None)

    def _take(self, step: Step) -> None:
        # What a service looks up in its memory of replies is no work that anybody gave it.
        if step.what in _STEPS and not step.queue.endswith(SUFFIX):
            with self._lock:
                _STEPS[step.what](self, step, self._records[self._pid(step.link)])
            self._changed()

    def _delivered(self, step: Step, record: Record) -> None:
        if step.redelivered:
            record.redelivered += 1
            # Who had it before has lost it, though the end of that connection may still be on its way.
            for other in self._records.values():
                other.held.pop(_key(step), None)
        if any(each.outcome == AUTO_ACKED and each.time == step.time for each in step.message.deliveries):
            record.done += 1
        else:
            record.held[_key(step)] = step

    def _acked(self, step: Step, record: Record) -> None:
        record.done += 1
        record.held.pop(_key(step), None)

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
