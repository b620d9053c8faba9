"""Sphinx's configuration for the course as a site: pages of the notebooks as they were saved, without running them."""

from __future__ import annotations

import os
import re
import sys
from importlib.metadata import distribution
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

project = "rpclab"
html_title = "rpclab"
extensions = ["myst_nb"]
exclude_patterns = ["README.md"]
root_doc = "index"
# What a lesson says of `--clear` and "quotes" stays as it is.
smartquotes = False

nb_custom_formats = {".ipynb": "outputs.read"}
nb_execution_mode = "off"
nb_merge_streams = True
# Neither RequireJS nor a renderer of widgets is fetched from elsewhere: `outputs` has left no widget.
nb_ipywidgets_js = {}
myst_heading_anchors = 6
myst_heading_slug_func = "outputs.anchor"

html_theme = "furo"
html_static_path = ["static", str(distribution("mermaidx").locate_file("mermaidx/assets/mermaid.js"))]
html_css_files = ["site.css"]
html_js_files = ["site.js"]
html_copy_source = False
html_show_sphinx = False
html_theme_options = {"top_of_page_buttons": []}
if os.environ.get("GITHUB_REPOSITORY"):
    html_theme_options |= {
        "source_repository": "{GITHUB_SERVER_URL}/{GITHUB_REPOSITORY}/".format(**os.environ),
        "source_branch": "main",
        "source_directory": "",
        "top_of_page_buttons": ["view"],
    }


def _scripts(app, pagename, templatename, context, doctree) -> None:
    """Have those pages load Mermaid that have a diagram to draw."""
    if re.search(r'class="diagram"', context.get("body", "")):
        app.add_js_file("mermaid.js", priority=400)


def setup(app) -> None:
    app.connect("html-page-context", _scripts)
