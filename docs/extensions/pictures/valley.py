"""Optimizers on their way down a bent valley, as torch takes them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from extensions.pictures.canvas import COLOURS, FAINT, INK, Picture, subplots

START, STEPS = (-1.5, 1.8), 120
Array = npt.NDArray[Any]
OPTIMIZERS: dict[str, tuple[str, dict[str, Any]]] = {
    "SGD": ("SGD", {"lr": 0.002}),
    "SGD with momentum 0.9": ("SGD", {"lr": 0.002, "momentum": 0.9}),
    "RMSprop": ("RMSprop", {"lr": 0.03}),
    "Adam": ("Adam", {"lr": 0.15}),
    "Adagrad": ("Adagrad", {"lr": 0.4}),
    "LBFGS": ("LBFGS", {"lr": 0.6, "max_iter": 2}),
}


def valley(x: Any, y: Any) -> Any:
    """Rosenbrock's function with a gentler slope; its least value is at (1, 1)."""
    return (1 - x) ** 2 + 10 * (y - x * x) ** 2


def path(name: str, options: dict[str, Any]) -> Array:
    """Return the points that an optimizer goes through."""
    point = torch.tensor(START, dtype=torch.float64, requires_grad=True)
    optimizer = getattr(torch.optim, name)([point], **options)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        value: torch.Tensor = valley(*point)
        value.backward()
        return value

    points = [point.detach().clone()]
    for _ in range(STEPS):
        optimizer.step(closure)
        points.append(point.detach().clone())
    return torch.stack(points).numpy()


def descents() -> Picture:
    """Draw the paths of several optimizers from the same start."""
    x, y = np.meshgrid(np.linspace(-2, 2, 80), np.linspace(-1, 3, 80))
    figure, panels = subplots(2, 3, figsize=(8.4, 5.8), sharex=True, sharey=True)
    told = []
    for colour, axes, (label, (name, options)) in zip(
        COLOURS, panels.flat, OPTIMIZERS.items(), strict=False
    ):
        points = path(name, options)
        axes.contour(
            x, y, np.log1p(valley(x, y)), levels=9, colors=FAINT, linewidths=0.6, alpha=0.55
        )
        axes.plot(*points.T, color=colour, linewidth=1.6, marker=".", markersize=4)
        axes.plot(*START, marker="o", color=INK, markersize=5, linestyle="none")
        axes.plot(1, 1, marker="*", color=INK, markersize=10, linestyle="none")
        axes.set(title=label, xlim=(-2, 2), ylim=(-1, 3))
        left = float(valley(*points[-1]))
        axes.text(0.03, 0.04, f"after {STEPS}: {left:.1e}", transform=axes.transAxes, fontsize=9)
        told.append(f"{label} reaches {left:.1e}")
    return Picture(
        figure,
        f"Paths of optimizers down a bent valley, {STEPS} steps each: {'; '.join(told)}.",
        f"The same start (dot), the same valley, {STEPS} steps to the least value (star), below "
        "left the value reached. Rates: "
        + "; ".join(f"{label} {options['lr']}" for label, (_, options) in OPTIMIZERS.items())
        + ". They say how paths look, not which optimizer is better.",
    )
