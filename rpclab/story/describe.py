"""The scene: a small description in plain JSON of the picture at one moment, and of what moved.

A scene has ``boxes`` (in their order; ``chips`` in them by number), ``chips`` (number to text), ``lines``
(pairs of boxes), ``moves`` since the scene before, ``summary``, ``status``, and ``time``: the moment.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from rpclab.story.board import CLIENT, EXCHANGE, QUEUE, Board, Move, Place, summary
from rpclab.story.boxes import UNSEEN, Box
from rpclab.story.diagram import printable
from rpclab.table import shortened
from rpclab.wire.messages import Message

# The parts of the drawer under a picture of messages.
MESSAGES_TABS = {"messages": "Messages", "message": "Message"}
LABEL_SHOWN = 8
NAME_SHOWN = 120
# More messages than this in one update are drawn as one thick chip for each path.
MOST_CHIPS_MOVED = 30
_FORWARD = ("published", "routed", "delivered", "dead-lettered")


def scene(boxes: Iterable[Box], lines: Iterable[tuple[Place, Place]], board: Board, moves: list[Move], time: dict,
          *, status: str = "") -> dict:
    """Return a scene.

    Parameters
    ----------
    boxes : iterable of Box
        The boxes to draw.
    lines : iterable of (Place, Place)
        The paths of messages; those between boxes that are not drawn are left out.
    board : Board
        The places of the chips.
    moves : list of Move
        The moves since the last scene.
    time : dict
        The moment; see `rpclab.story.recorder.Recorder`.
    status : str
        A line about the whole, or empty.
    """
    boxes = list(boxes)
    keys = {_key(box.place) for box in boxes}
    return {
        "boxes": [_box(box) for box in boxes],
        "chips": {str(chip.number): _chip(chip.message, chip.redelivered) for box in boxes for chip in box.chips},
        "lines": [line for line in ([_key(start), _key(end)] for start, end in lines) if keys.issuperset(line)],
        "moves": _moves(moves),
        "summary": summary(board.totals),
        "status": status,
        "time": time,
    }


def ways(moves: Iterable[Move]) -> dict[tuple[Place, Place], None]:
    """Return the paths that messages took."""
    return dict.fromkeys((m.source, m.target) for m in moves if m.how in _FORWARD and m.chip and m.target)


def _key(place: Place) -> str:
    return f"{place.role}:{place.name}"


def _box(box: Box) -> dict:
    return {
        "key": _key(box.place), "role": box.place.role, "lane": box.lane, "group": box.group,
        "name": shortened(printable(box.name), NAME_SHOWN), "said": _said(box), "state": _state(box),
        "gone": box.gone, "count": len(box.chips) and (box.ready or box.unacked), "ready": box.ready,
        "unacked": box.unacked, "chips": [chip.number for chip in box.chips],
    }


def _state(box: Box) -> str:
    """Return the state of a process, in a word."""
    if box.place.role in (QUEUE, EXCHANGE) or (box.place.role == CLIENT and not box.lane):
        return box.note if box.gone else ""
    if box.state in ("", "running"):
        return box.note if box.gone else "working" if box.unacked else "idle"
    return box.state


def _said(box: Box) -> str:
    """Return a box's counts as text."""
    published, acked = f"{box.published:,} published", f"{box.done:,} acked"
    ready, unacked = f"{box.ready:,} ready", f"{box.unacked:,} unacked"
    if box.place.role == QUEUE:
        nothing = box.gone or (box.note == UNSEEN and not box.published)
        parts = [box.note] if nothing else [ready, unacked, box.note]
    elif box.place.role == EXCHANGE:
        parts = [box.note, published]
    elif box.place.role == CLIENT and not box.lane:
        parts = [published, unacked if box.unacked else acked if box.done else "", box.note]
    else:
        parts = [unacked if box.unacked > 1 else "", acked]
    return " \u00b7 ".join(filter(None, parts))


def _chip(message: Message, redelivered: bool) -> dict:
    return {
        "message": message.number, "name": message.name, "kind": message.kind, "redelivered": redelivered,
        "label": shortened(printable(message.text()).replace("\n", " "), LABEL_SHOWN) or "(empty)",
    }


def _moves(moves: list[Move]) -> list[dict]:
    moves = [move for move in moves if move.chip]
    if len({move.message.number for move in moves}) <= MOST_CHIPS_MOVED:
        return [_move(move) for move in moves]
    together = Counter((move.source, move.target, move.how) for move in moves if move.target)
    return [
        {"from": _key(source), "to": _key(target), "how": how, "count": count}
        for (source, target, how), count in together.items()
    ]


def _move(move: Move) -> dict:
    request = move.message.request
    return {
        **_chip(move.message, move.redelivered), "chip": move.chip, "how": move.how, "from": _key(move.source),
        "to": _key(move.target) if move.target else None, "after": request.number if request else None,
    }
