"""How the widgets look: one style for all, in the colours of the theme that JupyterLab uses."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

import ipywidgets as widgets

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
.rpclab-state.off { background: #e4e4e4; color: #3a3a3a; }
.rpclab-progress { position: relative; height: 18px; margin: 6px 0 4px; border-radius: 4px; overflow: hidden;
  background: var(--jp-layout-color2, #eee); border: 1px solid var(--jp-border-color1, #bdbdbd); }
.rpclab-progress div { position: absolute; inset: 0 auto 0 0; background: #9ec5f3; }
.rpclab-progress span { position: absolute; left: 8px; font-size: 12px; line-height: 18px; border-radius: 4px;
  padding: 0 6px; background: #fff; color: #222; }
.rpclab-times { display: flex; align-items: end; gap: 16px; margin-top: 6px; }
.rpclab-bars rect { fill: #4a8fe0; }
.rpclab-bars text { font-size: 11px; fill: var(--jp-ui-font-color1, #222); }
.rpclab-buttons { align-items: center; flex-wrap: wrap; }
.rpclab-unlabelled > label { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
.rpclab-workers { display: flex; flex-flow: row wrap; gap: 8px; overflow: visible; margin: 4px 0; }
.rpclab-worker { width: 262px; box-sizing: border-box; border: 1px solid var(--jp-border-color2, #ccc);
  border-radius: 4px; padding: 6px 8px; color: var(--jp-ui-font-color1, #222); }
.rpclab-worker .widget-html-content { min-width: 0; overflow: hidden; }
.rpclab-worker-head { display: flex; justify-content: space-between; font-size: 14px; line-height: 1.8; }
.rpclab-worker-head b { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.rpclab-worker-head span { font-size: 12px; white-space: nowrap; color: var(--jp-ui-font-color2, #555); }
.rpclab-worker .rpclab-state { display: inline-block; max-width: 100%; box-sizing: border-box; overflow: hidden;
  text-overflow: ellipsis; line-height: 1.6; }
.rpclab-worker pre.rpclab-lines { height: 51px; margin: 2px 0 4px; overflow: hidden; white-space: pre;
  text-overflow: ellipsis; font-size: 12px; line-height: 17px; color: var(--jp-ui-font-color1, #222); }
.rpclab-worker button { width: auto; min-width: 70px; padding: 0 8px; }
.rpclab-queue { align-items: center; flex-wrap: wrap; border-top: 1px solid var(--jp-border-color3, #eee); }
.rpclab-queue-text { display: grid; column-gap: 8px; overflow: hidden;
  grid-template-columns: minmax(80px, 222px) minmax(24px, 120px) 66px 78px 84px minmax(0, 120px);
  align-items: center; line-height: 30px; color: var(--jp-ui-font-color1, #222); }
.rpclab-queue-text code { display: -webkit-box; -webkit-box-orient: vertical; -webkit-line-clamp: 2;
  overflow: hidden; overflow-wrap: anywhere; line-height: 17px; }
.rpclab-queue-text span { font-size: 12px; text-align: right; white-space: nowrap;
  font-variant-numeric: tabular-nums; }
.rpclab-queue-text b { font-size: 14px; }
.rpclab-level { display: flex; height: 14px; border: 1px solid var(--jp-border-color1, #bdbdbd); border-radius: 3px;
  overflow: hidden; }
.rpclab-level i, .rpclab-legend i { background: #3b82d6; }
.rpclab-level i.unacked, .rpclab-legend i.unacked {
  background: repeating-linear-gradient(135deg, #d98a00 0 3px, #fff2d6 3px 6px); }
.rpclab-legend i { display: inline-block; width: 22px; height: 12px; margin: 0 2px 0 8px; vertical-align: -1px; }
.rpclab-spark { border-bottom: 1px dotted var(--jp-border-color1, #bdbdbd); }
.rpclab-spark path { fill: none; stroke: var(--jp-ui-font-color1, #222); stroke-width: 1.5; }
</style>"""

MOODS = {
    "pending": ("wait", "\u2026 pending"),
    "queued": ("wait", "\u2026 queued"),
    "answered": ("good", "\u2713 answered"),
    "answered late": ("bad", "\u2715 answered late"),
    "failed": ("bad", "\u2715 failed"),
    "timed out": ("bad", "\u2715 timed out"),
    "cancelled": ("off", "\u2013 cancelled"),
    "waiting": ("wait", "\u2026 waiting"),
    "delivered": ("calm", "\u2192 delivered"),
    "acknowledged": ("good", "\u2713 acknowledged"),
    "rejected": ("bad", "\u2715 rejected"),
    "removed": ("off", "\u2013 removed"),
    "returned": ("bad", "\u2715 returned"),
    "expired": ("bad", "\u2715 expired"),
    "no queue": ("bad", "\u2715 no queue"),
}


def title(text: str, code: str) -> str:
    """Return a widget's heading: plain words and the name of a queue."""
    return f"{STYLE}<div class='rpclab-title'><b>{escape(text)}</b> <code>{escape(code)}</code></div>"


def note(text: str) -> str:
    """Return a line of small print."""
    return f"<div class='rpclab-note'>{escape(text)}</div>"


def state(name: str) -> str:
    """Return a state as a coloured label that also says it in a sign and a word.

    One that is not listed says where something is, for example ``at AdditionServer-0``.
    """
    mood, label = MOODS.get(name) or ("calm", f"\u2192 {shortened(name, 40)}")
    return f"<span class='rpclab-state {mood}'>{escape(label)}</span>"


def label(mood: str, text: str) -> str:
    """Return a coloured label; its text has to say by itself what the colour says."""
    return f"<span class='rpclab-state {mood}' title='{escape(text, quote=True)}'>{escape(text)}</span>"


def button(text: str, tooltip: str, *, style: str = "") -> widgets.Button:
    """Return a button that is as wide as its text; ``style`` is one of ipywidgets' button styles."""
    layout = widgets.Layout(width="auto")
    return widgets.Button(description=text, tooltip=tooltip, button_style=style, layout=layout)


def progress(done: int, total: int) -> str:
    """Return a bar that shows how much of something is done, and says it in figures."""
    bar = f"<div style='width: {100 * done / total:.1f}%'></div><span>{done} of {total} done</span>"
    values = f"aria-valuemin='0' aria-valuemax='{total}' aria-valuenow='{done}'"
    return f"<div class='rpclab-progress' role='progressbar' aria-label='requests done' {values}>{bar}</div>"


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
    # Half of a surrogate pair is no valid Unicode, and could not be sent to the browser.
    return escape(shortened(str(value), most).encode(errors="backslashreplace").decode())
