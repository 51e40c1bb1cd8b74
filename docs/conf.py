"""Sphinx configuration. All that is said of laws is written anew from a run at every build."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from sphinx.application import Sphinx

import conformance
from conformance.report.pages import write_pages

HERE = Path(__file__).parent
BUILD = HERE / "_build"
sys.path.insert(0, str(HERE))

project = "autograd-conformance"
author = "the autograd-conformance authors"
release = version = conformance.__version__
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "extensions.pictures",
    "extensions.reference",
    "extensions.runnable",
]
html_theme = "furo"
html_title = f"autograd-conformance {release}"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_js_files = ["filter.js"]
html_show_sphinx = False
html_show_copyright = False
html_show_sourcelink = False
html_copy_source = False
exclude_patterns = ["_build", "handbook", "extensions", "guides/releases"]
myst_enable_extensions = ["attrs_inline", "attrs_block", "colon_fence"]
myst_heading_anchors = 3
autodoc_member_order = "bysource"
autodoc_typehints = "description"
nitpicky = False
linkcheck_anchors = False
linkcheck_timeout = 30
linkcheck_workers = 4


def _write_pages(app: Sphinx) -> None:
    """Take the run of this machine first, then what was recorded elsewhere.

    Links are followed of the pages that the last build has written.
    """
    if app.builder.name == "linkcheck" and (HERE / "semantics").exists():
        return
    others = sorted(set(BUILD.glob("*.jsonl")) - {BUILD / "cpu.jsonl"})
    table = BUILD / "saboteurs.json"
    kills = json.loads(table.read_text()) if table.exists() else None
    write_pages([BUILD / "cpu.jsonl", *others], kills, HERE / "semantics", HERE / "handbook")


def setup(app: Sphinx) -> None:
    """Write the generated pages before Sphinx looks for sources."""
    app.connect("builder-inited", _write_pages)
