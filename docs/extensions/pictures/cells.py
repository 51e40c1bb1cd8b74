"""Tensors drawn as rows of cells."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from matplotlib.patches import Rectangle

from extensions.pictures.canvas import FAINT, INK, PAPER

Place = tuple[float, float]


def draw_cells(
    axes: Any,
    rows: Sequence[Sequence[Any]],
    corner: Place,
    name: str,
    colour: Callable[[int, int], str] = lambda row, column: FAINT,
    *,
    beside: bool = False,
) -> None:
    """Draw a matrix with its upper left corner at a place, and its name above or beside it."""
    x, y = corner
    if beside:
        axes.text(x - 0.3, y + len(rows) / 2, name, color=INK, va="center", ha="right")
    else:
        axes.text(x, y - 0.3, name, color=INK, va="center")
    for i, row in enumerate(rows):
        for j, value in enumerate(row):
            axes.add_patch(
                Rectangle(
                    (x + j, y + i),
                    1,
                    1,
                    facecolor=PAPER,
                    edgecolor=colour(i, j),
                    linewidth=1.4,
                )
            )
            text = f"{value:g}" if isinstance(value, float) else str(value)
            axes.text(x + j + 0.5, y + i + 0.5, text, ha="center", va="center", color=INK)


def draw_arrow(axes: Any, start: Place, end: Place, colour: str, bend: float = 0.0) -> None:
    """Draw an arrow from the middle of one cell to another."""
    axes.annotate(
        "", xy=end, xytext=start,
        arrowprops={
            "arrowstyle": "-|>", "color": colour, "linewidth": 1.5, "shrinkA": 0, "shrinkB": 0,
            "connectionstyle": f"arc3,rad={bend}",
        },
    )  # fmt: skip
