"""The order in which the steps of messages are drawn: causes before effects, and otherwise the same in each run.

In the tap's order, causes come before effects. But of two things that happen on different connections at about the same
time, either may come first, by chance. Only such steps change places here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import takewhile

from rpclab.rpc.protocol import NUMBER
from rpclab.wire.messages import (
    ACKED,
    BACK_IN_THE_QUEUE,
    DEAD_LETTERED,
    DELIVERED,
    LOST,
    PUBLISHED,
    REJECTED,
    REPLY,
    REQUEUED,
    Message,
    Step,
)

# Steps that the tap saw further apart keep their order, even if they are unrelated.
TOGETHER_SECONDS = 0.1
SETTLING = (ACKED, REJECTED, REQUEUED)
DOING = (PUBLISHED, *SETTLING)  # what a client does; all else, the broker does


def in_causal_order(steps: Iterable[Step]) -> list[Step]:
    """Return steps in an order in which each comes after all that can have caused it.

    Of the steps that could be next, `_keys` chooses: first, what a connection does in one go, such as an
    acknowledgement after the reply; then what is delivered to an idle consumer, just after its publishing; then what is
    published; then what a worker has done. Messages keep the order of their numbers.
    """
    left = sorted(steps, key=lambda step: step.order)
    keys, causes = _keys(left), _causes(left)
    ordered: dict[int, Step] = {}
    while left:
        ready = (step for step in _together(left[0], left) if causes[step.order] <= ordered.keys())
        following = min(ready, key=lambda step: keys[step.order])
        left.remove(following)
        ordered[following.order] = following
    return list(ordered.values())


def _causes(steps: list[Step]) -> dict[int, set[int]]:
    """Return for each step the earlier ones that can have caused it, among those near enough to change places."""
    causes: dict[int, set[int]] = {}
    for position, step in enumerate(steps):
        near = _together(step, reversed(steps[:position]))
        causes[step.order] = {earlier.order for earlier in near if _may_cause(earlier, step)}
    return causes


def _together(step: Step, others: Iterable[Step]) -> Iterator[Step]:
    """Return those steps that are near enough to one."""
    return takewhile(lambda other: abs(other.time - step.time) <= TOGETHER_SECONDS, others)


def _may_cause(earlier: Step, later: Step) -> bool:
    """Return whether one step can have caused another that the tap saw later."""
    if earlier.link == later.link or later.what == LOST:  # the answer to anything may be to kill a process
        return True
    if earlier.message is later.message:
        whole = {PUBLISHED, DEAD_LETTERED} & {earlier.what, later.what}
        return bool(whole) or earlier.queue == later.queue  # an exchange puts two copies into two queues
    if earlier.message is later.message.request:
        return not (earlier.what in SETTLING and later.what != PUBLISHED)
    if later.message is earlier.message.request:
        return not (later.what in SETTLING and earlier.what != PUBLISHED)
    if later.what == DELIVERED and earlier.queue == later.queue and earlier.what in (DELIVERED, *BACK_IN_THE_QUEUE):
        return True
    return later.what in DOING and earlier.pid is not None and earlier.pid == later.pid


def _keys(steps: list[Step]) -> dict[int, tuple]:
    """Return each step's sort key, for where causes do not decide."""
    keys: dict[int, tuple] = {}
    done: dict[int, Step] = {}
    for step in steps:
        before, asked = done.get(step.link), _asked(step)
        if step.what in (*DOING, LOST):
            done[step.link] = step
        reacts = step.what in SETTLING or (step.what == PUBLISHED and step.message.kind == REPLY)
        # The second of several replies waits until the broker has confirmed the first.
        at_one_go = reacts and not _follows_another(step)
        if before and (before.time == step.time or (at_one_go and _asked(before) is asked)):
            rank = 0
        else:
            rank = 3 if reacts else 2 if step.what == PUBLISHED else 1
        keys[step.order] = rank, asked.number, step.message.number, step.queue, step.order
    return keys


def _follows_another(step: Step) -> bool:
    return step.what == PUBLISHED and (step.message.properties.headers or {}).get(NUMBER, 1) != 1


def _asked(step: Step) -> Message:
    return step.message.request or step.message
