"""What all pictures share: their ink, their type, and how they become part of a page."""

from __future__ import annotations

import html
import io
import re
from typing import Any, NamedTuple

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt

INK, FAINT, LINE, PAPER = "#010203", "#040506", "#070809", "#0a0b0c"
_PAGE_COLOURS = {
    INK: "var(--color-foreground-primary)",
    FAINT: "var(--color-foreground-muted)",
    LINE: "var(--color-background-border)",
    PAPER: "var(--color-background-primary)",
}
"""Colours of the page that stand in for those that a picture is drawn with."""

COLOURS = ("#3f8fd2", "#e08a2e", "#2ca37a", "#d9556b", "#9474cc", "#8a8f98", "#b5a12f", "#3fb0b8")
"""For what is told apart: as well to be seen on white as on black."""

_STYLE: dict[str, Any] = {
    "svg.fonttype": "none",
    "font.size": 10,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": FAINT,
    "axes.titlesize": 10,
    "axes.titlecolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "grid.color": LINE,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "legend.frameon": False,
}


class Picture(NamedTuple):
    """A drawn figure, what it shows in words, and what stands below it."""

    figure: Any
    description: str
    caption: str


def subplots(rows: int = 1, columns: int = 1, **keywords: Any) -> tuple[Any, Any]:
    """Return a figure and its axes, in the style of the site."""
    plt.style.use(_STYLE)
    return plt.subplots(rows, columns, layout="constrained", **keywords)


def plain(axes: Any) -> Any:
    """Return axes without frame and ticks, one unit as wide as high, the first row on top."""
    axes.set_axis_off()
    axes.set_aspect("equal")
    axes.invert_yaxis()
    return axes


def to_svg(picture: Picture, name: str) -> str:
    """Return the picture as an element of a page; ``name`` keeps its ids apart from others'."""
    plt.rcParams["svg.hashsalt"] = name
    file = io.StringIO()
    picture.figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    plt.close(picture.figure)
    svg = file.getvalue()
    svg = svg[svg.index("<svg ") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"font: ([\d.]+px) [^;\"]+", r"font: \1 var(--font-stack)", svg)
    svg = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', svg)
    svg = re.sub(r'href="#([^"]+)"', rf'href="#{name}-\1"', svg)
    svg = re.sub(r"url\(#([^)]+)\)", rf"url(#{name}-\1)", svg)
    svg = re.sub(r'(<svg [^>]*?) height="[\d.]+pt"', r"\1", svg, count=1)
    svg = re.sub(
        r' width="([\d.]+)pt"',
        lambda found: f' style="max-width: {float(found[1]) * 4 / 3:.0f}px"',
        svg,
        count=1,
    )
    for colour, variable in _PAGE_COLOURS.items():
        svg = svg.replace(colour, variable)
    label = html.escape(picture.description, quote=True)
    return svg.replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1)
