"""The boxes of the control room, those that nothing has happened in yet included, with their buttons."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from rpclab.case_study import CaseStudy
from rpclab.operate.breaking import CUT, FAULTS, FREEZE
from rpclab.operate.crew import Crew
from rpclab.operate.desk import Desk
from rpclab.rpc.protocol import (
    ADDITION_CALLBACK_QUEUE,
    ADDITION_QUEUE,
    FIBONACCI_CALLBACK_QUEUE,
    FIBONACCI_QUEUE,
)
from rpclab.rpc.workers import Workers
from rpclab.story.board import CLIENT, QUEUE, WORKER, Place
from rpclab.story.boxes import CALLBACK
from rpclab.story.world import World
from rpclab.widgets.pane import act
from rpclab.widgets.worker_board import process_acts

QUEUES = (ADDITION_QUEUE, FIBONACCI_QUEUE, ADDITION_CALLBACK_QUEUE, FIBONACCI_CALLBACK_QUEUE)
ENDED_SHOWN = 1


def places(system: CaseStudy, crew: Crew, clients: Iterable[str]) -> dict[Place, str]:
    """Return the places that have a box in any case, with their lanes."""
    found = {Place(QUEUE, queue): "" for queue in QUEUES} | {Place(CLIENT, name): "" for name in clients}
    for pool in system.pools:
        role, lane = (CLIENT, CALLBACK) if _takes_replies(system, pool) else (WORKER, "")
        workers = crew.of(pool)
        ended = [worker.name for worker in workers if not worker.alive][-ENDED_SHOWN:]
        found |= {Place(role, w.name): lane for w in workers if w.alive or w.name in ended}
    return found


def acts_on_everything() -> list[dict]:
    """Return the buttons above the picture."""
    return [
        act("start", "Start everything", "Start the servers and the callback workers", main=True),
        act("stop", "Stop everything", "Stop all processes"),
        act("repair", "Repair everything", "Undo all faults"),
    ]


def groups(system: CaseStudy) -> dict[str, dict]:
    """Return each kind of process as the front end draws it: where it is, and its buttons."""
    return {pool.name: _group(pool.name, takes_replies=_takes_replies(system, pool)) for pool in system.pools}


def _group(name: str, *, takes_replies: bool) -> dict:
    faults = [
        act("break_it", fault.button, f"Send a request, and look: {fault.look_for}", fault.name)
        for fault in FAULTS if fault.servers == name
    ]
    return {
        "column": "client" if takes_replies else "worker", "lane": takes_replies,
        "acts": [act("start_one", "+ 1", f"Start one more {name}", name)], "faults": faults,
    }


def _takes_replies(system: CaseStudy, pool: Workers) -> bool:
    return pool in (system.addition_callbacks, system.fibonacci_callbacks)


def add_acts(box: dict, desks: Mapping[str, Desk], world: World) -> None:
    """Add the buttons to the box of a queue or a process, and the form to that of a client."""
    name = box["key"].partition(":")[2]
    if box["role"] == QUEUE and name in world.queues:
        title = f"Delete the ready messages of {box['name']}"
        box["acts"] = [act("purge", "purge", title, name, ask=f"purge {box['ready']:,}?")]
    elif name in desks:
        box["form"] = {**desks[name].form, "client": name, "acts": [
            act("cut", "Cut", f"Cut this client's connection. Look: {CUT}", name),
            act("freeze", "Freeze", f"Hold back all replies to this client. Look: {FREEZE}", name),
        ]}
    elif name in world.processes:
        box["acts"] = process_acts(name, world.processes[name])
