"""Sphinx configuration. The semantics pages are written anew from a run at every build."""

from __future__ import annotations

import json
from pathlib import Path

from sphinx.application import Sphinx

import conformance
from conformance.cli import reference
from conformance.report.pages import write_pages

HERE = Path(__file__).parent
BUILD = HERE / "_build"

project = "autograd-conformance"
author = "the autograd-conformance authors"
release = version = conformance.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
html_theme = "furo"
html_title = f"autograd-conformance {release}"
exclude_patterns = ["_build"]
myst_heading_anchors = 3
autodoc_member_order = "bysource"
autodoc_typehints = "description"
nitpicky = False


def _write_pages(_: Sphinx) -> None:
    kills = json.loads((BUILD / "saboteurs.json").read_text())
    write_pages(BUILD / "cpu.jsonl", kills, HERE / "semantics")
    (HERE / "semantics" / "commands.md").write_text(reference())


def setup(app: Sphinx) -> None:
    """Write the generated pages before Sphinx looks for sources."""
    app.connect("builder-inited", _write_pages)
