"""Learning rates over epochs, as the schedulers of torch give them."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch.optim import lr_scheduler

from extensions.pictures.canvas import COLOURS, Picture, subplots

EPOCHS = 40


def _sequential(optimizer: Any) -> Any:
    first = lr_scheduler.LinearLR(optimizer, start_factor=0.1, total_iters=8)
    second = lr_scheduler.CosineAnnealingLR(optimizer, T_max=EPOCHS - 8)
    return lr_scheduler.SequentialLR(optimizer, [first, second], milestones=[8])


SCHEDULERS: dict[str, Any] = {
    "StepLR": lambda o: lr_scheduler.StepLR(o, step_size=10, gamma=0.5),
    "MultiStepLR": lambda o: lr_scheduler.MultiStepLR(o, milestones=[8, 20, 24], gamma=0.5),
    "ConstantLR": lambda o: lr_scheduler.ConstantLR(o, factor=0.3, total_iters=12),
    "LinearLR": lambda o: lr_scheduler.LinearLR(o, start_factor=0.1, total_iters=20),
    "ExponentialLR": lambda o: lr_scheduler.ExponentialLR(o, gamma=0.9),
    "PolynomialLR": lambda o: lr_scheduler.PolynomialLR(o, total_iters=32, power=2.0),
    "CosineAnnealingLR": lambda o: lr_scheduler.CosineAnnealingLR(o, T_max=20),
    "CosineAnnealingWarmRestarts": lambda o: lr_scheduler.CosineAnnealingWarmRestarts(
        o, T_0=8, T_mult=2
    ),
    "CyclicLR": lambda o: lr_scheduler.CyclicLR(
        o, base_lr=0.1, max_lr=1.0, step_size_up=5, mode="triangular2", cycle_momentum=False
    ),
    "OneCycleLR": lambda o: lr_scheduler.OneCycleLR(
        o, max_lr=1.0, total_steps=EPOCHS + 1, cycle_momentum=False
    ),
    "LambdaLR": lambda o: lr_scheduler.LambdaLR(o, lambda epoch: 1 / (1 + epoch) ** 0.5),
    "SequentialLR": _sequential,
}


def rates(make: Any) -> list[float]:
    """Return the rate that the optimizer has in every epoch."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scheduler = make(optimizer)
        found = []
        for _ in range(EPOCHS):
            found.append(float(optimizer.param_groups[0]["lr"]))
            optimizer.step()
            scheduler.step()
    return found


def learning_rates() -> Picture:
    """Draw the rate of each scheduler over the epochs."""
    figure, panels = subplots(4, 3, figsize=(8.4, 7.4), sharex=True, sharey=True)
    told = []
    for number, (name, make) in enumerate(SCHEDULERS.items()):
        axes, found = panels.flat[number], rates(make)
        axes.step(range(EPOCHS), found, where="post", color=COLOURS[number // 3], linewidth=1.8)
        axes.set(title=name, ylim=(0, 1.08), xlim=(0, EPOCHS))
        axes.grid(visible=True, linewidth=0.6)
        told.append(f"{name} from {found[0]:.2g} over {found[EPOCHS // 2]:.2g} to {found[-1]:.2g}")
    for axes in panels[-1]:
        axes.set_xlabel("epoch")
    return Picture(
        figure,
        f"Learning rates over {EPOCHS} epochs: {'; '.join(told)}.",
        f"The rate that each scheduler gives over {EPOCHS} epochs where the optimizer's own is 1.",
    )
