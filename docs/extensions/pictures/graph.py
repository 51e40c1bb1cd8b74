"""The graph of a small function, walked from its root, with the tensors that its nodes saved."""

from __future__ import annotations

from typing import Any

import torch
from matplotlib.patches import FancyBboxPatch

from extensions.pictures.canvas import COLOURS, FAINT, INK, PAPER, Picture, plain, subplots

WIDE, HIGH = 2.5, 1.25


def saved_tensors() -> Picture:
    """Draw the graph of ``((w * x).sin() + b).sum()``, root on top."""
    names = {"w": torch.tensor([1.0, 2.0]), "x": torch.tensor([3.0, 4.0]), "b": torch.zeros(2)}
    w, x, b = (names[name].requires_grad_(name != "x") for name in names)
    y = ((w * x).sin() + b).sum()
    places = _places(y.grad_fn)
    figure, axes = subplots(figsize=(6.4, 6.2))
    plain(axes)
    told = []
    for node, (column, row) in places.items():
        saved = _saved(node, {id(w): "w", id(x): "x", id(b): "b"})
        leaf = getattr(node, "variable", None)
        title = type(node).__name__
        below = f"leaf {_name_of(leaf, {'w': w, 'b': b})}" if leaf is not None else saved
        colour = COLOURS[2] if leaf is not None else COLOURS[0]
        _box(axes, column * WIDE, row * HIGH, title, below, colour)
        told.append(f"{title} ({below or 'saves nothing'})")
        for following, _ in node.next_functions:
            if following is not None:
                _arrow(axes, places[node], places[following])
    _mark_root(axes, places, y.grad_fn)
    axes.set_xlim(-1.35 * WIDE / 2.5, max(c for c, _ in places.values()) * WIDE + 1.35)
    axes.set_ylim(max(r for _, r in places.values()) * HIGH + 0.6, -0.6)
    return Picture(
        figure,
        "The graph of y = ((w * x).sin() + b).sum(), from the root down: " + ", ".join(told),
        "The graph of <code>y = ((w * x).sin() + b).sum()</code>, where w and b require grad and x "
        "does not, as a walk along <code>grad_fn</code> and <code>next_functions</code> found it. "
        "Arrows go the way of the backward pass. Orange: what a node has saved. Green: the nodes "
        "that write <code>.grad</code>.",
    )


def _places(root: Any) -> dict[Any, tuple[float, int]]:
    """Column and row of each node: the row is its distance from the root."""
    rows: dict[Any, int] = {}
    waiting = [(root, 0)]
    while waiting:
        node, row = waiting.pop(0)
        rows[node] = max(row, rows.get(node, 0))
        waiting += [(n, row + 1) for n, _ in node.next_functions if n is not None]
    seen: dict[int, int] = {}
    places = {}
    for node, row in sorted(rows.items(), key=lambda item: item[1]):
        places[node] = (float(seen.get(row, 0)), row)
        seen[row] = seen.get(row, 0) + 1
    return places


def _saved(node: Any, names: dict[int, str]) -> str:
    found = []
    for attribute in sorted(a for a in dir(node) if a.startswith("_saved_")):
        value = getattr(node, attribute)
        if isinstance(value, torch.Tensor):
            name = names.get(id(value), _values(value))
            found.append(f"{attribute.removeprefix('_saved_')} = {name}")
    return "saved: " + ", ".join(found) if found else ""


def _name_of(leaf: torch.Tensor, names: dict[str, torch.Tensor]) -> str:
    return next(name for name, tensor in names.items() if tensor is leaf)


def _values(tensor: torch.Tensor) -> str:
    return "[" + ", ".join(f"{value:g}" for value in tensor.tolist()) + "]"


def _box(axes: Any, x: float, y: float, title: str, below: str, colour: str) -> None:
    shape = FancyBboxPatch(
        (x - 1.05, y - 0.34), 2.1, 0.68, boxstyle="round,pad=0.04,rounding_size=0.12",
        facecolor=PAPER, edgecolor=colour, linewidth=1.6, zorder=2,
    )  # fmt: skip
    axes.add_patch(shape)
    axes.text(x, y - (0.12 if below else 0), title, ha="center", va="center", color=INK, zorder=3)
    if below:
        saves = below.startswith("saved")
        axes.text(
            x, y + 0.17, below, ha="center", va="center", fontsize=8.5, zorder=3,
            color=COLOURS[1] if saves else colour,
        )  # fmt: skip


def _arrow(axes: Any, start: tuple[float, int], end: tuple[float, int]) -> None:
    (from_column, from_row), (to_column, to_row) = start, end
    axes.annotate(
        "",
        xy=(to_column * WIDE, to_row * HIGH - 0.4),
        xytext=(from_column * WIDE, from_row * HIGH + 0.38),
        arrowprops={"arrowstyle": "-|>", "color": FAINT, "linewidth": 1.3},
        zorder=1,
    )


def _mark_root(axes: Any, places: dict[Any, tuple[float, int]], root: Any) -> None:
    """Mark the root, where a pass begins."""
    column, row = places[root]
    axes.annotate(
        "y.backward() starts here", xy=(column * WIDE + 1.12, row * HIGH),
        xytext=(column * WIDE + 1.45, row * HIGH), va="center", color=FAINT,
        arrowprops={"arrowstyle": "-|>", "color": FAINT}, fontsize=9,
    )  # fmt: skip
