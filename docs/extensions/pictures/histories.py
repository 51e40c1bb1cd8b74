"""Optimizers over a history of gradients, beside the closed forms that judge them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from conformance.reference.optimizers import CLOSED_FORMS, follow
from extensions.pictures.canvas import COLOURS, INK, Picture, subplots
from strategies.optimizer_tables import OPTIONS

STEPS = 40
Array = npt.NDArray[Any]
CHOSEN: dict[str, dict[str, dict[str, Any]]] = {
    "SGD": {
        "plain": {},
        "momentum 0.9": {"momentum": 0.9},
        "Nesterov": {"momentum": 0.9, "nesterov": True},
    },
    "RMSprop": {"plain": {}, "momentum 0.9": {"momentum": 0.9}, "centered": {"centered": True}},
    "Adam": {"plain": {}, "AMSGrad": {"amsgrad": True}, "weight decay 0.1": {"weight_decay": 0.1}},
    "AdamW": {"plain": {}, "AMSGrad": {"amsgrad": True}, "no decay": {"weight_decay": 0.0}},
}
"""Options whose histories are shown; of the other optimizers, the defaults."""
MATRICES = ("Muon", "Adafactor")


def _gradients(shape: tuple[int, ...]) -> Array:
    """Noise around a slope that turns half way: momentum overshoots, moments adapt."""
    noise = np.random.default_rng(0).normal(scale=0.6, size=(STEPS, *shape))
    slope = np.where(np.arange(STEPS) < STEPS // 2, 1.0, -0.6)
    return noise + slope.reshape(-1, *[1] * len(shape))


def _defaults(name: str) -> dict[str, Any]:
    """The documented options with their default values, and a rate that shows something."""
    parameter = torch.zeros(2, 2, requires_grad=True)
    found = getattr(torch.optim, name)([parameter], lr=0.05).defaults
    return {option: found[option] for option in OPTIONS[name] if option in found}


def _of_torch(name: str, start: Array, gradients: Array, options: dict[str, Any]) -> Any:
    parameter = torch.tensor(start, requires_grad=True)
    optimizer = getattr(torch.optim, name)([parameter], **options)
    reached = [start]
    for gradient in gradients:
        given = torch.tensor(gradient)
        parameter.grad = given.to_sparse() if name == "SparseAdam" else given
        optimizer.step()
        reached.append(parameter.detach().numpy().copy())
    return np.array(reached)


def history(name: str) -> Picture:
    """Draw one element of a parameter: torch as a line, the closed form as circles."""
    shape = (2, 2) if name in MATRICES else (2,)
    start, gradients = np.ones(shape), _gradients(shape)
    figure, axes = subplots(figsize=(7.2, 3.7))
    gaps = []
    for colour, (label, chosen) in zip(
        COLOURS, CHOSEN.get(name, {"defaults": {}}).items(), strict=False
    ):
        options = {**_defaults(name), **chosen}
        of_torch = _of_torch(name, start, gradients, options)
        path = follow(CLOSED_FORMS[name], start, list(gradients), options, 2.0**-53)
        formula = np.array([start, *(state["parameter"].value for state in path)])
        first: Any = (slice(None), *[0] * len(shape))
        axes.plot(of_torch[first], color=colour, linewidth=1.8, label=f"torch, {label}")
        axes.plot(
            formula[first], linestyle="none", marker="o", markersize=4.5, markerfacecolor="none",
            markeredgecolor=INK, markeredgewidth=0.8,
        )  # fmt: skip
        gaps.append(f"{label}: {np.abs(of_torch - formula).max():.1e}")
    axes.plot([], [], linestyle="none", marker="o", markerfacecolor="none",
              markeredgecolor=INK, label="closed form")  # fmt: skip
    axes.set(xlabel="step", ylabel="one element of the parameter")
    axes.grid(visible=True, linewidth=0.6)
    axes.legend()
    return Picture(
        figure,
        f"{name} over {STEPS} gradients, torch as a line on the circles of its closed form; "
        f"largest distance between them: {'; '.join(gaps)}.",
        f"{STEPS} noisy gradients, whose slope turns after half of them; lr is 0.05. Lines: "
        f"torch.optim.{name}; circles: the formula in NumPy. Largest distance between them, "
        f"{'; '.join(gaps)}.",
    )


HISTORIES: dict[str, Callable[[], Picture]] = {
    name: partial(history, name) for name in CLOSED_FORMS
}
