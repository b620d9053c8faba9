"""What the picture in the browser is drawn from: a small description of all that is to be seen, sent as a whole."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable

from rpclab.table import shortened
from rpclab.widgets.flow_boxes import OTHERS, Box, boxes, consuming, fewer
from rpclab.widgets.flow_chips import CLIENT, EXCHANGE, QUEUE, Chip, Move, Place
from rpclab.widgets.flow_details import details, state
from rpclab.widgets.flow_state import TOTALS, FlowState, summary
from rpclab.wire.diagram import printable
from rpclab.wire.messages import Message, Step
from rpclab.wire.registry import Registry

RECENT = 8
LABEL_SHOWN = 8
NAME_SHOWN = 120
# More messages than these in one update are drawn as one thick chip for each way.
MOST_CHIPS_MOVED = 30
MOST_LINES = 60
_FORWARD = ("published", "routed", "delivered", "dead-lettered")


class Scene:
    """Describes a flow's state, again and again.

    Parameters
    ----------
    flow : FlowState
        Where everything is.
    registry : Registry
        Who consumes now.
    """

    def __init__(self, flow: FlowState, registry: Registry):
        self._flow = flow
        self._registry = registry
        self._recent: deque[Message] = deque(maxlen=RECENT)
        self._lines: dict[tuple[Place, Place], None] = {}
        self._batch = 0

    def note(self, step: Step) -> None:
        """Take note of a step, for the list of recent messages."""
        first = step.what == "published" or (step.message.publisher is None and step.message not in self._recent)
        if first and step.message not in self._recent:
            self._recent.append(step.message)

    def describe(self, connected: set[str], now: float, selected: Message | None, status: str) -> dict:
        """Return the description, with what moved since the last one.

        Parameters
        ----------
        connected : set of str
            The names of the connections that are open.
        now : float
            In seconds of ``time.monotonic()``.
        selected : Message, optional
            Whose details are shown.
        status : str
            A line about the whole, or nothing.
        """
        self._batch += 1
        moves, self._flow.chips.moves = self._flow.chips.moves, []
        self._draw_lines(moves)
        shown = fewer(boxes(self._flow, self._registry, connected))
        keys = {_key(box.place) for box in shown}
        chips = {chip.number: chip for box in shown for chip in box.chips}
        messages = {chip.message.number: chip.message for chip in chips.values()}
        messages |= {message.number: message for message in (*self._recent, *([selected] if selected else ()))}
        return {
            "batch": self._batch,
            "boxes": [_box(box) for box in shown],
            "chips": {str(number): _chip(chip) for number, chip in chips.items()},
            "lines": [line for line in map(_line, self._all_lines()) if keys.issuperset(line)],
            "moves": _moves(moves),
            "totals": {name: self._flow.totals[name] for name in TOTALS},
            "summary": summary(self._flow.totals),
            "recent": [_recent(message, now) for message in reversed(self._recent)],
            "details": {str(n): details(one, now, self._flow.routing.shown) for n, one in messages.items()},
            "status": status,
        }

    def _draw_lines(self, moves: Iterable[Move]) -> None:
        for move in moves:
            if move.how in _FORWARD and len(self._lines) < MOST_LINES:
                self._lines[move.source, move.target] = None

    def _all_lines(self) -> list[tuple[Place, Place]]:
        now = [(Place(QUEUE, queue), consumer) for queue, consumer in consuming(self._flow, self._registry)]
        return list(dict.fromkeys([*self._lines, *now]))[: 2 * MOST_LINES]


def _key(place: Place) -> str:
    return f"{place.role}:{place.name}"


def _line(line: tuple[Place, Place]) -> list[str]:
    return [_key(place) for place in line]


def _box(box: Box) -> dict:
    name = box.note if box.place.name.startswith(OTHERS) else shortened(printable(box.place.name), NAME_SHOWN)
    return {
        "key": _key(box.place), "role": box.place.role, "lane": box.lane, "name": name, "said": _said(box),
        "gone": box.gone, "count": len(box.chips) and (box.waiting or box.unacked), "waiting": box.waiting,
        "unacked": box.unacked, "chips": [chip.number for chip in box.chips],
    }


def _said(box: Box) -> list[str]:
    """Return a box's counts in words, in one line or two."""
    published, acked = f"{box.published:,} published", f"{box.done:,} acked"
    waiting, unacked = f"{box.waiting:,} waiting", f"{box.unacked:,} unacked"
    note = "" if box.place.name.startswith(OTHERS) else box.note
    if box.place.role == QUEUE:
        lines = [[note]] if box.gone else [[note], [waiting, unacked]]
    elif box.place.role == EXCHANGE:
        lines = [[note], [published]]
    elif box.place.role == CLIENT and not box.lane:
        lines = [[note, published], [unacked, acked]]
    else:
        lines = [[note, acked] if box.gone else [note, unacked, acked]]
    return [" \u00b7 ".join(filter(None, line)) for line in lines if any(line)]


def _chip(chip: Chip) -> dict:
    message = chip.message
    return {
        "message": message.number, "name": message.name, "label": _label(message), "kind": message.kind,
        "redelivered": chip.redelivered,
    }


def _label(message: Message) -> str:
    return shortened(printable(message.text()).replace("\n", " "), LABEL_SHOWN) or "(empty)"


def _recent(message: Message, now: float) -> dict:
    return {
        "message": message.number, "name": message.name, "kind": message.kind,
        "label": shortened(printable(message.text(24)).replace("\n", " "), 24) or "(empty)",
        "state": state(message, now),
    }


def _moves(moves: list[Move]) -> list[dict]:
    if len({move.chip.message.number for move in moves}) <= MOST_CHIPS_MOVED:
        return [_move(move) for move in moves]
    together = Counter((move.source, move.target, move.how) for move in moves if move.target)
    return [
        {"from": _key(source), "to": _key(target), "how": how, "count": count}
        for (source, target, how), count in together.items()
    ]


def _move(move: Move) -> dict:
    request = move.chip.message.request
    return {
        **_chip(move.chip), "chip": move.chip.number, "redelivered": move.redelivered, "how": move.how,
        "from": _key(move.source), "to": _key(move.target) if move.target else None,
        "after": request.number if request else None,
    }
