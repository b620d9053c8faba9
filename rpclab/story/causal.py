"""The order in which the steps of messages are drawn: causes before effects, and otherwise the same in each run.

In the tap's order, causes come before effects. But of two things that happen on different connections at about the same
time, either may come first, by chance. Only such steps change places here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
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
# Further apart may be what a connection does in one go, such as a reply and its acknowledgement: on a busy machine, a
# server gets the processor late to acknowledge what the broker has confirmed, and meanwhile others use the reply.
ONE_GO_SECONDS = 0.5
SETTLING = (ACKED, REJECTED, REQUEUED)
DOING = (PUBLISHED, *SETTLING)  # what a client does; all else, the broker does


def in_causal_order(steps: Iterable[Step]) -> list[Step]:
    """Return steps in an order in which each comes after all that can have caused it.

    Of the steps that could be next, `_keys` chooses: first, what a connection does in one go, such as an
    acknowledgement after the reply; then what is delivered to an idle consumer, just after its publishing; then what is
    published; then what a worker has done. Messages keep the order of their numbers.
    """
    left = sorted(steps, key=lambda step: step.order)
    begun = _in_one_go(left)
    keys, causes = _keys(left, begun), _causes(left, begun)
    goes_on = {begun[step.order].order: step for step in left if step.order in begun and step.what in DOING}
    ordered: dict[int, Step] = {}
    while left:
        near = [*_together(left[0], left), *filter(None, [goes_on.get(next(reversed(ordered), 0))])]
        ready = (step for step in near if causes[step.order] <= ordered.keys())
        following = min(ready, key=lambda step: keys[step.order])
        left.remove(following)
        ordered[following.order] = following
    return list(ordered.values())


def _in_one_go(steps: list[Step]) -> dict[int, Step]:
    """Return, for each step that a connection does in one go with the one before, that one."""
    begun: dict[int, Step] = {}
    done: dict[int, Step] = {}
    for step in steps:
        before = done.get(step.link)
        if step.what in (*DOING, LOST):
            done[step.link] = step
        if before and (before.time == step.time or (
            # The second of several replies waits until the broker has confirmed the first.
            _reacts(step) and not _follows_another(step) and _asked(before) is _asked(step)
            and step.time - before.time <= ONE_GO_SECONDS
        )):
            begun[step.order] = before
    return begun


def _causes(steps: list[Step], begun: Mapping[int, Step]) -> dict[int, set[int]]:
    """Return for each step the earlier ones that can have caused it, among those near enough to change places."""
    causes: dict[int, set[int]] = {}
    for position, step in enumerate(steps):
        since = begun.get(step.order, step).time
        near = _together(step, reversed(steps[:position]), max(TOGETHER_SECONDS, step.time - since))
        causes[step.order] = {earlier.order for earlier in near if _may_cause(earlier, step)}
    return causes


def _together(step: Step, others: Iterable[Step], seconds: float = TOGETHER_SECONDS) -> Iterator[Step]:
    """Return those steps that are near enough to one."""
    return takewhile(lambda other: abs(other.time - step.time) <= seconds, others)


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


def _keys(steps: list[Step], begun: Mapping[int, Step]) -> dict[int, tuple]:
    """Return each step's sort key, for where causes do not decide."""
    keys: dict[int, tuple] = {}
    for step in steps:
        rank = 0 if step.order in begun else 3 if _reacts(step) else 2 if step.what == PUBLISHED else 1
        keys[step.order] = rank, _asked(step).number, step.message.number, step.queue, step.order
    return keys


def _reacts(step: Step) -> bool:
    return step.what in SETTLING or (step.what == PUBLISHED and step.message.kind == REPLY)


def _follows_another(step: Step) -> bool:
    return step.what == PUBLISHED and (step.message.properties.headers or {}).get(NUMBER, 1) != 1


def _asked(step: Step) -> Message:
    return step.message.request or step.message
