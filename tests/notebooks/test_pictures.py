"""The sequence pictures that the notebooks were saved with."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from pictures import effects_before_causes

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))


def pictures(path: Path) -> list[str]:
    cells = nbformat.read(path, as_version=4).cells
    bundles = [output.get("data", {}) for cell in cells for output in cell.get("outputs", ())]
    return [data["text/plain"] for data in bundles if data.get("text/vnd.mermaid", "").startswith("sequenceDiagram")]


def test_there_are_pictures():
    assert sum(len(pictures(path)) for path in NOTEBOOKS) >= 15


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_no_saved_picture_shows_an_effect_before_its_cause(path):
    for picture in pictures(path):
        assert effects_before_causes(picture) == [], picture
