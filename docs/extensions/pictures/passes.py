"""A backward pass in pictures: a vector times a Jacobian, a cut, a value written over."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from matplotlib.patches import FancyBboxPatch

from extensions.pictures.canvas import COLOURS, FAINT, INK, PAPER, Picture, plain, subplots
from extensions.pictures.cells import draw_cells

BLUE, ORANGE, GREEN, RED = COLOURS[:4]


def _same(colour: str, *_: int) -> str:
    return colour


def vector_jacobian_product() -> Picture:
    """Draw ``v^T J`` of three outputs by two inputs, as a pass has computed it."""
    x = torch.tensor([2.0, 3.0], requires_grad=True)
    v = torch.tensor([1.0, 10.0, 100.0])

    def f(x: torch.Tensor) -> torch.Tensor:
        return torch.stack([x[0] * x[1], x[0] ** 2, x[1]])

    jacobian = torch.autograd.functional.jacobian(f, x.detach())
    f(x).backward(v)
    assert x.grad is not None
    figure, axes = subplots(figsize=(7.0, 2.2))
    plain(axes)
    rows: list[list[float]] = jacobian.tolist()
    draw_cells(axes, [v.tolist()], (0, 1), "v, of the outputs", partial(_same, ORANGE))
    axes.text(3.5, 1.5, "·", color=INK, ha="center", va="center", fontsize=16)
    draw_cells(axes, rows, (4.4, 0), "J", partial(_same, BLUE))
    for row, output in enumerate(("x[0] x[1]", "x[0]²", "x[1]")):
        axes.text(6.55, row + 0.5, output, color=FAINT, va="center", fontsize=9)
    axes.text(8.9, 1.5, "=", color=INK, ha="center", va="center", fontsize=13)
    draw_cells(axes, [x.grad.tolist()], (9.5, 1), "x.grad, of the inputs", partial(_same, GREEN))
    axes.set_xlim(-0.2, 12.4)
    axes.set_ylim(3.2, -0.7)
    return Picture(
        figure,
        f"The vector {v.tolist()} times the Jacobian {rows} is {x.grad.tolist()}.",
        "Three outputs, <code>x[0] x[1]</code>, <code>x[0]²</code> and <code>x[1]</code>, at "
        "<code>x = [2, 3]</code>. J has a row for each output and a column for each input; v has "
        "the weights of the outputs, and the product a number for each input. A pass never builds "
        "J: each node knows how to multiply by its own.",
    )


def _box(axes: Any, x: float, y: float, text: str, colour: str, wide: float = 1.9) -> None:
    axes.add_patch(
        FancyBboxPatch(
            (x - wide / 2, y - 0.3), wide, 0.6, boxstyle="round,pad=0.03,rounding_size=0.12",
            facecolor=PAPER, edgecolor=colour, linewidth=1.6, zorder=2,
        )
    )  # fmt: skip
    axes.text(x, y, text, ha="center", va="center", color=INK, zorder=3)


def _arrow(
    axes: Any, start: tuple[float, float], end: tuple[float, float], colour: str, style: str = "-"
) -> None:
    axes.annotate(
        "", xy=end, xytext=start, zorder=1,
        arrowprops={"arrowstyle": "-|>", "color": colour, "linewidth": 1.5, "linestyle": style},
    )  # fmt: skip


def cut() -> Picture:
    """Draw ``x * x.detach()``, and what a pass brings to x with the cut and without."""
    gradients = []
    for detached in (True, False):
        x = torch.tensor(3.0, requires_grad=True)
        (x * (x.detach() if detached else x)).backward()
        assert x.grad is not None
        gradients.append(x.grad.item())
    figure, axes = subplots(figsize=(7.0, 2.05))
    plain(axes)
    _box(axes, 0, 1.1, "x = 3", GREEN)
    _box(axes, 4.2, 0.2, "x", FAINT, 1.2)
    _box(axes, 4.2, 2.0, "x.detach()", FAINT, 2.2)
    _box(axes, 8.4, 1.1, "product = 9", BLUE, 2.2)
    _arrow(axes, (7.2, 0.9), (4.9, 0.25), ORANGE)
    _arrow(axes, (3.5, 0.25), (1.05, 0.95), ORANGE)
    _arrow(axes, (7.2, 1.3), (5.4, 1.95), FAINT, ":")
    axes.plot([2.0, 2.4], [1.35, 1.85], color=RED, linewidth=2.4)
    axes.plot([2.4, 2.0], [1.35, 1.85], color=RED, linewidth=2.4)
    _arrow(axes, (3.0, 1.9), (1.05, 1.25), FAINT, ":")
    axes.text(2.2, 2.25, "no history", color=RED, ha="center", va="center", fontsize=9)
    axes.text(2.1, 0.1, f"{gradients[0]:g}", color=ORANGE, ha="center", va="center")
    axes.set_xlim(-1.2, 9.7)
    axes.set_ylim(2.7, -0.4)
    return Picture(
        figure,
        f"The gradient of x * x.detach() reaches x by the first factor alone and is "
        f"{gradients[0]:g}; of x * x it is {gradients[1]:g}.",
        "The way back from <code>x * x.detach()</code>. Both factors are the same number in the "
        "same memory, but only one has a history: "
        f"<code>x.grad</code> is {gradients[0]:g}, where <code>x * x</code> gives "
        f"{gradients[1]:g}.",
    )


def versions() -> Picture:
    """Draw what a node saved at one version, and the value that it finds at another."""
    x = torch.tensor(1.0, requires_grad=True)
    y = x.exp()
    saved = y._version
    told = [f"{y.item():.3g}"]
    y.mul_(10)
    told.append(f"{y.item():.3g}")
    figure, axes = subplots(figsize=(7.0, 1.5))
    plain(axes)
    steps = (("y = x.exp()", saved), ("y.mul_(10)", y._version))
    for number, (code, version) in enumerate(steps):
        place = 0.6 + 4.2 * number
        axes.text(place, -0.1, code, color=INK, ha="center", va="center", family="monospace")
        colour = GREEN if number == 0 else RED
        _box(axes, place, 0.9, f"y = {told[number]}", colour, 2.0)
        axes.text(place, 1.5, f"version {version}", color=colour, ha="center", va="center")
    _arrow(axes, (1.75, 0.9), (3.65, 0.9), FAINT)
    axes.text(9.0, -0.1, "y.backward()", color=INK, ha="center", va="center", family="monospace")
    _box(axes, 9.0, 0.9, f"exp saved version {saved}", FAINT, 3.2)
    _arrow(axes, (7.3, 0.9), (5.9, 0.9), RED)
    axes.text(
        9.0, 1.5, f"and finds {y._version}: RuntimeError", color=RED, ha="center", va="center"
    )
    axes.set_xlim(-0.9, 11.2)
    axes.set_ylim(1.9, -0.5)
    return Picture(
        figure,
        f"exp saves its result at version {saved}; a write in place makes it version {y._version}; "
        "backward finds another version than was saved, and raises.",
        "<code>exp</code> has saved its result, which is its own derivative. A write in place "
        "changes the value and counts the version up; backward compares the two counts, not the "
        "values, and raises rather than compute with the wrong one.",
    )


PASSES = {"vjp": vector_jacobian_product, "detach": cut, "versions": versions}
"""Pictures of passes by name."""
