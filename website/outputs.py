"""What the notebooks' outputs become on the site, where no kernel runs and nothing is fetched from elsewhere."""

from __future__ import annotations

import base64
import re
from html import escape

import nbformat
import vl_convert
from nbformat import NotebookNode

from rpclab import Story
from rpclab.course import catalogue
from rpclab.course.text import html
from rpclab.course.verdict import OPEN, card

MERMAID = "text/vnd.mermaid"
CHART = "application/vnd.vegalite.v5+json"
WIDGET = "application/vnd.jupyter.widget-view+json"
STORY = "rpclab_story"  # in the metadata of a widget's output: see tests/notebooks/execute.py
VEGALITE = "5.21"
# The theme's classes for what is shown in the light and in the dark.
LOOKS = {"only-light": None, "only-dark": "dark"}
FENCE = re.compile(r"^```mermaid\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PREDICTION = re.compile(r"Prediction\('([\w-]+)'\)")


def read(text: str) -> NotebookNode:
    """Return a notebook whose outputs a page can show by itself."""
    notebook = nbformat.reads(text, as_version=4)
    notebook.metadata.language_info.pygments_lexer = "ipython3"
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = FENCE.sub(lambda found: _diagram(found[1]), cell.source)
        if cell.metadata.get("jupyter", {}).get("source_hidden"):
            cell.metadata.setdefault("tags", []).append("hide-input")
        for output in cell.get("outputs", ()):
            if "data" in output:
                output.data = _shown(output.data, output.get("metadata", {}).get(STORY))
    return notebook


def anchor(heading: str) -> str:
    """Return a heading's anchor as JupyterLab makes it, which links between lessons rely on."""
    return heading.replace(" ", "-")


def _shown(data: NotebookNode, story: str | None) -> NotebookNode:
    """Replace by HTML what only JupyterLab draws; a live widget by the messages that it saw."""
    data, text = NotebookNode(data), data.get("text/plain", "")
    if MERMAID in data:
        data["text/html"] = _diagram(data.pop(MERMAID))
    elif CHART in data:
        data["text/html"] = _chart(data.pop(CHART), text)
    elif data.pop(WIDGET, None):
        if found := PREDICTION.fullmatch(text):
            data["text/html"] = _prediction(*found.groups())
        else:
            data["text/html"] = _live(text, Story.from_json(story).player().html() if story else "")
    return data


def _diagram(source: str) -> str:
    """Return a diagram for site.js to draw, and to be read as it is where no scripts run."""
    return f'<pre class="diagram">{escape(source)}</pre>'


def _chart(chart: dict, text: str) -> str:
    """Return a chart, drawn."""
    pictures = []
    for look, theme in LOOKS.items():
        svg = vl_convert.vegalite_to_svg(chart, vl_version=VEGALITE, theme=theme, config={"background": "transparent"})
        data = base64.b64encode(svg.encode()).decode()
        pictures.append(f'<img class="{look}" alt="{escape(text)}" src="data:image/svg+xml;base64,{data}">')
    return "".join(pictures)


def _prediction(id: str) -> str:
    """Return what a prediction asks, and what one may choose."""
    question = catalogue.question(id)
    options = "".join(f"<li>{html(option.says)}</li>" for option in question.options)
    return card(OPEN, "What will happen?", id, question.asks, f"<ul>{options}</ul>")


def _live(text: str, player: str) -> str:
    """Return what a live widget saw when the lesson was saved, below its name."""
    here = " This is what it saw when these pages were made:" if player else ""
    return f'<p class="live"><code>{escape(text)}</code> is live: run the lesson to operate it.{here}</p>{player}'
