"""Run notebooks from top to bottom and save them with their outputs: ``make notebooks``.

A live widget shows nothing where no kernel runs. So the messages that it saw are kept beside it, in the metadata of its
output, which nbval does not compare: the site plays them.
"""

from __future__ import annotations

import ast
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode

# What a kernel adds of itself differs from machine to machine and says nothing to a reader.
METADATA = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
WIDGET = "application/vnd.jupyter.widget-view+json"
STORY = "rpclab_story"
WITHOUT_MESSAGES = ("Prediction(", "Progress(")
MOST_MESSAGES = 24
# Run in the lesson's kernel behind its last cell, and not saved: the messages of a length of time, as JSON.
TOLD = """
try:
    messages = [one for one in lab.story.messages if {begin} <= one.time < {end}][:{most}]
except rpclab.LabError:  # it was closed, and no widget had read its messages
    messages = []
[type(lab.story)(lab.story.shown, messages=messages, end={end}).to_json()] if messages else []
"""


def execute(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    notebook.metadata.clear()
    client = NotebookClient(
        notebook, timeout=120, kernel_name="python3", record_timing=False, coalesce_streams=True,
        store_widget_state=False,
        resources={"metadata": {"path": str(path.parent)}},
    )
    shown: list[tuple[float, NotebookNode]] = []
    with client.setup_kernel():
        for index, cell in enumerate(notebook.cells):
            begun = time.monotonic()
            client.execute_cell(cell, index, execution_count=client.code_cells_executed + 1)
            shown += [(begun, output) for output in cell.get("outputs", ()) if _watches(output)]
        ends = [*(begun for begun, _ in shown), time.monotonic()][1:]
        for (begun, output), end in zip(shown, ends, strict=True):
            for story in _told(client, begun, end):
                output.metadata[STORY] = story
    notebook.metadata.update(METADATA)
    nbformat.write(notebook, path)


def _watches(output: NotebookNode) -> bool:
    data = output.get("data", {})
    return WIDGET in data and not data["text/plain"].startswith(WITHOUT_MESSAGES)


def _told(client: NotebookClient, begin: float, end: float) -> list[str]:
    """Return the story of what the lesson's lab saw between two moments; nothing if it saw no message."""
    cells = client.nb.cells
    cells.append(nbformat.v4.new_code_cell(TOLD.format(begin=begin, end=end, most=MOST_MESSAGES)))
    client.execute_cell(cells[-1], len(cells) - 1)
    return ast.literal_eval(cells.pop().outputs[0].data["text/plain"])


if __name__ == "__main__":
    for name in sys.argv[1:]:
        print(f"Running {name} ...", flush=True)
        execute(Path(name))
