"""Build the course as a static site: ``make site``. Nothing is run; the pages are the notebooks as they were saved."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

import nbformat
from sphinx.cmd.build import main

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent


def build(target: Path) -> int:
    """Build the site into a folder, which is emptied first, and return Sphinx's exit status; a warning is an error."""
    shutil.rmtree(target, ignore_errors=True)
    with tempfile.TemporaryDirectory() as made:
        source = Path(made) / "source"
        shutil.copytree(ROOT / "notebooks", source / "notebooks", ignore=shutil.ignore_patterns(".*"))
        shutil.copy(ROOT / "README.md", source)
        lessons = "\n".join(map(_entry, sorted(source.glob("notebooks/*.ipynb"))))
        (source / "index.md").write_text((HERE / "index.md").read_text().replace("LESSONS", lessons))
        options = ["-q", "--fail-on-warning", "--keep-going", "-c", str(HERE), "-d", str(Path(made) / "doctrees")]
        return main([*options, str(source), str(target)])


def _entry(lesson: Path) -> str:
    """Return a lesson's line in the list of all: the number that other lessons call it by, and its title."""
    title = nbformat.read(lesson, as_version=4).cells[0].source.splitlines()[0].removeprefix("# ")
    return f"{lesson.stem[:2]} {title} <notebooks/{lesson.stem}>"


if __name__ == "__main__":
    sys.exit(build(Path(sys.argv[1])))
