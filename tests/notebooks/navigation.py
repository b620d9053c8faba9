"""The line of links at the top and at the bottom of each notebook.

To write it again after a lesson was added, deleted or got another title: ``python tests/notebooks/navigation.py``.
"""

from __future__ import annotations

import re
from pathlib import Path

import nbformat

NOTEBOOKS = sorted((Path(__file__).resolve().parents[2] / "notebooks").glob("*.ipynb"))
MAP = "[Map](00_start_here.ipynb#The-lessons)"
GLOSSARY = "[Glossary](glossary.md)"
_LINE = re.compile(rf"^.*{re.escape(MAP)}.*$", re.MULTILINE)


def line(path: Path) -> str:
    """Return the links of a notebook: the lesson before, the map, the next lesson, the glossary."""
    position = NOTEBOOKS.index(path)
    before, after = NOTEBOOKS[:position][-1:], NOTEBOOKS[position + 1:][:1]
    links = [f"Before: {_link(one)}" for one in before] + [MAP] + [f"Next: {_link(one)}" for one in after] + [GLOSSARY]
    return " · ".join(links)


def write(path: Path) -> None:
    """Put the line under a notebook's title, and at its end."""
    notebook = nbformat.read(path, as_version=4)
    first, last = notebook.cells[0], notebook.cells[-1]
    title, _, rest = _LINE.sub("", first.source).partition("\n")
    first.source = f"{title}\n\n{line(path)}\n\n{rest.strip()}"
    last.source = f"{_LINE.sub('', last.source).strip()}\n\n{line(path)}"
    nbformat.write(notebook, path)


def _link(path: Path) -> str:
    title = nbformat.read(path, as_version=4).cells[0].source.splitlines()[0]
    return f"[{title.removeprefix('# ')}]({path.name})"


if __name__ == "__main__":
    for notebook in NOTEBOOKS:
        write(notebook)
