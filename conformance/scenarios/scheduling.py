"""Optimizers under schedulers: making a pair of them, following it, reading its rates."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import torch

from conformance import compare
from conformance.reference.schedulers import CLOSED_FORMS, FACTORS, rounding
from conformance.target import resolve
from strategies.schedulers import Schedule

UNIT = 2.0**-53
"""Unit roundoff of rates that are Python floats."""


def scheduler_class(name: str) -> Callable[..., Any]:
    """Return the class of that name, as torch exports it now."""
    home = "swa_utils" if name == "SWALR" else "lr_scheduler"
    return resolve(f"torch.optim.{home}.{name}")


def optimizer_over(
    rates: Iterable[Any], device: torch.device, kind: str = "SGD", **options: Any
) -> Any:
    """Return an optimizer with one group for each rate; each holds one parameter, a zero."""
    groups = [
        {"params": [torch.zeros(1, dtype=torch.float64, device=device)], "lr": rate}
        for rate in rates
    ]
    return resolve(f"torch.optim.{kind}")(groups, **options)


def named_functions(value: Any) -> Any:
    """Return the functions of an epoch that an option names."""
    return list(map(named_functions, value)) if isinstance(value, list) else FACTORS.get(value)


def arguments_of(options: dict[str, Any]) -> dict[str, Any]:
    """Return options as a scheduler takes them: functions instead of their names."""
    functions = ("lr_lambda", "scale_fn")
    return {k: named_functions(v) if k in functions else v for k, v in options.items()}


def scheduler_over(name: str, optimizer: Any, options: dict[str, Any], **more: Any) -> Any:
    """Return the scheduler of that name with these options."""
    return scheduler_class(name)(optimizer, **arguments_of(options), **more)


def train(optimizer: Any) -> None:
    """Take one step of the optimizer with gradients of 1."""
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            parameter.grad = torch.ones_like(parameter)
    optimizer.step()


def values_of(groups: Iterable[dict[str, Any]], option: str) -> torch.Tensor:
    """Return one option of all groups, in float64 on the host."""
    return torch.tensor([float(group[option]) for group in groups], dtype=torch.float64)


def check_values(
    optimizer: Any, option: str, expected: Sequence[float], bound: Sequence[float], when: str
) -> None:
    """Check one option of all groups."""
    compare.close(
        values_of(optimizer.param_groups, option),
        np.array(expected, dtype=np.float64),
        bound=np.array(bound, dtype=np.float64),
        dtype=torch.float64,
        what=f"{option} of the groups {when}",
    )


def rates_of(optimizer: Any) -> list[float]:
    """Return the learning rates of all groups."""
    return [float(group["lr"]) for group in optimizer.param_groups]


def told_by(scheduler: Any) -> list[float]:
    """Return what get_last_lr tells."""
    return [float(rate) for rate in scheduler.get_last_lr()]


def closed_form(name: str, schedule: Schedule, epochs: Sequence[float]) -> list[list[float]]:
    """Return the rates of all groups at each of these epochs."""
    options = [schedule.options_of(group) for group in range(len(schedule.rates))]
    bases = list(zip(schedule.rates, options, strict=True))
    return [[CLOSED_FORMS[name](base, epoch, **own) for base, own in bases] for epoch in epochs]


def roundings(
    name: str, schedule: Schedule, epochs: Sequence[float], unit: float
) -> list[list[float]]:
    """Return how far rounding may take the rates of all groups at each of these epochs."""
    options = [schedule.options_of(group) for group in range(len(schedule.rates))]
    bases = list(zip(schedule.rates, options, strict=True))
    return [[rounding(name, base, epoch, own, unit) for base, own in bases] for epoch in epochs]


def check_history(
    name: str,
    schedule: Schedule,
    epochs: Sequence[float],
    rates: Sequence[Sequence[float]],
    unit: float = UNIT,
) -> None:
    """Check the rates that all groups had at these epochs against the closed form."""
    compare.close(
        torch.tensor(rates, dtype=torch.float64),
        np.array(closed_form(name, schedule, epochs)),
        bound=np.array(roundings(name, schedule, epochs, unit)),
        dtype=torch.float64,
        what="learning rates by step and group",
    )
