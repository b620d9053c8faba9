"""What a virtual host consists of now, as a graph in Mermaid's language, which JupyterLab draws.

The grammar: https://mermaid.js.org/syntax/flowchart.html.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from rpclab.story.diagram import MERMAID, Picture, escaped, place, printable, spoken


def topology(
    queues: Iterable[Mapping], bindings: Iterable[Mapping], exchanges: Iterable[Mapping],
    consumers: Mapping[str, Sequence[str]],
) -> Picture:
    """Return a graph of exchanges, bindings, queues and consumers; see `Lab.topology`.

    Parameters
    ----------
    queues, bindings, exchanges : iterable of mapping
        Rows of `Lab.queues`, `Lab.bindings` and `Lab.exchanges`.
    consumers : mapping of str to sequence of str
        The names of the connections that consume from each queue, by its real name.
    """
    bindings = [binding for binding in bindings if binding["exchange"] != "(default)"]
    bound = {binding["exchange"] for binding in bindings}
    types = {exchange["name"]: exchange["type"] for exchange in exchanges}
    shapes, edges, text, names = {}, [], [], {}
    for name in sorted(bound | {name for name in types if not name.startswith(("amq.", "(default)"))}):
        shapes["exchange", name] = f'{{{{"{escaped(name)}<br/>{escaped(types.get(name, "?"))} exchange"}}}}'
        text.append(f"exchange {name} ({types.get(name, '?')})")
    for queue in queues:
        counts = f"{_count(queue['ready'])} ready, {_count(queue['unacked'])} unacked"
        names[queue["queue"]] = queue["name"]
        shapes["queue", queue["queue"]] = f'[["{escaped(queue["name"])}<br/>{counts}"]]'
        text.append(f"{place(queue['name'])}: {counts}")
    for binding in bindings:
        kind, key = binding["kind"], binding["routing key"]
        edges.append((("exchange", binding["exchange"]), (kind, binding["destination name"]), key))
        text.append(f"{binding['exchange']} -> {binding['destination']}" + (f" by {key!r}" if key else ""))
    for taken, consuming in consumers.items():
        for name in dict.fromkeys(consuming):
            count = consuming.count(name)
            shapes["consumer", name] = f'(["{escaped(name)}"])'
            edges.append((("queue", taken), ("consumer", name), "" if count == 1 else f"{count} consumers"))
            text.append(f"{names[taken]} -> {name}" + (f" ({count} consumers)" if count > 1 else ""))
    ids = {thing: f"n{number}" for number, thing in enumerate(shapes, 1)}
    said = printable("\n".join(text) or "(no queues)")
    source = ["flowchart LR", *spoken("Exchanges, queues and consumers", said)]
    source += [f"    {ids[thing]}{shape}" for thing, shape in shapes.items()]
    for start, end, label in edges:
        if start in ids and end in ids:
            source.append(f"    {ids[start]} -->" + (f'|"{escaped(label)}"|' if label else "") + f" {ids[end]}")
    return Picture(MERMAID, "\n".join(source), said)


def _count(value: int | None) -> str:
    return "?" if value is None else str(value)
