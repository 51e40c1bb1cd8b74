"""L-BFGS on a small polynomial, beside the recursion that judges it."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from conformance.reference.optimizers.quasi_newton import lbfgs, polynomial
from extensions.pictures.canvas import COLOURS, INK, Picture, subplots

STEPS = 14
MATRIX, VECTOR, QUARTIC = np.array([[3.0, 1.0], [1.0, 1.0]]), np.array([1.0, -1.0]), 0.1
START = np.array([-2.0, 2.0])
CHOSEN: dict[str, dict[str, Any]] = {
    "lr 1": {"lr": 1.0},
    "lr 0.5": {"lr": 0.5},
    "lr 0.5, history of one": {"lr": 0.5, "history_size": 1},
}
_ONE_A_STEP = {
    "max_iter": 1, "max_eval": None, "tolerance_grad": 0.0, "tolerance_change": 0.0,
    "history_size": 100,
}  # fmt: skip


def _of_torch(options: dict[str, Any]) -> Any:
    point = torch.tensor(START, requires_grad=True)
    matrix, vector = torch.tensor(MATRIX), torch.tensor(VECTOR)
    optimizer = torch.optim.LBFGS([point], **options)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        value = point @ matrix @ point / 2 - vector @ point + QUARTIC * (point**4).sum() / 4
        value.backward()
        return value

    reached = [START]
    for _ in range(STEPS):
        optimizer.step(closure)
        reached.append(point.detach().numpy().copy())
    return np.array(reached)


def quasi_newton() -> Picture:
    """Draw the first coordinate of the point: torch as a line, the recursion as circles."""
    figure, axes = subplots(figsize=(7.2, 3.7))
    objective = polynomial(MATRIX, VECTOR, QUARTIC)
    gaps = []
    for colour, (label, chosen) in zip(COLOURS, CHOSEN.items(), strict=False):
        options = {**_ONE_A_STEP, **chosen}
        of_torch = _of_torch(options)
        points = lbfgs(objective, START, options, STEPS, 2.0**-53)
        formula = np.array([START, *(point.value for point in points)])
        axes.plot(of_torch[:, 0], color=colour, linewidth=1.8, label=f"torch, {label}")
        axes.plot(
            formula[:, 0], linestyle="none", marker="o", markersize=4.5, markerfacecolor="none",
            markeredgecolor=INK, markeredgewidth=0.8,
        )  # fmt: skip
        gap = np.abs(of_torch[: len(formula)] - formula).max()
        gaps.append(f"{label}: {gap:.1e} over {len(formula) - 1} steps")
    axes.plot([], [], linestyle="none", marker="o", markerfacecolor="none",
              markeredgecolor=INK, label="recursion")  # fmt: skip
    axes.set(xlabel="step", ylabel="first coordinate")
    axes.grid(visible=True, linewidth=0.6)
    axes.legend()
    return Picture(
        figure,
        f"L-BFGS on a polynomial of two variables, torch as a line on the circles of the "
        f"recursion; largest distance between them: {'; '.join(gaps)}.",
        "A polynomial of two variables and degree four, one iteration a step. Lines: "
        "torch.optim.LBFGS; circles: the recursion in NumPy, as long as rounding leaves its "
        f"decisions clear. Largest distance between them, {'; '.join(gaps)}.",
    )
