"""Messages as a chart with a lane for each queue and process, in the language of Vega-Lite, which JupyterLab draws.

The grammar: https://vega.github.io/vega-lite/docs/.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rpclab.story.diagram import Picture, ends, place, printable
from rpclab.wire.messages import DEAD_LETTERED, Message

VEGALITE = "application/vnd.vegalite.v5+json"
MOST_BARS = 200
# Very short phases are drawn as this part of the whole, so that they are visible, and without a label.
SHORTEST_SHOWN = 150
SHORTEST_LABELLED = 10
COLOURS = {"waiting": "#f2c14e", "held": "#5b9bd5"}


def timeline(
    messages: Sequence[Message], now: float, shown: Callable[[str], str] = str, *, round_to: float = 0.001,
    most: int = MOST_BARS,
) -> Picture:
    """Return a chart with a lane for each queue and each process; see `Story.timeline`."""
    first, last = ends(messages, most)
    chosen = [*first, *last]
    begin = min((message.time for message in chosen), default=now)

    def rounded(moment: float) -> float:
        return round(round((moment - begin) / round_to) * round_to, 6)

    bars: list[dict] = [
        {"lane": lane, "phase": phase, "message": message.name, "start": rounded(start), "stop": rounded(stop)}
        for message in chosen for lane, phase, start, stop in _phases(message, now, shown)
        if phase != "waiting" or rounded(stop) > rounded(start)
    ]
    lanes = list(dict.fromkeys(bar["lane"] for bar in bars))
    bars.sort(key=lambda bar: (bar["start"], bar["lane"], bar["message"]))
    left_out = f", {len(messages) - len(chosen):,} messages left out" if len(chosen) < len(messages) else ""
    return Picture(VEGALITE, _chart(bars, lanes, left_out), _timeline_text(bars, lanes) + left_out)


def _phases(message: Message, now: float, shown: Callable[[str], str]) -> list[tuple[str, str, float, float]]:
    """Return lane, phase, begin and end of each phase of a message."""
    phases: list[tuple[str, str, float, float]] = []
    left: dict[str, float] = {}
    for delivery in message.deliveries:
        came = left.get(delivery.queue, _first_came(message, delivery.queue))
        phases.append((place(shown(delivery.queue)), "waiting", came, delivery.time))
        left[delivery.queue] = until = delivery.settled if delivery.settled is not None else now
        if until > delivery.time:
            phases.append((delivery.to, "held", delivery.time, until))
    if message.state(now) in ("waiting", "waiting again", "expired") and not message.exchange:
        came = max([message.time, *left.values()])
        gone = message.deadline if message.deadline is not None and message.deadline < now else now
        waits = ", ".join(map(shown, message.places))
        phases.append((place(waits), "waiting", came, max(came, gone)))
    return phases


def _first_came(message: Message, queue: str) -> float:
    """Return when a message came into a queue for the first time."""
    moved = [step.who for step in message.steps if step.what == DEAD_LETTERED and step.queue == queue]
    settled = [delivery.settled for delivery in message.deliveries if delivery.queue in moved and delivery.settled]
    return max(settled, default=message.time)


def _chart(bars: list[dict], lanes: list[str], left_out: str) -> dict:
    longest = max((bar["stop"] for bar in bars), default=0)
    shown = [
        bar | {
            "end": round(max(bar["stop"], bar["start"] + longest / SHORTEST_SHOWN), 6),
            "label": bar["message"] if bar["stop"] - bar["start"] > longest / SHORTEST_LABELLED else "",
        }
        for bar in bars
    ]
    y = {"field": "lane", "type": "nominal", "sort": lanes, "title": None, "axis": {"labelLimit": 260}}
    x = {"field": "start", "type": "quantitative", "title": f"seconds since the first message{left_out}"}
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "description": "A lane for each queue and process; bars are messages that wait or are held unacked.",
        "width": 560,
        "height": {"step": 30},
        "data": {"values": shown},
        "layer": [
            {
                "mark": {"type": "bar", "cornerRadius": 3, "stroke": "#333", "strokeWidth": 0.5},
                "encoding": {
                    "y": y, "x": x, "x2": {"field": "end"},
                    "color": {
                        "field": "phase", "type": "nominal", "title": None,
                        "scale": {"domain": list(COLOURS), "range": list(COLOURS.values())},
                        "legend": {"orient": "top"},
                    },
                    "tooltip": [{"field": name} for name in ("message", "phase", "start", "stop")],
                },
            },
            {
                "mark": {"type": "text", "align": "left", "dx": 3, "fontSize": 11, "color": "#111", "clip": True},
                "encoding": {"y": y, "x": x, "text": {"field": "label"}},
                "transform": [{"filter": "datum.phase != 'waiting'"}],
            },
        ],
    }


def _timeline_text(bars: list[dict], lanes: list[str]) -> str:
    if not bars:
        return "(no messages)"
    width = max(len(lane) for lane in lanes)
    rows = []
    for lane in lanes:
        told = [
            f"{bar['message']} {bar['phase']} {bar['start']:g}-{bar['stop']:g}" for bar in bars if bar["lane"] == lane
        ]
        rows.append(f"{lane:<{width}}  " + "; ".join(told))
    return printable("\n".join(rows))
