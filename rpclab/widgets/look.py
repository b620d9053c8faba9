"""How the widgets look: one style for all, in the colours of the theme that JupyterLab uses."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from rpclab.table import shortened

STYLE = """<style>
.rpclab-card { border: 1px solid var(--jp-border-color1, #bdbdbd); border-radius: 6px; padding: 10px 14px 12px;
  background: var(--jp-layout-color1, #fff); max-width: 860px; }
.rpclab-title { font-size: 15px; line-height: 1.5; color: var(--jp-ui-font-color1, #222); }
.rpclab-title code { font-size: 13px; }
.rpclab-note { font-size: 13px; line-height: 1.6; color: var(--jp-ui-font-color2, #555); }
table.rpclab { border-collapse: collapse; width: 100%; font-size: 14px; line-height: 1.5;
  color: var(--jp-ui-font-color1, #222); font-variant-numeric: tabular-nums; }
table.rpclab th { text-align: left; font-weight: 600; padding: 4px 12px 4px 0; white-space: nowrap;
  border-bottom: 1px solid var(--jp-border-color1, #bdbdbd); color: var(--jp-ui-font-color2, #555); }
table.rpclab td { text-align: left; vertical-align: top; padding: 4px 12px 4px 0; max-width: 340px;
  overflow-wrap: anywhere; border-bottom: 1px solid var(--jp-border-color3, #eee); }
.rpclab-state { border-radius: 10px; padding: 1px 9px; font-size: 13px; font-weight: 600; white-space: nowrap; }
.rpclab-state.good { background: #d7f0dd; color: #0b4a1f; }
.rpclab-state.bad { background: #fadcd9; color: #7a1410; }
.rpclab-state.wait { background: #fdeec2; color: #573f00; }
.rpclab-state.calm { background: #dbe9fb; color: #12366b; }
</style>"""

MOODS = {
    "pending": ("wait", "\u2026 pending"),
    "answered": ("good", "\u2713 answered"),
    "failed": ("bad", "\u2715 failed"),
    "timed out": ("bad", "\u2715 timed out"),
    "waiting": ("wait", "\u2026 waiting"),
    "delivered": ("calm", "\u2192 delivered"),
    "acknowledged": ("good", "\u2713 acknowledged"),
}


def title(text: str, code: str) -> str:
    """Return a widget's heading: plain words and the name of a queue."""
    return f"{STYLE}<div class='rpclab-title'><b>{escape(text)}</b> <code>{escape(code)}</code></div>"


def note(text: str) -> str:
    """Return a line of small print."""
    return f"<div class='rpclab-note'>{escape(text)}</div>"


def state(name: str) -> str:
    """Return a state as a coloured label that also says it in a sign and a word."""
    mood, label = MOODS[name]
    return f"<span class='rpclab-state {mood}'>{escape(label)}</span>"


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; the cells are HTML already, and escaping what came from outside is the caller's part."""
    head = "".join(f"<th scope='col'>{escape(column)}</th>" for column in columns)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table class='rpclab'><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def short_id(identifier: str | None) -> str:
    """Return the first eight characters of a correlation id, with the whole of it as a tooltip."""
    if not identifier:
        return "none"
    return f"<code title='{escape(identifier, quote=True)}'>{escape(identifier[:8])}</code>"


def text(value: object, most: int = 120) -> str:
    """Return any value as text that a browser shows and does not interpret, cut to a length."""
    return escape(shortened(str(value), most))
